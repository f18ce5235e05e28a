internal import Bytes
package import Crypto

/// The head of a log: which log, how many entries, and the root over them (C2SP tlog-checkpoint).
package struct Checkpoint: Hashable, Sendable {
    /// Name of the log, the same for ever.
    package let origin: String
    package let size: Int
    package let root: Digest

    package init(origin: String, size: Int, root: Digest) {
        self.origin = origin
        self.size = size
        self.root = root
    }

    /// Reads exactly the texts that ``text`` gives; extension lines are refused, as no log of ours has any.
    package init?(_ text: some StringProtocol) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 4, !lines[0].isEmpty, let size = Int(lines[1]), size >= 0,
            let bytes = Base64.decode(lines[2]), let root = Digest(bytes)
        else { return nil }
        self.init(origin: String(lines[0]), size: size, root: root)
        guard self.text == text else { return nil }
    }

    /// The text to sign.
    package var text: String { "\(origin)\n\(size)\n\(Base64.encode(root.bytes))\n" }
}
