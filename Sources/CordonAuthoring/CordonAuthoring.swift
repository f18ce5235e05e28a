/// What those who write policies need beside the compiler: one layout of the files, coverage by cases, cases at the borders of
/// ranges, the difference between two rule sets, and rule sets that were in force once.
///
/// Start at ``PolicyLayout``, ``RuleCoverage``, ``BoundarySweep``, ``RuleSetDifference`` and ``KeptRules``. Nothing here decides on a
/// hit, and nothing here is needed to run a collector but that the rules in force are kept.
package enum CordonAuthoring {}
