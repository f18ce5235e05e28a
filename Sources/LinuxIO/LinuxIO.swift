/// Files, directories, locks, sockets and clocks of Linux behind typed errors and non-copyable descriptors.
///
/// Every system call on files of the product passes here, so that ``FaultPlan`` can make any one of them
/// fail. No Foundation. It does not know what it reads or writes. Start at ``File``.
package enum LinuxIO {}
