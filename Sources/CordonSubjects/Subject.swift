package import CordonKeys
package import CordonModel

/// What a region can know of a person: the keyed digest, and one pseudonym for each key that still exists.
package struct Subject: Equatable, Sendable {
    package let digest: SubjectDigest
    package let pseudonyms: [EpochPseudonym]

    /// A pseudonym and the key that made it.
    package struct EpochPseudonym: Hashable, Sendable {
        package let epoch: RegionKeys.Epoch
        package let pseudonym: Pseudonym
        package init(epoch: RegionKeys.Epoch, pseudonym: Pseudonym) {
            self.epoch = epoch
            self.pseudonym = pseudonym
        }
    }

    package init(digest: SubjectDigest, pseudonyms: [EpochPseudonym]) {
        self.digest = digest
        self.pseudonyms = pseudonyms
    }

    package var users: Set<Pseudonym> { Set(pseudonyms.map(\.pseudonym)) }
    /// First day of the oldest key: older rows can no longer be tied to anyone. Nil without keys.
    package var keysFrom: Day? { pseudonyms.map(\.epoch.start).min() }
}

/// Turns a user id into what a region knows of the person; the only place of this target that sees one.
package struct SubjectTransform: SensitiveTransform {
    private let keys: RegionKeys
    package init(_ keys: RegionKeys) { self.keys = keys }

    package func apply(_ id: [UInt8]) -> Result<Subject, KeysError> {
        do throws(KeysError) {
            let pseudonyms = try keys.existing(.user).map { key in
                Subject.EpochPseudonym(
                    epoch: key.epoch,
                    pseudonym: key.pseudonym(user: id.span))
            }
            let digest = SubjectDigest(user: id.span, key: keys.subjectDigestKey)
            return .success(Subject(digest: digest, pseudonyms: pseudonyms))
        } catch {
            return .failure(error)
        }
    }
}
