/// The verifier in every archive for an auditor: one Python file that needs nothing else and shares no code with Cordon.
///
/// `verify.py` beside this file is built into the program, so that the program has it wherever it is installed. It checks
/// whole archives, single erasure certificates and single proofs, with an Ed25519 and a Merkle tree of its own; the tests
/// run it on what Cordon makes and on what was tampered with.
enum StaticVerifier {
    /// Its file name.
    static let name = "verify.py"

    static var bytes: [UInt8] { PackageResources.verify_py }
}
