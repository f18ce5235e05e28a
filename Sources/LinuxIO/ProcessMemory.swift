/// What this process has in memory, as the system counts it.
package enum ProcessMemory {
    /// The most that it had, in bytes (`VmHWM`, proc_pid_status(5)); 0 where the system does not say.
    package static func peakBytes() throws(LinuxError) -> Int {
        let status = String(decoding: try File.read("/proc/self/status"), as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let number = line?.split(separator: " ").dropLast().last.flatMap { Int($0) }
        return (number ?? 0) << 10
    }
}
