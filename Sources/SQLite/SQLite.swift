// SQLite connections, statements and transactions behind non-copyable handles and typed errors.
//
// The only importer of `CSQLite`. Arguments never appear in error texts.
