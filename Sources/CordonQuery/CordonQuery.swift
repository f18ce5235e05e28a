/// The sovereignty check: which rows and columns a principal may see, the gate that its SQL must pass, and the locked
/// child process that runs it.
///
/// A query is a ``QueryRequest``; ``QueryService`` takes it through ``AccessDecision`` (policies → what may be seen),
/// ``QueryGate`` (text → checked tree), ``GroupGuard`` (aggregates over at least k people), ``HitsView`` (the only
/// relation it can name) and ``QueryChild`` (where it runs), and writes the audit entry before anything is shown.
/// INVARIANT: what no rule allows is refused; nothing here falls back to a looser check. `Docs/formats/query.md` says what
/// passes.
package enum CordonQuery {}
