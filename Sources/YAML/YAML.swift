/// YAML documents as trees whose every node knows its file position, for diagnostics that point at the mistake.
///
/// The subset that configuration needs: one document of mappings with plain-text keys, sequences and scalars. Anchors,
/// aliases and tags are refused, so a document is as large as its text; size and depth are bounded; a repeated key is a
/// mistake. Scalars stay text: what a number or a truth is, the reader of the tree decides. The only importer of
/// `CYAML`. Start at ``YAMLDocument``.
package enum YAML {}
