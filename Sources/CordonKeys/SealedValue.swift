internal import Bytes
package import CordonModel
internal import Crypto

/// The key of one person's sealed values, in memory. Wiped when it goes.
package final class SubjectKey: @unchecked Sendable {
    // SAFETY: never changed between the initializer and `deinit`.
    private var bytes: [UInt8]

    /// - Parameter bytes: 32 random bytes.
    init(_ bytes: [UInt8]) {
        precondition(bytes.count == RegionKeys.keyBytes)
        self.bytes = bytes
    }

    deinit { Secret.wipe(&bytes) }

    /// The sealed form of a value at its place: `sealed:1:` and the base64 of nonce, ciphertext and tag.
    ///
    /// Values are padded, so that the length of a path does not tell which of a site's few pages it is.
    package func seal(_ text: String, at place: SealedPlace) -> String {
        var plain = Array(text.utf8)
        plain.append(Self.paddingMark)
        plain += [UInt8](repeating: 0, count: -plain.count & (Self.paddedBytes - 1))
        defer { Secret.wipe(&plain) }
        let nonce = SecureRandom.bytes(AES256GCM.nonceBytes)
        let sealed = AES256GCM.seal(
            plain, key: bytes, nonce: nonce, authenticating: place.context)
        return SealableColumn.sealedPrefix + Base64.encode(nonce + sealed)
    }

    /// The value; nil when it was sealed under another key or for another place, was changed, or is not sealed at all.
    package func open(_ text: String, at place: SealedPlace) -> String? {
        guard SealableColumn.isSealed(text),
            let sealed = Base64.decode(text.dropFirst(SealableColumn.sealedPrefix.count)),
            sealed.count >= AES256GCM.nonceBytes + AES256GCM.tagBytes
        else { return nil }
        guard
            var plain = AES256GCM.open(
                Array(sealed[AES256GCM.nonceBytes...]), key: bytes,
                nonce: Array(sealed[..<AES256GCM.nonceBytes]), authenticating: place.context)
        else { return nil }
        defer { Secret.wipe(&plain) }
        guard let end = plain.lastIndex(where: { $0 != 0 }), plain[end] == Self.paddingMark else {
            return nil
        }
        return String(validating: plain[..<end], as: UTF8.self)
    }

    /// Stands behind a value; zeros follow up to a multiple of ``paddedBytes`` (ISO/IEC 7816-4).
    private static let paddingMark: UInt8 = 0x80
    private static let paddedBytes = 32
}

/// Where a sealed value stands, so that it opens nowhere else.
package struct SealedPlace: Sendable {
    /// What is authenticated with the value.
    let context: [UInt8]

    /// - Parameters:
    ///   - parameter: the key, in the column of parameters.
    ///   - hit: the hit's id.
    package init(region: String, column: SealableColumn, parameter: String?, hit: UInt128) {
        var context = Array("\(region)\u{0}\(column.rawValue)\u{0}".utf8)
        context.append(bigEndian: hit)
        context += Array((parameter ?? "").utf8)
        self.context = context
    }
}

/// The sealed columns of a region's hits.
package struct SealedColumns: Sendable {
    package let region: String
    package let columns: [SealableColumn]

    package init(region: String, columns: [SealableColumn] = SealableColumn.allCases) {
        self.region = region
        self.columns = columns
    }

    /// Seals the hit's values under its person's key.
    ///
    /// - Parameter key: nil for a hit that is tied to nobody. No query shows its values and no request of a person ever
    ///   reaches them, so nobody could use them rightly: they go.
    package func seal(_ record: inout HitRecord, under key: SubjectKey?) {
        let hit = record.hitID
        for column in columns {
            record.changeValues(of: column) { parameter, value in
                key?.seal(
                    value,
                    at: SealedPlace(
                        region: region, column: column, parameter: parameter, hit: hit))
            }
        }
    }

    /// Opens the hit's sealed values by whichever of `keys` does; what none opens goes.
    ///
    /// - Returns: how many went.
    @discardableResult
    package func open(_ record: inout HitRecord, under keys: [SubjectKey]) -> Int {
        let hit = record.hitID
        var unopened = 0
        for column in columns {
            record.changeValues(of: column) { parameter, value in
                guard SealableColumn.isSealed(value) else { return value }
                let place = SealedPlace(
                    region: region, column: column, parameter: parameter, hit: hit)
                for key in keys { if let opened = key.open(value, at: place) { return opened } }
                unopened += 1
                return nil
            }
        }
        return unopened
    }
}
