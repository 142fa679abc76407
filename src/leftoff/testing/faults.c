/* Let the n-th call on the files of one folder fail: preloaded, so that it also reaches the calls of libsqlite3.
 *
 * 1. Nothing is counted before faults_board.py has set leftoff_board, which lies in memory shared with the parent.
 * 2. A call that is made to fail is not made at all; a short write writes its first half.
 * 3. A call is judged by the file it is about: by its path, or by what /proc says about its descriptor.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct board {             /* faults_board._Board has the same fields */
    long at;               /* the number of the call to fault, from 1 */
    long calls;            /* so many have been made */
    long injected;         /* so many were faulted */
    double when;           /* the first of them, in monotonic seconds */
    int error;             /* errno to fail with, 0 for a short write */
    int lasting;           /* whether all calls from that one on are faulted */
    unsigned mask;         /* which calls count */
    char folder[1024];     /* the files of which folder, itself included */
    char where[256];       /* the first call that was faulted, and its file's name */
};
struct board *leftoff_board;

/* The bits of mask, in the order of faults.CALLS. An open that may create a file is of both kinds. */
enum { OPEN = 1, CREATE = 2, READ = 4, WRITE = 8, SYNC = 16, TRUNCATE = 32, RENAME = 64, UNLINK = 128 };

static const char *inside(const struct board *board, const char *path)
{
    size_t length = strlen(board->folder);
    if (strncmp(path, board->folder, length) != 0)
        return NULL;
    if (path[length] == '\0')
        return ".";
    return path[length] == '/' ? path + length + 1 : NULL;
}

/* Count a call; say whether it is to be faulted, with errno set. */
static int faulted(unsigned call, const char *name, int fd, const char *path)
{
    struct board *board = leftoff_board;
    if (board == NULL || !(board->mask & call))
        return 0;
    int before = errno;
    char found[1280], link[64];
    if (path == NULL) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, found, sizeof found - 1);
        errno = before;
        if (length < 0)
            return 0;
        found[length] = '\0';
        path = found;
    }
    const char *file = inside(board, path);
    if (file == NULL)
        return 0;
    long number = __atomic_add_fetch(&board->calls, 1, __ATOMIC_SEQ_CST);
    if (board->lasting ? number < board->at : number != board->at)
        return 0;
    if (__atomic_fetch_add(&board->injected, 1, __ATOMIC_SEQ_CST) == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        board->when = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
        snprintf(board->where, sizeof board->where, "%s %.200s", name, file);
    }
    errno = board->error;
    return 1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define HAS_MODE(flags) (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE)
#define OPENS(flags) ((flags) & O_CREAT ? OPEN | CREATE : OPEN)

#define OPENING(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = HAS_MODE(flags) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return faulted(OPENS(flags), "open", -1, path) ? -1 : real(path, flags, mode); \
    }

#define OPENING_AT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = HAS_MODE(flags) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        return faulted(OPENS(flags), "open", -1, path) ? -1 : real(folder, path, flags, mode); \
    }

#define ON_DESCRIPTOR(name, call, type) \
    type name(int fd) \
    { \
        REAL(name); \
        return faulted(call, #name, fd, NULL) ? -1 : real(fd); \
    }

#define TRUNCATING(name, offset_type) \
    int name(int fd, offset_type length) \
    { \
        REAL(name); \
        return faulted(TRUNCATE, "ftruncate", fd, NULL) ? -1 : real(fd, length); \
    }

#define READING_AT(name, offset_type) \
    ssize_t name(int fd, void *data, size_t length, offset_type offset) \
    { \
        REAL(name); \
        return faulted(READ, "pread", fd, NULL) ? -1 : real(fd, data, length, offset); \
    }

#define WRITING_AT(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset) \
    { \
        REAL(name); \
        if (!faulted(WRITE, "pwrite", fd, NULL)) \
            return real(fd, data, length, offset); \
        return leftoff_board->error ? -1 : real(fd, data, (length + 1) / 2, offset); \
    }

OPENING(open)
OPENING(open64)
OPENING_AT(openat)
OPENING_AT(openat64)
ON_DESCRIPTOR(fsync, SYNC, int)
ON_DESCRIPTOR(fdatasync, SYNC, int)
TRUNCATING(ftruncate, off_t)
TRUNCATING(ftruncate64, off64_t)
READING_AT(pread, off_t)
READING_AT(pread64, off64_t)
WRITING_AT(pwrite, off_t)
WRITING_AT(pwrite64, off64_t)

ssize_t read(int fd, void *data, size_t length)
{
    REAL(read);
    return faulted(READ, "read", fd, NULL) ? -1 : real(fd, data, length);
}

ssize_t write(int fd, const void *data, size_t length)
{
    REAL(write);
    if (!faulted(WRITE, "write", fd, NULL))
        return real(fd, data, length);
    return leftoff_board->error ? -1 : real(fd, data, (length + 1) / 2);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return faulted(RENAME, "rename", -1, to) ? -1 : real(from, to);
}

int unlink(const char *path)
{
    REAL(unlink);
    return faulted(UNLINK, "unlink", -1, path) ? -1 : real(path);
}
