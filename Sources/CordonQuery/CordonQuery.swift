// The sovereignty check: which rows and columns a principal may see, the SQL gate, and the locked child that runs it.
