#define _GNU_SOURCE
#include "CRecorder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// All work is done by bare system calls: nothing here calls what it stands before.

#define MAXIMUM_DESCRIPTORS 65536

static char directory[PATH_MAX]; // empty: nothing is recorded
static size_t directory_length;
static int trace = -1;
static bool swallows_data, swallows_meta, swallows_directory;
static const char *swallows_below; // relative to the directory; NULL: everywhere

struct descriptor {
    uint64_t file; // 0: not ours
    bool is_directory;
    bool is_durable; // opened with O_DSYNC
    bool is_spared;  // its flushes are done though others are swallowed
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Under the lock, as is the order of the records.
static struct descriptor descriptors[MAXIMUM_DESCRIPTORS];
static uint64_t files, records;
static long flushes_left; // until one fails; 0: none does

static void stop(const char *why) {
    syscall(SYS_write, 2, why, strlen(why));
    _exit(99);
}

__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("DROVER_RECORDER_DIRECTORY"), *path = getenv("DROVER_RECORDER_TRACE");
    const char *swallow = getenv("DROVER_RECORDER_SWALLOW");
    if (place == NULL) return;
    if (realpath(place, directory) == NULL) stop("recorder: there is no DROVER_RECORDER_DIRECTORY\n");
    directory_length = strlen(directory);
    if (path != NULL) {
        trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (trace < 0) stop("recorder: DROVER_RECORDER_TRACE cannot be written\n");
    }
    const char *failing = getenv("DROVER_RECORDER_FAIL");
    if (failing != NULL) flushes_left = atol(failing);
    if (swallow != NULL) {
        swallows_data = strstr(swallow, "data") != NULL;
        swallows_meta = strstr(swallow, "meta") != NULL;
        swallows_directory = strstr(swallow, "directory") != NULL;
        swallows_below = getenv("DROVER_RECORDER_SWALLOW_BELOW");
    }
}

// MARK: Writing down

static bool is_on(void) { return directory_length > 0; }

// The lock is held.
static void note(uint32_t kind, uint32_t flags, uint64_t file, uint64_t offset, const struct iovec *parts, int count) {
    struct drover_trace_record record = {kind, flags, file, offset, 0};
    records++;
    if (trace < 0) return;
    for (int index = 0; index < count; index++) record.length += parts[index].iov_len;
    if (syscall(SYS_write, trace, &record, sizeof record) != sizeof record) stop("recorder: the trace is full\n");
    for (int index = 0; index < count; index++) {
        const char *bytes = parts[index].iov_base;
        for (size_t done = 0; done < parts[index].iov_len;) {
            long written = syscall(SYS_write, trace, bytes + done, parts[index].iov_len - done);
            if (written <= 0) stop("recorder: the trace is full\n");
            done += (size_t)written;
        }
    }
}

static void note_text(uint32_t kind, uint32_t flags, uint64_t file, const char *text) {
    struct iovec part = {(void *)text, strlen(text)};
    note(kind, flags, file, 0, &part, 1);
}

static void note_pair(uint32_t kind, const char *from, const char *to) {
    struct iovec parts[] = {{(void *)from, strlen(from) + 1}, {(void *)to, strlen(to)}};
    note(kind, 0, 0, 0, parts, 2);
}

static struct descriptor *ours(int descriptor) {
    if (!is_on() || descriptor < 0 || descriptor >= MAXIMUM_DESCRIPTORS) return NULL;
    return descriptors[descriptor].file == 0 ? NULL : &descriptors[descriptor];
}

// The path relative to the directory ("" for itself); false where it lies elsewhere. Its last part may be missing.
static bool inside(int at, const char *path, char *result) {
    if (!is_on() || path == NULL) return false;
    char whole[PATH_MAX], parent[PATH_MAX], real[PATH_MAX];
    if (path[0] == '/' || at == AT_FDCWD) {
        if (strlen(path) >= sizeof whole) return false;
        strcpy(whole, path);
    } else {
        char link[64], base[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        long length = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
        if (length < 0) return false;
        base[length] = 0;
        if ((size_t)snprintf(whole, sizeof whole, "%s/%s", base, path) >= sizeof whole) return false;
    }
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
    char *slash = strrchr(whole, '/');
    const char *name = slash == NULL ? whole : slash + 1;
    if (slash == NULL) strcpy(parent, ".");
    else if (slash == whole) strcpy(parent, "/");
    else memcpy(parent, whole, (size_t)(slash - whole)), parent[slash - whole] = 0;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        if (realpath(whole, real) == NULL) return false;
    } else {
        if (realpath(parent, real) == NULL) return false;
        size_t end = strlen(real);
        if (end + strlen(name) + 2 > sizeof real) return false;
        if (real[end - 1] != '/') real[end++] = '/';
        strcpy(real + end, name);
    }
    if (strncmp(real, directory, directory_length) != 0) return false;
    if (real[directory_length] != 0 && real[directory_length] != '/') return false;
    strcpy(result, real[directory_length] == 0 ? "" : real + directory_length + 1);
    return true;
}

// MARK: Descriptors

static bool is_spared(const char *name) {
    return swallows_below != NULL && strncmp(name, swallows_below, strlen(swallows_below)) != 0;
}

static int open_path(int at, const char *path, int flags, mode_t mode) {
    char name[PATH_MAX];
    if (!inside(at, path, name)) return (int)syscall(SYS_openat, at, path, flags, mode);
    bool is_durable = (flags & O_DSYNC) != 0;
    if (is_durable && swallows_meta && !is_spared(name)) flags &= ~(O_SYNC | O_DSYNC);
    pthread_mutex_lock(&lock);
    struct stat before;
    bool was_there = syscall(SYS_newfstatat, at, path, &before, 0) == 0;
    int descriptor = (int)syscall(SYS_openat, at, path, flags, mode), error = errno;
    if (descriptor >= 0 && descriptor < MAXIMUM_DESCRIPTORS) {
        struct stat information;
        bool is_directory = syscall(SYS_fstat, descriptor, &information) == 0 && S_ISDIR(information.st_mode);
        descriptors[descriptor] =
            (struct descriptor){.file = ++files, .is_directory = is_directory, .is_durable = is_durable,
                                .is_spared = is_spared(name)};
        uint32_t notes = (was_there ? 0 : DROVER_TRACE_CREATED) | (is_directory ? DROVER_TRACE_DIRECTORY : 0) |
                         ((flags & O_TRUNC) != 0 ? DROVER_TRACE_CUT : 0);
        // Numbers of several processes that append to one trace must differ.
        descriptors[descriptor].file |= (uint64_t)getpid() << 32;
        note_text(DROVER_TRACE_OPEN, notes, descriptors[descriptor].file, name);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return descriptor;
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

#define WITH_MODE(flags, call)                                                                                         \
    va_list arguments;                                                                                                 \
    va_start(arguments, flags);                                                                                        \
    mode_t mode = mode_of(flags, arguments);                                                                           \
    va_end(arguments);                                                                                                 \
    return call

int open(const char *path, int flags, ...) { WITH_MODE(flags, open_path(AT_FDCWD, path, flags, mode)); }
int open64(const char *path, int flags, ...) { WITH_MODE(flags, open_path(AT_FDCWD, path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { WITH_MODE(flags, open_path(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { WITH_MODE(flags, open_path(at, path, flags, mode)); }
int creat(const char *path, mode_t mode) { return open_path(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    if (ours(descriptor) != NULL) descriptors[descriptor] = (struct descriptor){0};
    int result = (int)syscall(SYS_close, descriptor), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int dup3(int old, int new, int flags) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_dup3, old, new, flags), error = errno;
    if (result >= 0 && result < MAXIMUM_DESCRIPTORS) {
        descriptors[result] = ours(old) == NULL ? (struct descriptor){0} : descriptors[old];
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int dup2(int old, int new) {
    if (old == new) return fcntl(old, F_GETFD) < 0 ? -1 : new;
    return dup3(old, new, 0);
}

int dup(int old) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_dup, old), error = errno;
    if (result >= 0 && result < MAXIMUM_DESCRIPTORS) {
        descriptors[result] = ours(old) == NULL ? (struct descriptor){0} : descriptors[old];
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

// MARK: Contents

// The lock is held. Whether this flush is the one that fails.
static bool fails_now(void) { return flushes_left > 0 && --flushes_left == 0; }

// `offset` is negative for the descriptor's own.
static ssize_t write_parts(int descriptor, const struct iovec *parts, int count, off_t offset) {
    // Others may block for ever: they are not held up, nor hold anybody.
    if (ours(descriptor) == NULL && !(is_on() && descriptor == STDOUT_FILENO))
        return offset < 0 ? syscall(SYS_writev, descriptor, parts, count)
                          : syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    pthread_mutex_lock(&lock);
    struct descriptor *file = ours(descriptor);
    ssize_t written = offset < 0 ? syscall(SYS_writev, descriptor, parts, count)
                                 : syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    int error = errno;
    if (written > 0) {
        struct iovec done[IOV_MAX];
        size_t left = (size_t)written;
        int used = 0;
        for (; used < count && used < IOV_MAX && left > 0; used++) {
            done[used] = parts[used];
            if (done[used].iov_len > left) done[used].iov_len = left;
            left -= done[used].iov_len;
        }
        if (file == NULL) {
            note(DROVER_TRACE_SAID, 0, 0, 0, done, used);
        } else {
            if (offset < 0) offset = syscall(SYS_lseek, descriptor, 0, SEEK_CUR) - written;
            note(DROVER_TRACE_WRITE, 0, file->file, (uint64_t)offset, done, used);
            if (file->is_durable && fails_now()) {
                note(DROVER_TRACE_FLUSH_FAILED, 0, file->file, records, NULL, 0);
                pthread_mutex_unlock(&lock);
                errno = EIO;
                return -1;
            }
            if (file->is_durable && (!swallows_meta || file->is_spared)) note(DROVER_TRACE_FLUSH_ONE, 0, file->file, 0, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return written;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    struct iovec part = {(void *)bytes, length};
    return write_parts(descriptor, &part, 1, -1);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    struct iovec part = {(void *)bytes, length};
    return write_parts(descriptor, &part, 1, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t offset) {
    return pwrite(descriptor, bytes, length, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    return write_parts(descriptor, parts, count, -1);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return write_parts(descriptor, parts, count, offset);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return write_parts(descriptor, parts, count, offset);
}

int ftruncate(int descriptor, off_t length) {
    pthread_mutex_lock(&lock);
    struct descriptor *file = ours(descriptor);
    int result = (int)syscall(SYS_ftruncate, descriptor, length), error = errno;
    if (result == 0 && file != NULL) note(DROVER_TRACE_TRUNCATE, 0, file->file, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int ftruncate64(int descriptor, off_t length) { return ftruncate(descriptor, length); }

// MARK: Flushes

static int flush(int descriptor, long call) {
    pthread_mutex_lock(&lock);
    struct descriptor *file = ours(descriptor);
    if (file == NULL) {
        pthread_mutex_unlock(&lock);
        return (int)syscall(call, descriptor);
    }
    uint64_t number = file->file, before = records;
    bool is_swallowed = !file->is_spared && (file->is_directory ? swallows_directory : swallows_data);
    if (!file->is_directory && fails_now()) {
        note(DROVER_TRACE_FLUSH_FAILED, 0, number, before, NULL, 0);
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    pthread_mutex_unlock(&lock);
    if (is_swallowed) return 0;
    int result = (int)syscall(call, descriptor), error = errno;
    if (result == 0) {
        pthread_mutex_lock(&lock);
        note(DROVER_TRACE_FLUSH, 0, number, before, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return result;
}

int fsync(int descriptor) { return flush(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return flush(descriptor, SYS_fdatasync); }

// MARK: Names

int mkdirat(int at, const char *path, mode_t mode) {
    char name[PATH_MAX];
    bool is_ours = inside(at, path, name);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_mkdirat, at, path, mode), error = errno;
    if (result == 0 && is_ours) note_text(DROVER_TRACE_MKDIR, 0, 0, name);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int at, const char *path, int flags) {
    char name[PATH_MAX];
    bool is_ours = inside(at, path, name);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, at, path, flags), error = errno;
    if (result == 0 && is_ours)
        note_text((flags & AT_REMOVEDIR) != 0 ? DROVER_TRACE_RMDIR : DROVER_TRACE_UNLINK, 0, 0, name);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
    int result = unlink(path);
    return result != 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    bool is_from_ours = inside(from_at, from, old), is_to_ours = inside(to_at, to, new);
    pthread_mutex_lock(&lock);
    if (is_from_ours != is_to_ours) stop("recorder: a rename crosses the directory's border\n");
    int result = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags), error = errno;
    if (result == 0 && is_from_ours) note_pair(DROVER_TRACE_RENAME, old, new);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int renameat(int from_at, const char *from, int to_at, const char *to) { return renameat2(from_at, from, to_at, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char old[PATH_MAX], new[PATH_MAX];
    bool is_ours = inside(from_at, from, old) && inside(to_at, to, new);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags), error = errno;
    if (result == 0 && is_ours) note_pair(DROVER_TRACE_LINK, old, new);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
