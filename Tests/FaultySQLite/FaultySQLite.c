#include "FaultySQLite.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

#define PLANS_MAX 64
#define PREFIX_MAX 512

struct plan {
    char prefix[PREFIX_MAX];
    int number, kind, calls, lasting, count, struck;
};

/// A file of a plan; SQLite's own file follows it in the same memory.
struct faulty_file {
    sqlite3_file base;
    struct plan *plan;
    sqlite3_file *real;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct plan plans[PLANS_MAX];
static int plan_count;
static sqlite3_vfs *beneath;
static sqlite3_vfs layer;

#define REAL(file) (((struct faulty_file *)(file))->real)

/// The kind of fault that this call meets; -1 for none.
static int fault(sqlite3_file *file, int call) {
    struct plan *plan = ((struct faulty_file *)file)->plan;
    int kind = -1;
    pthread_mutex_lock(&mutex);
    if (plan->number > 0 && (plan->calls & call)) {
        plan->count += 1;
        if (plan->count == plan->number || (plan->lasting && plan->count > plan->number)) {
            plan->struck = 1;
            kind = plan->kind;
        }
    }
    pthread_mutex_unlock(&mutex);
    return kind;
}

static int closing(sqlite3_file *f) { return REAL(f)->pMethods->xClose(REAL(f)); }
static int reading(sqlite3_file *f, void *to, int n, sqlite3_int64 at) {
    return REAL(f)->pMethods->xRead(REAL(f), to, n, at);
}
static int writing(sqlite3_file *f, const void *from, int n, sqlite3_int64 at) {
    switch (fault(f, faulty_writes)) {
    case faulty_error: return SQLITE_IOERR_WRITE;
    case faulty_full: return SQLITE_FULL;
    case faulty_torn:
        REAL(f)->pMethods->xWrite(REAL(f), from, n / 2, at);
        return SQLITE_IOERR_WRITE;
    default: return REAL(f)->pMethods->xWrite(REAL(f), from, n, at);
    }
}
static int truncating(sqlite3_file *f, sqlite3_int64 n) {
    return REAL(f)->pMethods->xTruncate(REAL(f), n);
}
static int syncing(sqlite3_file *f, int flags) {
    if (fault(f, faulty_syncs) >= 0) return SQLITE_IOERR_FSYNC;
    return REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int sizing(sqlite3_file *f, sqlite3_int64 *n) {
    return REAL(f)->pMethods->xFileSize(REAL(f), n);
}
static int locking(sqlite3_file *f, int l) { return REAL(f)->pMethods->xLock(REAL(f), l); }
static int unlocking(sqlite3_file *f, int l) { return REAL(f)->pMethods->xUnlock(REAL(f), l); }
static int reserved(sqlite3_file *f, int *r) {
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), r);
}
static int controlling(sqlite3_file *f, int op, void *a) {
    return REAL(f)->pMethods->xFileControl(REAL(f), op, a);
}
static int sector(sqlite3_file *f) { return REAL(f)->pMethods->xSectorSize(REAL(f)); }
static int traits(sqlite3_file *f) { return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f)); }
static int shm_map(sqlite3_file *f, int page, int n, int extend, void volatile **to) {
    return REAL(f)->pMethods->xShmMap(REAL(f), page, n, extend, to);
}
static int shm_lock(sqlite3_file *f, int offset, int n, int flags) {
    return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}
static void shm_barrier(sqlite3_file *f) { REAL(f)->pMethods->xShmBarrier(REAL(f)); }
static int shm_unmap(sqlite3_file *f, int remove) {
    return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

// Version 2 is without memory-mapped reads, which this layer could not see.
static const sqlite3_io_methods methods = {
    2, closing, reading, writing, truncating, syncing, sizing, locking, unlocking, reserved,
    controlling, sector, traits, shm_map, shm_lock, shm_barrier, shm_unmap, NULL, NULL,
};

static struct plan *plan_of(const char *path) {
    struct plan *found = NULL;
    if (path == NULL) return NULL;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < plan_count && found == NULL; i++) {
        if (strncmp(path, plans[i].prefix, strlen(plans[i].prefix)) == 0) found = &plans[i];
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

static int opening(
    sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags) {
    struct plan *plan = plan_of(path);
    (void)vfs;
    if (plan == NULL) return beneath->xOpen(beneath, path, file, flags, out_flags);
    struct faulty_file *faulty = (struct faulty_file *)file;
    faulty->plan = plan;
    faulty->real = (sqlite3_file *)(faulty + 1);
    int status = beneath->xOpen(beneath, path, faulty->real, flags, out_flags);
    // SQLite closes a file whose methods are set, also when opening it failed.
    faulty->base.pMethods = faulty->real->pMethods == NULL ? NULL : &methods;
    return status;
}

static void install(void) {
    beneath = sqlite3_vfs_find(NULL);
    layer = *beneath;
    layer.zName = "faulty";
    layer.szOsFile = (int)sizeof(struct faulty_file) + beneath->szOsFile;
    layer.xOpen = opening;
    sqlite3_vfs_register(&layer, 1);
}

int faulty_begin(const char *prefix) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    int number = -1;
    pthread_mutex_lock(&mutex);
    if (plan_count < PLANS_MAX && strlen(prefix) < PREFIX_MAX) {
        number = plan_count;
        strcpy(plans[number].prefix, prefix);
        plan_count += 1;
    }
    pthread_mutex_unlock(&mutex);
    return number;
}

void faulty_arm(int plan, int number, enum faulty_kind kind, int calls, int lasting) {
    pthread_mutex_lock(&mutex);
    plans[plan].number = number;
    plans[plan].kind = kind;
    plans[plan].calls = calls;
    plans[plan].lasting = lasting;
    plans[plan].count = 0;
    plans[plan].struck = 0;
    pthread_mutex_unlock(&mutex);
}

int faulty_count(int plan) {
    pthread_mutex_lock(&mutex);
    int count = plans[plan].count;
    pthread_mutex_unlock(&mutex);
    return count;
}

int faulty_has_struck(int plan) {
    pthread_mutex_lock(&mutex);
    int struck = plans[plan].struck;
    pthread_mutex_unlock(&mutex);
    return struck;
}
