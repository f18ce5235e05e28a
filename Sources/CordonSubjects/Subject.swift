package import Bytes
internal import CordonJournal
package import CordonKeys
package import CordonModel
internal import Crypto

/// What a region can know of a person, or of the people of a list: a keyed digest, and one pseudonym for each key that
/// still exists.
package struct Subject: Equatable, Sendable {
    package let digest: SubjectDigest
    /// How the person was named.
    package let naming: Naming
    /// How many people these are.
    package let people: Int
    /// Digests of the user ids, by which the edge keeps out new hits. Empty where no user id is known: an address and a user
    /// agent name a household as often as a person.
    package let suppressed: Set<SubjectDigest>
    package let pseudonyms: [EpochPseudonym]
    /// The days that were asked for; nil means all.
    package let days: ClosedRange<Day>?

    /// By what a person is named in a request.
    package enum Naming: String, CaseIterable, Sendable {
        case user, visitor, pseudonym, list
        /// People of earlier erasures, who came back with a backup.
        case ledger
    }

    /// A pseudonym and the key that made it.
    package struct EpochPseudonym: Hashable, Sendable {
        package let field: PseudonymField
        /// Nil where the pseudonym itself was given.
        package let epoch: RegionKeys.Epoch?
        package let pseudonym: Pseudonym

        package init(epoch: RegionKeys.Epoch, pseudonym: Pseudonym) {
            field = epoch.field
            self.epoch = epoch
            self.pseudonym = pseudonym
        }

        package init(field: PseudonymField, pseudonym: Pseudonym) {
            self.field = field
            epoch = nil
            self.pseudonym = pseudonym
        }
    }

    package init(
        digest: SubjectDigest, naming: Naming, people: Int = 1,
        suppressed: Set<SubjectDigest> = [], pseudonyms: [EpochPseudonym],
        days: ClosedRange<Day>? = nil
    ) {
        self.digest = digest
        self.naming = naming
        self.people = people
        self.suppressed = suppressed
        self.pseudonyms = pseudonyms
        self.days = days
    }

    /// The hits of the person, on the days that were asked for.
    package var filter: SubjectFilter {
        var filter = SubjectFilter(pseudonyms)
        filter.window = days.map { $0.lowerBound.start..<($0.upperBound + 1).start }
        return filter
    }
    /// First day of the oldest key: older rows can no longer be tied to anyone. Nil without keys.
    package var keysFrom: Day? { pseudonyms.compactMap(\.epoch?.start).min() }

    /// First days, up to `today`, of the periods that have a key, and had another before it that is destroyed: what that one made can
    /// no longer be tied to anyone either.
    package func periodsWithLostKeys(on today: Day) -> [Day] {
        let epochs = Set(pseudonyms.compactMap(\.epoch))
        let lacking = epochs.filter { epoch in
            (0..<epoch.generation).contains { generation in
                !epochs.contains(
                    RegionKeys.Epoch(
                        field: epoch.field, period: epoch.period, start: epoch.start,
                        generation: generation))
            }
        }
        return Set(lacking.map(\.start)).filter { $0 <= today }.sorted()
    }

    /// The same person with all the days that an erasure covers.
    package var erased: Subject {
        Subject(
            digest: digest, naming: naming, people: people, suppressed: suppressed,
            pseudonyms: pseudonyms)
    }

    /// The days that an erasure covers: whole periods of keys, since one pseudonym stands in all rows of its period. Nil
    /// means all.
    package var erasedDays: ClosedRange<Day>? {
        guard let days else { return nil }
        let epochs = pseudonyms.compactMap(\.epoch)
        let first = epochs.map(\.start).min() ?? days.lowerBound
        let last = epochs.map { $0.end + -1 }.max() ?? days.upperBound
        return min(first, days.lowerBound)...max(last, days.upperBound)
    }
}

extension SubjectFilter {
    init(_ pseudonyms: [Subject.EpochPseudonym]) {
        self.init()
        for entry in pseudonyms {
            switch entry.field {
            case .user: users.insert(entry.pseudonym)
            case .visitor: visitors.insert(entry.pseudonym)
            }
        }
    }
}

extension PseudonymField {
    /// The field in the journal's suppression list.
    var suppressed: SuppressedField { self == .user ? .user : .visitor }
}

/// Who is asked for, as the person's own values say it.
package enum SubjectName {
    /// The user id that the site sends.
    case user([UInt8])
    /// Who came from an address with a user agent to a site, on these days; nil means every day whose key exists.
    case visitor(
        address: IPAddress, userAgent: [UInt8], site: [UInt8], days: ClosedRange<Day>?)
    /// A pseudonym as the lake holds it, of a user or a visitor.
    case pseudonym(Pseudonym)
    /// User ids.
    case list([[UInt8]])
}

/// Turns what names a person into what a region knows of them; the only place of this target that sees it.
package struct NamedSubjectTransform: SensitiveTransform {
    private let keys: RegionKeys
    package init(_ keys: RegionKeys) { self.keys = keys }

    package func apply(_ name: SubjectName) -> Result<Subject, KeysError> {
        do throws(KeysError) {
            switch name {
            case .user(let id): return .success(try user(id))
            case .visitor(let address, let userAgent, let site, let days):
                return .success(try visitor(address, userAgent, site, days))
            case .pseudonym(let pseudonym): return .success(self.pseudonym(pseudonym))
            case .list(let ids): return .success(try list(ids))
            }
        } catch {
            return .failure(error)
        }
    }

    private func user(_ id: [UInt8]) throws(KeysError) -> Subject {
        let keys = try keys.existing(.user)
        let digest = SubjectDigest(user: id.span, key: self.keys.subjectDigestKey)
        return Subject(
            digest: digest, naming: .user, suppressed: [digest],
            pseudonyms: Self.pseudonyms(of: id, keys))
    }

    private static func pseudonyms(
        of id: [UInt8], _ keys: [PseudonymKey]
    ) -> [Subject.EpochPseudonym] {
        keys.map { .init(epoch: $0.epoch, pseudonym: $0.pseudonym(user: id.span)) }
    }

    /// The people of a list are one subject; its digest is that of their digests in order, so that the same list in any order
    /// is the same subject.
    private func list(_ ids: [[UInt8]]) throws(KeysError) -> Subject {
        let keys = try keys.existing(.user)
        var digests: Set<SubjectDigest> = []
        var pseudonyms: [Subject.EpochPseudonym] = []
        for id in ids {
            let digest = SubjectDigest(user: id.span, key: self.keys.subjectDigestKey)
            guard digests.insert(digest).inserted else { continue }
            pseudonyms += Self.pseudonyms(of: id, keys)
        }
        let members = digests.map(\.digest.bytes).sorted { $0.lexicographicallyPrecedes($1) }
        return Subject(
            digest: digest("list", members), naming: .list, people: digests.count,
            suppressed: digests, pseudonyms: pseudonyms)
    }

    private func visitor(
        _ address: IPAddress, _ userAgent: [UInt8], _ site: [UInt8], _ days: ClosedRange<Day>?
    ) throws(KeysError) -> Subject {
        let pseudonyms = try keys.existing(.visitor).filter { key in
            days.map { key.start <= $0.upperBound && key.epoch.end > $0.lowerBound } ?? true
        }.map { key in
            Subject.EpochPseudonym(
                epoch: key.epoch,
                pseudonym: key.pseudonym(
                    address: address, userAgent: userAgent.span, site: site.span))
        }
        let plain = address.unmapped
        let bytes = (0..<16).map { UInt8(truncatingIfNeeded: plain.value >> UInt128(120 - 8 * $0)) }
        let span = days.map { "\($0.lowerBound.text)..\($0.upperBound.text)" } ?? ""
        return Subject(
            digest: digest(
                "visitor", [[plain.isIPv6 ? 6 : 4] + bytes, userAgent, site, Array(span.utf8)]),
            naming: .visitor, pseudonyms: pseudonyms, days: days)
    }

    /// Nobody can tell the field of a pseudonym by looking at it, so it is sought in both.
    private func pseudonym(_ pseudonym: Pseudonym) -> Subject {
        Subject(
            digest: digest("pseudonym", [pseudonym.bytes]), naming: .pseudonym,
            pseudonyms: PseudonymField.allCases.map { .init(field: $0, pseudonym: pseudonym) })
    }

    /// People of earlier erasures, by pseudonyms that are there again.
    func erased(_ pseudonyms: [Subject.EpochPseudonym]) -> Subject {
        Subject(
            digest: digest(
                "erased", pseudonyms.map { [$0.field.rawValue] + $0.pseudonym.bytes }),
            naming: .ledger, people: pseudonyms.count, pseudonyms: pseudonyms)
    }

    /// A digest of pieces, lengths before them, that is never one of a user id: no id begins with a zero byte and a word of
    /// ours behind it.
    private func digest(_ kind: String, _ pieces: [[UInt8]]) -> SubjectDigest {
        var code = keys.subjectDigestKey.begin()
        code.update(Array("\u{0}\(kind)\u{0}".utf8))
        for piece in pieces {
            code.update(bigEndian: UInt32(piece.count))
            code.update(piece)
        }
        return SubjectDigest(digest: code.finalize())
    }
}
