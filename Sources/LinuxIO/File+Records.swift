internal import CLinux
internal import Glibc

// What several processes need that write records into one file.
extension File {
    /// Takes a lock on one byte, which need not exist, for this opening of the file: other openings, in this process too,
    /// do not get it meanwhile. It goes with ``unlock(byte:)``, with the file, or with the process.
    ///
    /// - Parameter milliseconds: how long it is tried while somebody else has it.
    /// - Returns: whether it was taken.
    package func lock(byte: Int, milliseconds: Int = 0) throws(LinuxError) -> Bool {
        let deadline = SystemClock.monotonicMilliseconds() + UInt64(milliseconds)
        while true {
            do throws(LinuxError) {
                try systemCall(.lock, path) {
                    clinux_lock_byte(descriptor.rawValue, Int64(byte), Int16(F_WRLCK))
                }
                return true
            } catch {
                guard error.errno == EAGAIN || error.errno == EACCES else { throw error }
            }
            guard SystemClock.monotonicMilliseconds() < deadline else { return false }
            usleep(Self.lockPauseMicroseconds)
        }
    }

    /// From one try to take a lock to the next.
    private static let lockPauseMicroseconds: UInt32 = 200

    package func unlock(byte: Int) {
        // Fails only for what is no lock or no file.
        _ = clinux_lock_byte(descriptor.rawValue, Int64(byte), Int16(F_UNLCK))
    }

    /// Writes `parts` one behind the other from `offset` on, in one call where the system takes all (`pwritev(2)`).
    package func write(
        gathering parts: [UnsafeRawBufferPointer], at offset: Int
    ) throws(LinuxError) {
        var rest = unsafe parts.filter { unsafe !$0.isEmpty }
        var position = offset
        switch FaultPlan.fault(for: .write, on: path) {
        case .error(let number): throw LinuxError(operation: .write, path: path, errno: number)
        case .tornWrite(let number):
            if let first = unsafe rest.first {
                let torn = unsafe UnsafeRawBufferPointer(rebasing: first[..<(first.count / 2)])
                _ = unsafe pwrite(descriptor.rawValue, torn.baseAddress, torn.count, position)
            }
            throw LinuxError(operation: .write, path: path, errno: number)
        case .shortWrite, nil: break
        }
        while unsafe !rest.isEmpty {
            let count = min(unsafe rest.count, Self.partsMax)
            let vectors = unsafe rest[..<count].map {
                unsafe iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
            }
            var taken = 0
            while true {
                taken = unsafe pwritev(descriptor.rawValue, vectors, Int32(count), position)
                let number = errno
                if taken >= 0 { break }
                guard number == EINTR else {
                    throw LinuxError(operation: .write, path: path, errno: number)
                }
            }
            position += taken
            unsafe drop(taken, from: &rest)
        }
    }

    /// Overwrites with zeros whatever else stands from `start` to `end`.
    package func zero(from start: Int, to end: Int) throws(LinuxError) {
        let zeros = [UInt8](repeating: 0, count: Self.zeroedBytes)
        var offset = start
        while offset < end {
            let bytes = try read(at: offset, count: min(zeros.count, end - offset))
            if bytes.isEmpty { return }
            let isZero = unsafe bytes.withUnsafeBytes { bytes in
                unsafe zeros.withUnsafeBytes { zeros in
                    unsafe memcmp(bytes.baseAddress!, zeros.baseAddress!, bytes.count) == 0
                }
            }
            if !isZero {
                try write(
                    bytes.count == zeros.count ? zeros : Array(zeros[..<bytes.count]), at: offset)
            }
            offset += bytes.count
        }
    }

    /// Bytes that are looked at, and overwritten, at once.
    private static let zeroedBytes = 64 << 10

    /// As many as every Linux takes at once (`IOV_MAX`).
    private static let partsMax = 1024

    private func drop(_ count: Int, from parts: inout [UnsafeRawBufferPointer]) {
        var count = count
        var gone = 0
        while unsafe gone < parts.count, unsafe parts[gone].count <= count {
            count -= unsafe parts[gone].count
            gone += 1
        }
        unsafe parts.removeFirst(gone)
        if count > 0 {
            unsafe parts[0] = UnsafeRawBufferPointer(rebasing: parts[0][count...])
        }
    }
}
