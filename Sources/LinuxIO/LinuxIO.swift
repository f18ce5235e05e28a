// Files, directories, sockets and clocks of Linux behind typed errors and non-copyable descriptors.
//
// Every system call of the product passes here, so faults can be injected in one place. It does not know
// what it reads or writes.
