#include "CADBC.h"

// Sizes and places on a 64-bit machine, counted from the specifications.
_Static_assert(sizeof(struct ArrowSchema) == 72, "ArrowSchema");
_Static_assert(sizeof(struct ArrowArray) == 80, "ArrowArray");
_Static_assert(sizeof(struct ArrowArrayStream) == 40, "ArrowArrayStream");
_Static_assert(sizeof(struct AdbcError) == 48, "AdbcError");
_Static_assert(offsetof(struct AdbcError, sqlstate) == 12, "AdbcError.sqlstate");
_Static_assert(offsetof(struct AdbcError, release) == 24, "AdbcError.release");
_Static_assert(sizeof(struct AdbcDatabase) == 16, "AdbcDatabase");
_Static_assert(sizeof(struct AdbcConnection) == 16, "AdbcConnection");
_Static_assert(sizeof(struct AdbcStatement) == 16, "AdbcStatement");
// 29 members in version 1.0.0, 29 more in 1.1.0.
_Static_assert(offsetof(struct AdbcDriver, ErrorGetDetailCount) == 29 * 8, "AdbcDriver 1.0.0");
_Static_assert(sizeof(struct AdbcDriver) == 58 * 8, "AdbcDriver 1.1.0");
