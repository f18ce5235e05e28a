internal import Glibc

/// A whole file mapped into memory for reading.
///
/// ``init(_:)`` maps the file itself: only for files that nobody cuts or changes in place, since reading behind the
/// end of a file that was cut kills the process. ``init(copying:)`` maps memory of its own.
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

    /// Maps memory that holds what is in the file now: what happens to the file later does not matter.
    package init(copying path: String) throws(LinuxError) {
        let mapping = unsafe try Self.copy(path)
        unsafe start = mapping.baseAddress
        count = mapping.count
    }

    private static func copy(_ path: String) throws(LinuxError) -> UnsafeRawBufferPointer {
        let file = try File(opening: path, .read)
        let metadata = try file.metadata()
        guard metadata.isRegularFile else {
            throw LinuxError(operation: .map, path: path, errno: EINVAL)
        }
        let count = metadata.size
        if count == 0 { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let mapping = unsafe mmap(nil, count, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
            throw LinuxError(operation: .map, path: path, errno: errno)
        }
        // A table that is looked into at random is found faster by large pages; where there are none, nothing changes.
        _ = unsafe madvise(mapping, count, MADV_HUGEPAGE)
        var offset = 0
        while offset < count {
            // SAFETY: `offset` is below `count`, the size of the mapping.
            let taken = unsafe pread(
                file.descriptor.rawValue, mapping + offset, count - offset, off_t(offset))
            if taken < 0, errno == EINTR { continue }
            guard taken > 0 else {
                // Nothing more to read: the file was cut meanwhile.
                let number = taken < 0 ? errno : EIO
                unsafe munmap(mapping, count)
                throw LinuxError(operation: .read, path: path, errno: number)
            }
            offset += taken
        }
        _ = unsafe mprotect(mapping, count, PROT_READ)
        return unsafe UnsafeRawBufferPointer(start: mapping, count: count)
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
