package import LinuxIO

/// Why a region's keys cannot be used.
package enum KeysError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There are no keys here, or one of the two that every region has is gone.
    case missing(path: String)
    /// Others than the owner may read a key or look into the folder.
    case exposed(path: String, permissions: UInt32, isDirectory: Bool)
    case damaged(path: String, bytesExpected: Int, bytesFound: Int)
    /// The folder holds the keys of another region.
    case otherRegion(path: String, expected: String, found: String)
    case system(LinuxError)

    package var description: String {
        switch self {
        case .missing(let path):
            "no key at `\(path)`: `cordon init` makes a region's keys"
        case .exposed(let path, let permissions, let isDirectory):
            "`\(path)` is open to others than its owner (mode \(String(permissions, radix: 8))): "
                + "run `chmod \(isDirectory ? "700" : "600") \(path)`"
        case .damaged(let path, let expected, let found):
            "key file `\(path)` is damaged: expected \(expected) bytes, found \(found)"
        case .otherRegion(let path, let expected, let found):
            "`\(path)` holds keys of region `\(found)`, expected `\(expected)`"
        case .system(let error):
            error.description
        }
    }
}
