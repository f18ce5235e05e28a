package import CordonModel
package import Crypto
internal import LinuxIO
internal import Merkle

/// Reads a region's audit log; changes nothing in it.
package struct AuditReader: Sendable {
    package let region: String
    let folder: AuditFolder
    let verifier: NoteVerifier

    /// - Parameter key: the region's public key, from its keys and not from the log's folder.
    package init(directory: String, region: String, key: Ed25519PublicKey) {
        self.region = region
        folder = AuditFolder(directory: directory, region: region)
        verifier = NoteVerifier(name: folder.origin, key: key)
    }

    /// - Parameter verifierKey: the region's verifier key, as ``verifierKey`` gives it; nil when it is none, or
    ///   another log's.
    package init?(directory: String, region: String, verifierKey: String) {
        self.region = region
        folder = AuditFolder(directory: directory, region: region)
        guard let verifier = NoteVerifier(verifierKey), verifier.name == folder.origin else {
            return nil
        }
        self.verifier = verifier
    }

    /// The verifier key as other tools read it.
    package var verifierKey: String { verifier.text }

    /// An entry with its place in the log.
    package struct Stored: Equatable, Sendable {
        package let index: Int
        package let entry: AuditEntry
    }

    /// Which entries are wanted; nil means all.
    package struct Filter: Sendable {
        package var kind: String?
        /// The role of who asked.
        package var role: String?
        /// The beginning of a subject's keyed digest, in lowercase hexadecimal.
        package var subject: String?
        /// A request's keyed digest.
        package var request: String?
        /// SHA-256 of a certificate's statement.
        package var certificate: String?
        package var since: Timestamp?
        /// Not included.
        package var until: Timestamp?

        package init(
            kind: String? = nil, role: String? = nil, subject: String? = nil,
            request: String? = nil, certificate: String? = nil,
            since: Timestamp? = nil, until: Timestamp? = nil
        ) {
            self.kind = kind
            self.role = role
            self.subject = subject
            self.request = request
            self.certificate = certificate
            self.since = since
            self.until = until
        }

        func matches(_ entry: AuditEntry) -> Bool {
            (kind == nil || entry.kind == kind) && (role == nil || entry.principal?.role == role)
                && (subject == nil || isAbout(entry))
                && (request.map { entry.fields["request"] == .text($0) } ?? true)
                && (certificate.map { entry.fields["certificate"] == .text($0) } ?? true)
                && since.map { entry.at >= $0 } ?? true && until.map { entry.at < $0 } ?? true
        }

        private func isAbout(_ entry: AuditEntry) -> Bool {
            guard case .text(let digest) = entry.fields["subject"], let subject else {
                return false
            }
            return digest.hasPrefix(subject)
        }
    }

    /// The last `limit` entries that match, oldest first. Reads bundles from the end, no more than it
    /// takes, and does not verify them: ``verify()`` does. Takes no lock: the log may grow meanwhile.
    package func entries(
        matching filter: Filter = Filter(), limit: Int = .max
    ) throws(AuditError) -> [Stored] {
        let size = try publishedSize()
        var found: [Stored] = []
        var end = size
        while end > 0, found.count < limit {
            let index = (end - 1) / TilePath.fullWidth
            let start = index * TilePath.fullWidth
            let tile = TilePath(.entries, index: index, width: end - start)
            let bytes = try folder.snapshot(tile)
            let encoded = bytes.map { EntryBundle.decode($0).entries } ?? []
            guard encoded.count == tile.width else {
                throw .damaged(path: folder.path(tile), expected: "\(tile.width) entries")
            }
            for (offset, bytes) in encoded.enumerated().reversed() where found.count < limit {
                guard let entry = AuditEntry(decoding: bytes) else {
                    throw .damaged(
                        path: folder.path(tile), expected: "an audit entry at \(start + offset)")
                }
                if filter.matches(entry) {
                    found.append(Stored(index: start + offset, entry: entry))
                }
            }
            end = start
        }
        return found.reversed()
    }

    /// Gives every entry, oldest first, with one bundle in memory at a time, up to the present checkpoint. Takes no lock, and does not verify them: ``verify()`` does.
    package func visit(_ body: (Stored) throws -> Void) throws {
        let size = try publishedSize()
        var start = 0
        while start < size {
            let width = min(TilePath.fullWidth, size - start)
            let tile = TilePath(.entries, index: start / TilePath.fullWidth, width: width)
            let bytes = try folder.snapshot(tile)
            let encoded = bytes.map { EntryBundle.decode($0).entries } ?? []
            guard encoded.count == width else {
                throw AuditError.damaged(path: folder.path(tile), expected: "\(width) entries")
            }
            for (offset, bytes) in encoded.enumerated() {
                guard let entry = AuditEntry(decoding: bytes) else {
                    throw AuditError.damaged(
                        path: folder.path(tile), expected: "an audit entry at \(start + offset)")
                }
                try body(Stored(index: start + offset, entry: entry))
            }
            start += width
        }
    }

    private func publishedSize() throws(AuditError) -> Int {
        guard let bytes = try folder.read(folder.checkpointPath) else {
            throw .checkpointMissing(path: folder.checkpointPath)
        }
        guard let note = SignedNote(parsing: bytes), let checkpoint = Checkpoint(note.text) else {
            throw .checkpointInvalid(path: folder.checkpointPath)
        }
        return checkpoint.size
    }
}

extension AuditFolder {
    /// Keeps writers out while the log is read. Where the folder cannot be written there is no lock and
    /// no writer either.
    func lockForReading() throws(AuditError) -> FileLock? {
        do throws(LinuxError) {
            return try FileLock(waitingFor: lockPath, .shared)
        } catch {
            if error.isAccessDenied || error.isMissing { return nil }
            throw .system(error)
        }
    }
}
