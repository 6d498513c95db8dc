/* A disk that can lose power and that can fail, between a program and one directory of its files.
 *
 *     gcc -shared -fPIC -O1 -o disk.so disk.c -lpthread
 *     POWER_DIR=DATA POWER_STATE=STATE LD_PRELOAD=disk.so program ...
 *
 * Two things, both by standing in for calls of the C library:
 * - A journal (STATE/journal) from which `forget.py` takes back what was not synced. Each change is
 *   told there with what it replaces BEFORE it is made; a sync that came back says which changes it
 *   made safe. The page cache outlives SIGKILL, so nothing of this has to be synced itself.
 * - POWER_FAIL=KIND:N:WHAT: the Nth call of a kind fails. KIND is open, create (an open that may
 *   make the file), read, write, cut (ftruncate), sync (of a file), names (sync of the directory),
 *   rename, remove or list. WHAT is EIO, EMFILE, EINTR (with N 0, each second call), short (half of
 *   the bytes; with N 0, each time), or ENOSPC: from the Nth call on until there is a file
 *   STATE/space. STATE/failed gets a line about the call.
 * STATE/counts has the number of calls of each kind, as 64-bit numbers in the order of KINDS.
 *
 * POWER_SYNC: real (default), skip (answered and told, but the disk is not asked, which is faster
 * and loses nothing as long as the machine stays up), lying (answered and not told), or nameless
 * (that for the directory alone).
 * POWER_SYNC_MS: what each sync takes besides.
 *
 * Invariants
 * - The journal's order is the order of the changes: one lock is held over both. A sync covers what
 *   was told before it began.
 * - A file that is removed or replaced has a link in STATE/kept, so no inode number comes twice.
 * - A change that comes another way (write, writev) ends the program: nothing goes by unseen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, CREATE, READ, WRITE, CUT, SYNC, NAMES, RENAME, REMOVE, LIST, KINDS };
static const char *const kind_names[KINDS] = {"open", "create", "read",   "write",  "cut",
                                              "sync", "names",  "rename", "remove", "list"};

/* What a journal entry begins with; `extra_bytes` follow. The same words are in forget.py. */
struct entry {
    uint64_t what; /* W write, T cut, S sync, C create, R rename, U remove, D names safe */
    uint64_t inode;
    uint64_t at;       /* W offset, T new length, S and D entries covered, R inode replaced */
    uint64_t bytes;    /* W length */
    uint64_t was_long; /* W and T: length of the file before */
    uint64_t extra_bytes;
};

enum { FDS_MAX = 1 << 16, SHORT = -1 };
static struct {
    char name[64];
    uint64_t inode; /* 0: not ours */
    int is_directory;
} files[FDS_MAX];

static char directory[PATH_MAX], state[PATH_MAX];
static size_t directory_bytes;
static int journal = -1, real_sync = 1, lying, nameless, sync_ms;
static uint64_t entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t *counts;
static int fail_kind = -1, fail_what;
static uint64_t fail_at;

static void die(const char *why) {
    fprintf(stderr, "tests/power/disk.c: %s (%s)\n", why, strerror(errno));
    _exit(99);
}

static char *in_state(char *path, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s", state, name) >= PATH_MAX) {
        die("the path is too long");
    }
    return path;
}

static void read_failure(const char *text) {
    char kind[16], what[16];
    unsigned long long at;
    if (sscanf(text, "%15[a-z]:%llu:%15s", kind, &at, what) != 3) {
        die("POWER_FAIL is KIND:N:WHAT");
    }
    for (int k = 0; k < KINDS; k++) {
        fail_kind = strcmp(kind, kind_names[k]) == 0 ? k : fail_kind;
    }
    fail_at = at;
    fail_what = strcmp(what, "EIO") == 0      ? EIO
                : strcmp(what, "EINTR") == 0  ? EINTR
                : strcmp(what, "EMFILE") == 0 ? EMFILE
                : strcmp(what, "ENOSPC") == 0 ? ENOSPC
                : strcmp(what, "short") == 0  ? SHORT
                                              : 0;
    if (fail_kind < 0 || fail_what == 0) {
        die("POWER_FAIL has an unknown kind or error");
    }
}

__attribute__((constructor)) static void begin(void) {
    char path[PATH_MAX];
    const char *data = getenv("POWER_DIR"), *where = getenv("POWER_STATE");
    const char *sync = getenv("POWER_SYNC"), *fail = getenv("POWER_FAIL");
    const char *slow = getenv("POWER_SYNC_MS");
    if (!data || !where || !realpath(data, directory) || !realpath(where, state)) {
        die("POWER_DIR and POWER_STATE must be directories");
    }
    directory_bytes = strlen(directory);
    int file = openat(AT_FDCWD, in_state(path, "counts"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || syscall(SYS_ftruncate, file, sizeof *counts * KINDS) != 0) {
        die("no place for counts");
    }
    counts = mmap(NULL, sizeof *counts * KINDS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED) {
        die("no counts");
    }
    syscall(SYS_close, file);
    journal = openat(AT_FDCWD, in_state(path, "journal"),
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0 || (mkdir(in_state(path, "kept"), 0700) != 0 && errno != EEXIST)) {
        die("no journal");
    }
    lying = sync && strcmp(sync, "lying") == 0;
    nameless = sync && strcmp(sync, "nameless") == 0;
    sync_ms = slow ? atoi(slow) : 0;
    real_sync = !sync || strcmp(sync, "skip") != 0;
    if (fail && *fail) {
        read_failure(fail);
    }
}

/* The name inside our directory, "" for the directory itself, NULL for anything else. */
static const char *ours(const char *path) {
    if (counts == NULL || strncmp(path, directory, directory_bytes) != 0) {
        return NULL;
    }
    path += directory_bytes;
    return *path == 0 ? path : *path == '/' ? path + 1 : NULL;
}

static int is_ours(int fd) { return fd >= 0 && fd < FDS_MAX && files[fd].inode != 0; }

/* Counts a call and says how it fails: 0 not at all, SHORT, or an error number. */
static int failure(enum kind kind, const char *name, uint64_t at, uint64_t bytes) {
    char path[PATH_MAX], line[256];
    uint64_t count = atomic_fetch_add(&counts[kind], 1) + 1;
    if ((int)kind != fail_kind || count < fail_at ||
        (count > fail_at && fail_what != ENOSPC && fail_at != 0) ||
        (fail_at == 0 && fail_what == EINTR && count % 2 == 0)) {
        return 0;
    }
    if (fail_what == ENOSPC && access(in_state(path, "space"), F_OK) == 0) {
        return 0;
    }
    int file = openat(AT_FDCWD, in_state(path, "failed"),
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(line, sizeof line, "%s %s %llu %llu\n", kind_names[kind],
                          *name ? name : ".", (unsigned long long)at, (unsigned long long)bytes);
    if (file < 0 || syscall(SYS_write, file, line, (size_t)length) != length) {
        die("no place to tell of a failure");
    }
    syscall(SYS_close, file);
    return fail_what;
}

/* Tells the journal; with the lock held. */
static void tell(struct entry entry, const void *extra, size_t extra_bytes) {
    entry.extra_bytes = extra_bytes;
    struct iovec parts[2] = {{&entry, sizeof entry}, {(void *)extra, extra_bytes}};
    ssize_t whole = (ssize_t)(sizeof entry + extra_bytes);
    if (syscall(SYS_writev, journal, parts, extra_bytes ? 2 : 1) != whole) {
        die("the journal can not be written");
    }
    entries++;
}

static uint64_t length_of(int fd) {
    struct stat stat;
    if (fstat(fd, &stat) != 0) {
        die("a file has no length");
    }
    return (uint64_t)stat.st_size;
}

/* What `bytes` from `at` on are now, as far as the file goes; nothing when they are zeros. */
static size_t old_bytes(int fd, uint64_t at, uint64_t bytes, uint64_t file_bytes, char **old) {
    *old = NULL;
    if (at >= file_bytes) {
        return 0;
    }
    size_t wanted = at + bytes < file_bytes ? bytes : file_bytes - at, done = 0;
    *old = malloc(wanted);
    while (*old && done < wanted) {
        long count = syscall(SYS_pread64, fd, *old + done, wanted - done, at + done);
        if (count <= 0) {
            die("what is replaced can not be read");
        }
        done += (size_t)count;
    }
    if (*old == NULL) {
        die("no memory");
    }
    int is_zeros = wanted == 0 || (**old == 0 && memcmp(*old, *old + 1, wanted - 1) == 0);
    return is_zeros ? 0 : wanted;
}

static void tell_bytes(int fd, uint64_t what, uint64_t at, uint64_t bytes) {
    uint64_t was = length_of(fd);
    char *old;
    size_t extra = old_bytes(fd, at, what == 'T' ? UINT64_MAX - at : bytes, was, &old);
    tell((struct entry){.what = what, .inode = files[fd].inode, .at = at, .bytes = bytes,
                        .was_long = was}, old, extra);
    free(old);
}

/* A link to a file that loses its name, so that the name can be put back. */
static uint64_t keep(const char *path) {
    char kept[PATH_MAX], name[32];
    struct stat stat;
    if (fstatat(AT_FDCWD, path, &stat, 0) != 0) {
        return 0;
    }
    snprintf(name, sizeof name, "kept/%llu", (unsigned long long)stat.st_ino);
    if (link(path, in_state(kept, name)) != 0 && errno != EEXIST) {
        die("a removed file can not be kept");
    }
    return stat.st_ino;
}

static int error(int number) {
    errno = number;
    return -1;
}

static int open_ours(const char *path, const char *name, int flags, mode_t mode) {
    int wrong = failure(flags & O_CREAT ? CREATE : OPEN, name, 0, 0);
    if (wrong > 0) {
        return error(wrong);
    }
    pthread_mutex_lock(&lock);
    struct stat stat;
    int is_new = fstatat(AT_FDCWD, path, &stat, 0) != 0;
    if (is_new && (flags & O_CREAT)) {
        tell((struct entry){.what = 'C'}, name, strlen(name));
    }
    int fd = openat(AT_FDCWD, path, flags & ~O_TRUNC, mode);
    if (fd >= FDS_MAX || (fd >= 0 && fstat(fd, &stat) != 0)) {
        die("a file that can not be watched");
    }
    if (fd >= 0) {
        files[fd].inode = stat.st_ino;
        files[fd].is_directory = S_ISDIR(stat.st_mode);
        snprintf(files[fd].name, sizeof files[fd].name, "%s", name);
        if (flags & O_TRUNC) {
            tell_bytes(fd, 'T', 0, 0);
            if (syscall(SYS_ftruncate, fd, 0) != 0) {
                die("a file can not be emptied");
            }
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    const char *name = ours(path);
    return name ? open_ours(path, name, flags, mode) : openat(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}

int close(int fd) {
    if (is_ours(fd)) {
        files[fd].inode = 0;
    }
    return (int)syscall(SYS_close, fd);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    int wrong = is_ours(fd) ? failure(READ, files[fd].name, (uint64_t)at, count) : 0;
    if (wrong > 0) {
        return error(wrong);
    }
    return syscall(SYS_pread64, fd, bytes, wrong == SHORT && count > 1 ? count / 2 : count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    if (!is_ours(fd)) {
        return syscall(SYS_pwrite64, fd, bytes, count, at);
    }
    int wrong = failure(WRITE, files[fd].name, (uint64_t)at, count);
    if (wrong > 0) {
        return error(wrong);
    }
    count = wrong == SHORT && count > 1 ? count / 2 : count;
    pthread_mutex_lock(&lock);
    tell_bytes(fd, 'W', (uint64_t)at, count);
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, count, at);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off64_t length) {
    if (!is_ours(fd)) {
        return (int)syscall(SYS_ftruncate, fd, length);
    }
    int wrong = failure(CUT, files[fd].name, (uint64_t)length, 0);
    if (wrong > 0) {
        return error(wrong);
    }
    pthread_mutex_lock(&lock);
    tell_bytes(fd, 'T', (uint64_t)length, 0);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_unlock(&lock);
    return done;
}

static int sync_of(int fd, long call) {
    if (!is_ours(fd)) {
        return (int)syscall(call, fd);
    }
    int is_names = files[fd].is_directory;
    int wrong = failure(is_names ? NAMES : SYNC, files[fd].name, 0, 0);
    if (wrong > 0) {
        return error(wrong);
    }
    pthread_mutex_lock(&lock);
    uint64_t covered = entries;
    pthread_mutex_unlock(&lock);
    usleep((useconds_t)sync_ms * 1000);
    int done = real_sync ? (int)syscall(call, fd) : 0;
    if (done == 0 && !lying && !(nameless && is_names)) {
        pthread_mutex_lock(&lock);
        tell((struct entry){.what = is_names ? 'D' : 'S', .inode = files[fd].inode, .at = covered},
             NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int fdatasync(int fd) { return sync_of(fd, SYS_fdatasync); }

int fsync(int fd) { return sync_of(fd, SYS_fsync); }

int rename(const char *from, const char *to) {
    const char *old = ours(from), *new = ours(to);
    if (!old && !new) {
        return renameat(AT_FDCWD, from, AT_FDCWD, to);
    }
    if (!old || !new) {
        die("a file leaves or enters the directory by a new name");
    }
    int wrong = failure(RENAME, old, 0, 0);
    if (wrong > 0) {
        return error(wrong);
    }
    char both[2 * NAME_MAX];
    int length = snprintf(both, sizeof both, "%s%c%s", old, 0, new);
    pthread_mutex_lock(&lock);
    uint64_t inode = keep(from);
    if (inode != 0) {
        tell((struct entry){.what = 'R', .inode = inode, .at = keep(to)}, both, (size_t)length);
    }
    int done = renameat(AT_FDCWD, from, AT_FDCWD, to);
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    const char *name = ours(path);
    if (!name) {
        return unlinkat(AT_FDCWD, path, 0);
    }
    int wrong = failure(REMOVE, name, 0, 0);
    if (wrong > 0) {
        return error(wrong);
    }
    pthread_mutex_lock(&lock);
    uint64_t inode = keep(path);
    if (inode != 0) {
        tell((struct entry){.what = 'U', .inode = inode}, name, strlen(name));
    }
    int done = unlinkat(AT_FDCWD, path, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

DIR *opendir(const char *path) {
    int wrong = ours(path) ? failure(LIST, "", 0, 0) : 0;
    if (wrong > 0) {
        errno = wrong;
        return NULL;
    }
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? NULL : fdopendir(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (is_ours(fd)) {
        die("a file was changed by write");
    }
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (is_ours(fd)) {
        die("a file was changed by writev");
    }
    return syscall(SYS_writev, fd, parts, count);
}
