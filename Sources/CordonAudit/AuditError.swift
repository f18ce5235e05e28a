package import LinuxIO

/// Why the audit log could not be written or read. Whoever wanted to record something does not do it then.
package enum AuditError: Error, Equatable, Sendable, CustomStringConvertible {
    case system(LinuxError)
    /// There are tiles and no checkpoint, or no log at all where one is read.
    case checkpointMissing(path: String)
    /// The checkpoint cannot be read, is another log's, or its signature is wrong.
    case checkpointInvalid(path: String)
    /// The checkpoint is older than, or another than, what was signed before.
    case wentBack(path: String, signedSize: Int, foundSize: Int)
    /// The log does not continue what its key had signed, as a checkpoint shows that is kept elsewhere.
    case rolledBack(path: String, keptPath: String, signedSize: Int, foundSize: Int)
    /// Another key signs the log by now.
    case keyReplaced(path: String)
    /// An introduction of a key is none of this log, or the log does not begin with what was handed over.
    case introductionInvalid(path: String)
    /// The key was changed as often as is followed.
    case introductionsFull(path: String, max: Int)
    /// A checkpoint that is kept elsewhere cannot be read or is not this log's.
    case keptInvalid(path: String)
    /// A file does not fit the checkpoint.
    case damaged(path: String, expected: String)
    case entryTooLarge(bytes: Int, bytesMax: Int)
    case otherRegion(expected: String, found: String)
    /// An entry was asked for that the log does not have.
    case noEntry(index: Int, size: Int)

    package var description: String {
        switch self {
        case .system(let error):
            "audit log: \(error)"
        case .checkpointMissing(let path):
            "audit log: no checkpoint at `\(path)`"
        case .checkpointInvalid(let path):
            "audit log: the checkpoint `\(path)` is not one that this region's key signed"
        case .wentBack(let path, let signed, let found):
            "audit log: `\(path)` has \(found) entries and does not follow the \(signed) signed before"
        case .rolledBack(let path, let kept, let signed, let found):
            "audit log: `\(path)` has \(found) entries and does not continue the \(signed) that were signed, as `\(kept)` "
                + "shows: the log was put back to an earlier state or rewritten, and nothing is signed over that. "
                + "Restore the folder that has all \(signed) entries"
        case .keyReplaced(let path):
            "audit log: another key signs the log in `\(path)` by now: start this process again; when a change of the key was "
                + "cut off, `cordon keys rotate --signing` finishes it"
        case .introductionInvalid(let path):
            "audit log: `\(path)` introduces no key of this log, or the log begins otherwise than the older key signed: "
                + "nothing is signed over that. `cordon audit verify` names every place; restore the folder"
        case .introductionsFull(let path, let max):
            "audit log: `\(path)` has \(max) introductions of keys, and no more are followed: the key stays as it is"
        case .keptInvalid(let path):
            "audit log: `\(path)` keeps no checkpoint that this region's key signed: restore the file, or remove it when "
                + "`cordon audit verify` finds the log sound and its witnesses agree"
        case .damaged(let path, let expected):
            "audit log: `\(path)` does not fit the checkpoint, expected \(expected): "
                + "`cordon audit verify` names every place"
        case .entryTooLarge(let bytes, let bytesMax):
            "audit log: an entry of \(bytes) bytes, at most \(bytesMax) fit"
        case .otherRegion(let expected, let found):
            "audit log: an entry of region `\(found)`, expected `\(expected)`"
        case .noEntry(let index, let size):
            size == 0
                ? "audit log: no entry \(index), the log is empty"
                : "audit log: no entry \(index), the log has 0 to \(size - 1)"
        }
    }
}
