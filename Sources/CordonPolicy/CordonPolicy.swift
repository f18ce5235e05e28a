/// Regions, policies and atlas: read with positions, checked whole, compiled to one immutable rule set that decides hits.
///
/// Reading (``ProjectConfiguration``) reports every mistake of every file at once and yields nothing when there is one. The
/// compiled ``RuleSet`` is total and unambiguous; ``BoundRules`` in `Decision/` is its form for the hot path, without Foundation
/// and without allocation. It opens no socket and keeps no state; what it cannot tell it decides the stricter way.
package enum CordonPolicy {}
