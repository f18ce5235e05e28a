package import Crypto

/// By what the suppression list, requests and the audit log know a person: a keyed digest of the user id.
///
/// The edge makes it of each user id that arrives, erasure of the id that it is given, so both must use this one.
/// It says nothing in another region, whose key is another.
package struct SubjectDigest: Hashable, Sendable {
    package let digest: Digest

    /// The digest of a user id, byte for byte as the site sent it. Allocates nothing.
    package init(user id: Span<UInt8>, key: HMACKey) { digest = key.authenticate(id) }

    package init(digest: Digest) { self.digest = digest }

    /// The form in the suppression list: the first 16 bytes.
    package var suppressed: UInt128 { digest.leading128 }
    /// 64 lowercase hexadecimal digits.
    package var hex: String { digest.hex }
}
