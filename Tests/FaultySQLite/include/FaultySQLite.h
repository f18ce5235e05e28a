/// Makes writes and syncs of chosen SQLite files fail, at a chosen call.
///
/// A layer over SQLite's own file functions (sqlite.org/vfs.html). Files whose path begins with the prefix of a plan go
/// through the layer; all others go past it. For tests alone.
#ifndef FAULTY_SQLITE_H
#define FAULTY_SQLITE_H

/// What the chosen call does.
enum faulty_kind {
    /// A write or sync does nothing and fails (SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC).
    faulty_error = 0,
    /// A write does nothing and says that the disk is full; a sync fails.
    faulty_full = 1,
    /// A write takes half of its bytes, then fails; a sync fails.
    faulty_torn = 2,
};

/// Which calls count.
enum faulty_calls { faulty_writes = 1, faulty_syncs = 2 };

/// Begins a plan for files whose path begins with `prefix`; they must be opened after this. Returns its number, or -1
/// when there are too many.
int faulty_begin(const char *_Nonnull prefix);

/// Lets the `number`-th call from now on fail (0: none); with `lasting` all behind it as well.
void faulty_arm(int plan, int number, enum faulty_kind kind, int calls, int lasting);

/// Calls that counted since the plan was last armed.
int faulty_count(int plan);

/// Whether the chosen call was reached since the plan was last armed.
int faulty_has_struck(int plan);

#endif
