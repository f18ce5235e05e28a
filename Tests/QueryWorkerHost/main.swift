import CordonQuery
import Glibc

// The child process of the query tests: the test bundle is no program that could run itself as its own child.
exit(QueryWorker.run())
