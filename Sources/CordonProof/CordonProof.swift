/// Proves statements about a rule set for every address there is, and signs what was proved.
///
/// A ``Prover`` takes the sources of the policies, the table that was compiled from them, a geo table and the invariants;
/// it merges the geo table's ranges by place and asks the table for every place, class of sites and consent that decisions
/// can tell apart. A ``ProofCertificate`` names by digest all that a proof was about. This target reads no project and writes
/// no file; it will not certify what does not hold. `CordonProofCheck` looks at a certificate again without any of this code.
package enum CordonProof {}
