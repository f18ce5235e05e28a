#pragma once
// The Arrow C data interface, the Arrow C stream interface and the ADBC 1.1.0 driver table, declared from their
// specifications (arrow.apache.org: format/CDataInterface, format/CStreamInterface, adbc). The layouts are an ABI that
// several vendors share; the static assertions in CADBC.c hold them to it.
#include <stddef.h>
#include <stdint.h>

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

typedef uint8_t AdbcStatusCode;

struct AdbcDriver;

struct AdbcError {
    char *message;
    int32_t vendor_code;
    char sqlstate[5];
    void (*release)(struct AdbcError *);
    void *private_data;
    struct AdbcDriver *private_driver;
};

// Sets `vendor_code` so that a 1.1.0 driver knows the two last fields are there.
static const int32_t CADBC_ERROR_VENDOR_CODE_PRIVATE_DATA = INT32_MIN;

struct AdbcDatabase {
    void *private_data;
    struct AdbcDriver *private_driver;
};

struct AdbcConnection {
    void *private_data;
    struct AdbcDriver *private_driver;
};

struct AdbcStatement {
    void *private_data;
    struct AdbcDriver *private_driver;
};

// The calls that Cordon makes have their types; the others only keep their place.
typedef void (*cadbc_unused)(void);

struct AdbcDriver {
    void *private_data;
    void *private_manager;
    AdbcStatusCode (*release)(struct AdbcDriver *, struct AdbcError *);

    AdbcStatusCode (*DatabaseInit)(struct AdbcDatabase *, struct AdbcError *);
    AdbcStatusCode (*DatabaseNew)(struct AdbcDatabase *, struct AdbcError *);
    AdbcStatusCode (*DatabaseSetOption)(struct AdbcDatabase *, const char *, const char *,
                                        struct AdbcError *);
    AdbcStatusCode (*DatabaseRelease)(struct AdbcDatabase *, struct AdbcError *);

    cadbc_unused ConnectionCommit;
    cadbc_unused ConnectionGetInfo;
    cadbc_unused ConnectionGetObjects;
    cadbc_unused ConnectionGetTableSchema;
    cadbc_unused ConnectionGetTableTypes;
    AdbcStatusCode (*ConnectionInit)(struct AdbcConnection *, struct AdbcDatabase *,
                                     struct AdbcError *);
    AdbcStatusCode (*ConnectionNew)(struct AdbcConnection *, struct AdbcError *);
    cadbc_unused ConnectionSetOption;
    cadbc_unused ConnectionReadPartition;
    AdbcStatusCode (*ConnectionRelease)(struct AdbcConnection *, struct AdbcError *);
    cadbc_unused ConnectionRollback;

    cadbc_unused StatementBind;
    AdbcStatusCode (*StatementBindStream)(struct AdbcStatement *, struct ArrowArrayStream *,
                                          struct AdbcError *);
    AdbcStatusCode (*StatementExecuteQuery)(struct AdbcStatement *, struct ArrowArrayStream *,
                                            int64_t *, struct AdbcError *);
    cadbc_unused StatementExecutePartitions;
    cadbc_unused StatementGetParameterSchema;
    AdbcStatusCode (*StatementNew)(struct AdbcConnection *, struct AdbcStatement *,
                                   struct AdbcError *);
    cadbc_unused StatementPrepare;
    AdbcStatusCode (*StatementRelease)(struct AdbcStatement *, struct AdbcError *);
    AdbcStatusCode (*StatementSetOption)(struct AdbcStatement *, const char *, const char *,
                                         struct AdbcError *);
    AdbcStatusCode (*StatementSetSqlQuery)(struct AdbcStatement *, const char *,
                                           struct AdbcError *);
    cadbc_unused StatementSetSubstraitPlan;

    // since 1.1.0
    cadbc_unused ErrorGetDetailCount;
    cadbc_unused ErrorGetDetail;
    cadbc_unused ErrorFromArrayStream;
    cadbc_unused DatabaseGetOption;
    cadbc_unused DatabaseGetOptionBytes;
    cadbc_unused DatabaseGetOptionDouble;
    cadbc_unused DatabaseGetOptionInt;
    cadbc_unused DatabaseSetOptionBytes;
    cadbc_unused DatabaseSetOptionDouble;
    cadbc_unused DatabaseSetOptionInt;
    AdbcStatusCode (*ConnectionCancel)(struct AdbcConnection *, struct AdbcError *);
    cadbc_unused ConnectionGetOption;
    cadbc_unused ConnectionGetOptionBytes;
    cadbc_unused ConnectionGetOptionDouble;
    cadbc_unused ConnectionGetOptionInt;
    cadbc_unused ConnectionGetStatistics;
    cadbc_unused ConnectionGetStatisticNames;
    cadbc_unused ConnectionSetOptionBytes;
    cadbc_unused ConnectionSetOptionDouble;
    cadbc_unused ConnectionSetOptionInt;
    AdbcStatusCode (*StatementCancel)(struct AdbcStatement *, struct AdbcError *);
    cadbc_unused StatementExecuteSchema;
    cadbc_unused StatementGetOption;
    cadbc_unused StatementGetOptionBytes;
    cadbc_unused StatementGetOptionDouble;
    cadbc_unused StatementGetOptionInt;
    cadbc_unused StatementSetOptionBytes;
    cadbc_unused StatementSetOptionDouble;
    cadbc_unused StatementSetOptionInt;
};

#define CADBC_VERSION_1_1_0 1001000

// The entry point of a driver, found with dlsym.
typedef AdbcStatusCode (*cadbc_driver_init)(int version, void *driver, struct AdbcError *error);
