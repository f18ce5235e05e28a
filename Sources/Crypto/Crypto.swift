/// SHA-256, HMAC-SHA256, HKDF, AES-GCM, random bytes, Ed25519 and X25519 of OpenSSL 3 behind Swift types.
///
/// The only importer of `COpenSSL`; no algorithm is written here but the few lines of HKDF. Keys are final classes and are wiped
/// when they go. Start at ``HMACKey`` and ``Ed25519PrivateKey``.
package enum Crypto {}
