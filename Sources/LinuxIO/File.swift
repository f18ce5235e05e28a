internal import Glibc

/// An open file together with the path that its errors name.
package struct File: ~Copyable, Sendable {
    package let descriptor: FileDescriptor
    package let path: String

    /// How a file is opened (`open(2)`); close-on-exec is always set.
    package struct Options: OptionSet, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let read = Options(rawValue: O_RDONLY)
        package static let write = Options(rawValue: O_WRONLY)
        package static let readWrite = Options(rawValue: O_RDWR)
        /// Made when it is missing.
        package static let create = Options(rawValue: O_CREAT)
        /// With ``create``: an error when it is there.
        package static let exclusive = Options(rawValue: O_EXCL)
        package static let truncate = Options(rawValue: O_TRUNC)
        package static let append = Options(rawValue: O_APPEND)
        package static let directory = Options(rawValue: O_DIRECTORY)
        /// A write returns when its bytes, and what is needed to read them, are on disk.
        package static let syncedData = Options(rawValue: O_DSYNC)
        /// An error when the path ends in a symbolic link.
        package static let noFollow = Options(rawValue: O_NOFOLLOW)
    }

    /// What `fstat(2)` says.
    package struct Metadata: Equatable, Sendable {
        /// In bytes.
        package let size: Int
        /// The permission bits, such as 0o600.
        package let permissions: UInt32
        package let isDirectory: Bool
        package let isRegularFile: Bool
        package let ownerID: UInt32
        package let device: UInt64
        package let inode: UInt64
        /// Last change of content, in microseconds since 1970.
        package let modifiedMicroseconds: Int64

        init(_ status: stat) {
            size = Int(status.st_size)
            permissions = status.st_mode & 0o7777
            isDirectory = status.st_mode & S_IFMT == S_IFDIR
            isRegularFile = status.st_mode & S_IFMT == S_IFREG
            ownerID = status.st_uid
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            modifiedMicroseconds =
                Int64(status.st_mtim.tv_sec) * 1_000_000 + Int64(status.st_mtim.tv_nsec) / 1000
        }
    }

    /// Opens `path`; a file made by it has the permission bits `mode`, less the process's mask.
    package init(
        opening path: String, _ options: Options, mode: UInt32 = 0o600
    ) throws(LinuxError) {
        let raw = try systemCall(.open, path) {
            unsafe Glibc.open(path, options.rawValue | O_CLOEXEC, mode)
        }
        descriptor = FileDescriptor(owning: raw)
        self.path = path
    }

    package func metadata() throws(LinuxError) -> Metadata {
        var status = stat()
        try systemCall(.inspect, path) { unsafe fstat(descriptor.rawValue, &status) }
        return Metadata(status)
    }

    /// Bytes from `offset` on: `count`, or fewer at the end of the file.
    package func read(at offset: Int, count: Int) throws(LinuxError) -> [UInt8] {
        var bytes: [UInt8] = []
        var failure: LinuxError?
        bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(LinuxError) {
                filled = try unsafe read(
                    at: offset,
                    into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Fills `buffer` with the bytes from `offset` on and says how many there were: fewer than it has room for at the end
    /// of the file.
    package func read(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LinuxError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let taken = try systemCall(.read, path) {
                unsafe pread(
                    descriptor.rawValue, buffer.baseAddress! + filled, buffer.count - filled,
                    offset + filled)
            }
            if taken == 0 { break }
            filled += taken
        }
        return filled
    }

    /// Everything from the start to the end, also of files whose size is not known (pipes, `/proc`).
    package func readToEnd() throws(LinuxError) -> [UInt8] {
        var bytes: [UInt8] = []
        let size = try metadata().size
        var wanted = size > 0 ? size : 64 << 10
        while true {
            let chunk: [UInt8] = try readNext(wanted)
            if chunk.isEmpty { return bytes }
            if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
            wanted = 64 << 10
        }
    }

    /// At most `count` bytes from the descriptor's own position; none at the end.
    package func readNext(_ count: Int) throws(LinuxError) -> [UInt8] {
        var failure: LinuxError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(LinuxError) {
                filled = try systemCall(.read, path) {
                    unsafe Glibc.read(descriptor.rawValue, buffer.baseAddress!, count)
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Puts bytes from the descriptor's own position into `buffer` and says how many; 0 at the end.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(LinuxError) -> Int {
        try systemCall(.read, path) {
            unsafe Glibc.read(descriptor.rawValue, buffer.baseAddress, buffer.count)
        }
    }

    /// Writes all of `bytes`, at `offset` or, when that is nil, at the descriptor's own position.
    package func write(_ bytes: [UInt8], at offset: Int? = nil) throws(LinuxError) {
        var failure: LinuxError?
        unsafe bytes.withUnsafeBytes { buffer in
            do throws(LinuxError) { try unsafe write(buffer, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int?) throws(LinuxError) {
        var done = 0
        while done < bytes.count {
            var count = bytes.count - done
            var failing: Int32?
            switch FaultPlan.fault(for: .write) {
            case .error(let number): throw LinuxError(operation: .write, path: path, errno: number)
            case .shortWrite: count = max(1, count / 2)
            case .tornWrite(let number):
                count /= 2
                failing = number
            case nil: break
            }
            let start = unsafe bytes.baseAddress! + done
            let taken =
                if let offset {
                    unsafe pwrite(descriptor.rawValue, start, count, offset + done)
                } else {
                    unsafe Glibc.write(descriptor.rawValue, start, count)
                }
            let number = failing ?? errno
            if failing != nil || taken < 0 && number != EINTR {
                throw LinuxError(operation: .write, path: path, errno: number)
            }
            done += max(taken, 0)
        }
    }

    /// Content and metadata are on disk when it returns (`fsync(2)`).
    package func sync() throws(LinuxError) {
        try systemCall(.sync, path) { fsync(descriptor.rawValue) }
    }

    /// Content, and the size that is needed to read it, are on disk when it returns (`fdatasync(2)`).
    package func syncData() throws(LinuxError) {
        try systemCall(.sync, path) { fdatasync(descriptor.rawValue) }
    }

    package func truncate(to size: Int) throws(LinuxError) {
        try systemCall(.truncate, path) { ftruncate(descriptor.rawValue, size) }
    }

    package func setPermissions(_ mode: UInt32) throws(LinuxError) {
        try systemCall(.inspect, path) { fchmod(descriptor.rawValue, mode) }
    }
}
