#pragma once
#include <sqlite3.h>

// SQLITE_TRANSIENT and SQLITE_STATIC are casts to a function pointer, which the importer leaves out.
static inline int csqlite_bind_text_copy(
    sqlite3_stmt *_Nonnull statement, int index, const char *_Nonnull text, int count
) {
    return sqlite3_bind_text(statement, index, text, count, SQLITE_TRANSIENT);
}

static inline int csqlite_bind_blob_copy(
    sqlite3_stmt *_Nonnull statement, int index, const void *_Nonnull bytes, int count
) {
    return sqlite3_bind_blob(statement, index, bytes, count, SQLITE_TRANSIENT);
}

static inline int csqlite_bind_blob_borrowed(
    sqlite3_stmt *_Nonnull statement, int index, const void *_Nonnull bytes, int count
) {
    return sqlite3_bind_blob(statement, index, bytes, count, SQLITE_STATIC);
}
