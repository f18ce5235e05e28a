internal import Glibc

/// A whole file mapped into memory for reading.
///
/// Only for files that are replaced by renaming and never cut or changed in place: reading behind the
/// end of a file that was cut kills the process.
@safe package struct MappedFile: ~Copyable, @unchecked Sendable {
    // SAFETY: the mapping is never written and lives as long as this value, so threads may share it.
    private let start: UnsafeRawPointer?
    /// Number of bytes.
    package let count: Int

    package init(_ path: String) throws(LinuxError) {
        let mapping = unsafe try Self.map(path)
        unsafe start = mapping.baseAddress
        count = mapping.count
    }

    private static func map(_ path: String) throws(LinuxError) -> UnsafeRawBufferPointer {
        let file = try File(opening: path, .read)
        let metadata = try file.metadata()
        guard metadata.isRegularFile else {
            throw LinuxError(operation: .map, path: path, errno: EINVAL)
        }
        let count = metadata.size
        // A mapping of no bytes is an error of mmap(2).
        if count == 0 { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        if case .error(let number) = FaultPlan.fault(for: .map) {
            throw LinuxError(operation: .map, path: path, errno: number)
        }
        let mapping = unsafe mmap(nil, count, PROT_READ, MAP_PRIVATE, file.descriptor.rawValue, 0)
        guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
            throw LinuxError(operation: .map, path: path, errno: errno)
        }
        return unsafe UnsafeRawBufferPointer(start: mapping, count: count)
    }

    deinit {
        if let start = unsafe start {
            unsafe munmap(UnsafeMutableRawPointer(mutating: start), count)
        }
    }

    /// The content.
    package var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            // SAFETY: the mapping outlives the borrow of this value.
            let span = unsafe RawSpan(_unsafeBytes: unsafeBytes)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The content, valid while this value lives.
    @unsafe
    package var unsafeBytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: start, count: count)
    }
}
