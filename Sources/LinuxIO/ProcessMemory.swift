internal import CLinux

/// What this process has in memory, as the system counts it.
package enum ProcessMemory {
    /// The most that it had, in bytes (`VmHWM`, proc_pid_status(5)); 0 where the system does not say.
    package static func peakBytes() throws(LinuxError) -> Int {
        try ProcessCounter.number("VmHWM", in: "/proc/self/status") << 10
    }

    /// Makes what it has now the most that it had (proc_pid_clear_refs(5)).
    package static func resetPeak() throws(LinuxError) {
        let file = try File(opening: "/proc/self/clear_refs", .write)
        try file.write(Array("5".utf8))
    }

    /// Gives blocks of 128 KiB and more back to the system as soon as they are freed (`mallopt(3)`): left to itself the
    /// allocator keeps ever larger ones for the next time, for each thread.
    package static func returnLargeBlocks() {
        // Refused only for a size that is out of bounds.
        _ = clinux_map_blocks(128 << 10)
    }
}

/// What this process has read, as the system counts it.
package enum ProcessReads {
    /// Bytes that it asked files for, in memory already or not (`rchar`, proc_pid_io(5)); what it maps is not among them.
    package static func bytes() throws(LinuxError) -> Int {
        try ProcessCounter.number("rchar", in: "/proc/self/io")
    }
}

private enum ProcessCounter {
    /// The number behind `name` and a colon on a line of a file; 0 where there is none.
    static func number(_ name: String, in path: String) throws(LinuxError) -> Int {
        let text = String(decoding: try File.read(path), as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line?.split { !$0.isNumber }.first.flatMap { Int($0) } ?? 0
    }
}
