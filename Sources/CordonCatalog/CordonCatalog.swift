// The catalog store: which metadata file is current for each table, moved by compare-and-swap in SQLite.
