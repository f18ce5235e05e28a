// YAML documents as trees whose every node knows its file position, for diagnostics that point at the mistake.
//
// The only importer of `CYAML`.
