/* Makes every flush of a process slower: preloaded, it waits SLOW_FLUSH_MICROSECONDS (or what was last given to
 * slow_flush_set) before each fsync, fdatasync, sync_file_range, msync and each write to a file opened with O_SYNC or
 * O_DSYNC, as a cloud volume would. Zero, the default, waits not at all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAXIMUM_DESCRIPTORS 65536

static _Atomic long delay;
static _Atomic unsigned char synchronous[MAXIMUM_DESCRIPTORS];

__attribute__((constructor)) static void start(void) {
    const char *text = getenv("SLOW_FLUSH_MICROSECONDS");
    if (text) atomic_store(&delay, atol(text));
}

void slow_flush_set(long microseconds) { atomic_store(&delay, microseconds); }

static void wait_a_little(void) {
    long left = atomic_load(&delay);
    if (left <= 0) return;
    struct timespec time = {left / 1000000, left % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) != 0) {
    }
}

static void wait_if_synchronous(int file) {
    if (file >= 0 && file < MAXIMUM_DESCRIPTORS && atomic_load(&synchronous[file])) wait_a_little();
}

#define REAL(result, name, ...)                                  \
    static result (*real)(__VA_ARGS__);                          \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int fsync(int file) {
    REAL(int, "fsync", int);
    wait_a_little();
    return real(file);
}

int fdatasync(int file) {
    REAL(int, "fdatasync", int);
    wait_a_little();
    return real(file);
}

int sync_file_range(int file, off64_t offset, off64_t count, unsigned int flags) {
    REAL(int, "sync_file_range", int, off64_t, off64_t, unsigned int);
    wait_a_little();
    return real(file, offset, count, flags);
}

int msync(void *start, size_t length, int flags) {
    REAL(int, "msync", void *, size_t, int);
    if (flags & MS_SYNC) wait_a_little();
    return real(start, length, flags);
}

static int opened(int file, int flags) {
    if (file >= 0 && file < MAXIMUM_DESCRIPTORS) atomic_store(&synchronous[file], (flags & O_DSYNC) != 0);
    return file;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(arguments, unsigned int) : 0;
}

#define OPEN(name)                                               \
    int name(const char *path, int flags, ...) {                 \
        REAL(int, #name, const char *, int, ...);                \
        va_list arguments;                                       \
        va_start(arguments, flags);                              \
        mode_t mode = mode_of(flags, arguments);                 \
        va_end(arguments);                                       \
        return opened(real(path, flags, mode), flags);           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                             \
    int name(int directory, const char *path, int flags, ...) {  \
        REAL(int, #name, int, const char *, int, ...);           \
        va_list arguments;                                       \
        va_start(arguments, flags);                              \
        mode_t mode = mode_of(flags, arguments);                 \
        va_end(arguments);                                       \
        return opened(real(directory, path, flags, mode), flags); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *bytes, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    wait_if_synchronous(file);
    return real(file, bytes, count);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    wait_if_synchronous(file);
    return real(file, parts, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    wait_if_synchronous(file);
    return real(file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    wait_if_synchronous(file);
    return real(file, bytes, count, offset);
}
