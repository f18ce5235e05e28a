// Hashes, keyed hashes, random bytes and Ed25519 signatures of OpenSSL 3 behind Swift types.
//
// The only importer of `COpenSSL`. Keys are non-copyable or final classes and are wiped when they go.
