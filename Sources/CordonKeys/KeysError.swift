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
    /// The key that wraps the region's keys cannot be had.
    case masterUnavailable(source: String, reason: String)
    /// A key that was to become the region's master key cannot be had; what is wrapped by now does not need it.
    case masterUnfit(source: String, reason: String)
    /// A key is wrapped by another master key than the one at hand, or by none that is named.
    case masterDiffers(path: String, source: String, expected: String)
    /// A wrapped key was changed, or is another key's or region's.
    case wrappedDamaged(path: String)
    /// A key's file holds zeros alone: it was overwritten.
    case zeroed(path: String)
    /// A source of a master key that lies in the folder it is to protect.
    case masterInside(path: String)
    /// An epoch that the collector makes pseudonyms with.
    case inUse(epoch: String)
    /// The file of the keys of persons was made by a later version, or is none.
    case foreignSubjectKeys(path: String)
    /// Somebody reads the keys of persons all the time, so that what was destroyed is still in their write-ahead log.
    case subjectKeysBusy(path: String)
    case system(LinuxError)

    package var description: String {
        switch self {
        case .missing(let path):
            "no key at `\(path)`: `cordon init` makes the keys of a new region; those of one that has an audit log come from "
                + "their backup alone"
        case .exposed(let path, let permissions, let isDirectory):
            "`\(path)` is open to others than its owner (mode \(String(permissions, radix: 8))): "
                + "run `chmod \(isDirectory ? "700" : "600") \(path)`"
        case .damaged(let path, let expected, let found):
            "key file `\(path)` is damaged: expected \(expected) bytes, found \(found)"
        case .otherRegion(let path, let expected, let found):
            "`\(path)` holds keys of region `\(found)`, expected `\(expected)`"
        case .masterUnavailable(let source, let reason):
            "the master key `\(source)` cannot be had: \(reason). Without it no key of the region opens: no hit is "
                + "taken, no person is found, no audit entry is signed. Bring it back; what it wraps cannot be opened "
                + "in any other way"
        case .masterUnfit(let source, let reason):
            "the master key `\(source)` cannot be had: \(reason). No key is wrapped by it, and none was changed"
        case .masterDiffers(let path, let source, let expected):
            "`\(path)` is wrapped by the master key \(expected), and `\(source)` is another: bring back that key; "
                + "what it wraps cannot be opened in any other way"
        case .wrappedDamaged(let path):
            "`\(path)` is not what was wrapped for this place: it was changed, or belongs to another key or region"
        case .zeroed(let path):
            "key file `\(path)` holds zeros alone: it was overwritten, and is no key"
        case .masterInside(let path):
            "`\(path)` lies among the keys that it is to protect: keep it elsewhere"
        case .inUse(let epoch):
            "\(epoch) is in use: `cordon keys rotate` begins another key first"
        case .foreignSubjectKeys(let path):
            "`\(path)` does not hold the keys of sealed columns as this version makes them"
        case .subjectKeysBusy(let path):
            "`\(path)` is being read, so that the bytes of destroyed keys could not be cut from its write-ahead log: "
                + "end whatever reads it; the next attempt goes on"
        case .system(let error):
            error.description
        }
    }
}
