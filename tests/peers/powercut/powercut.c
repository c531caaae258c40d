/* What is on the disk if the power fails now: a shared object for LD_PRELOAD.
 *
 * POWERCUT_DIRECTORY is watched, POWERCUT_SHADOW gets what is guaranteed to be on the disk:
 *   data/KEY    the content of a file at its last fsync or fdatasync; KEY is its inode and time of birth
 *   names/NAME  the KEY of the file that has this name on the disk
 * A name is on the disk since the fsync of its file (as ext4 does it, and SQLite assumes) or of the directory. A
 * removed or replaced name is there until the directory's fsync. Writes need no watching: between two fsyncs
 * nothing is guaranteed. Only one level of files is watched; that is all the state directory has.
 *
 * If the shadow is not there yet, all that is in the directory at the start counts as being on the disk.
 * POWERCUT_SLOW makes each fsync take that many microseconds longer, as an SD card does.
 *
 * Limits: a program that calls the kernel past libc is not seen, nor are O_SYNC and msync; SQLite uses neither.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[PATH_MAX / 2], shadow[PATH_MAX / 2];
static unsigned slow;
static int (*next_fsync)(int), (*next_fdatasync)(int);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "powercut: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

/* An inode's number is used again after the file was removed; its birth tells them apart. */
static void key_of(int at, const char *path, int flags, char key[64])
{
    struct statx about;
    if (statx(at, path, flags, STATX_INO | STATX_BTIME, &about)) fail("cannot look at", path);
    snprintf(key, 64, "%llu.%lld.%u", (unsigned long long)about.stx_ino, (long long)about.stx_btime.tv_sec,
             about.stx_btime.tv_nsec);
}

/* Writes a file of the shadow at once or not at all: the process may be killed at any moment. */
static int scratch(char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/unfinished", shadow);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) fail("cannot write", path);
    return file;
}

static void finish(int file, const char *path, const char *folder, const char *name)
{
    char target[PATH_MAX];
    close(file);
    snprintf(target, sizeof target, "%s/%s/%s", shadow, folder, name);
    if (rename(path, target)) fail("cannot name", target);
}

static void put(int file, const char *bytes, size_t count)
{
    while (count) {
        ssize_t done = write(file, bytes, count);
        if (done <= 0) fail("cannot write in", shadow);
        bytes += done, count -= done;
    }
}

static void keep_name(const char *name, const char *key)
{
    char path[PATH_MAX];
    int file = scratch(path);
    put(file, key, strlen(key));
    finish(file, path, "names", name);
}

static void keep_data(const char *from, const char *key)
{
    static char block[1 << 16];
    char path[PATH_MAX];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = scratch(path);
    if (in < 0) fail("cannot read", from);
    for (ssize_t count; (count = read(in, block, sizeof block)) > 0;) put(out, block, count);
    close(in);
    finish(out, path, "data", key);
}

/* The names on the disk are those there are now; at the start the contents too. */
static void keep_names(int contents)
{
    char path[PATH_MAX + 256], key[64];
    snprintf(path, sizeof path, "%s/names", shadow);
    DIR *listing = opendir(path);
    if (!listing) fail("cannot list", path);
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (!access(path, F_OK)) continue;
        snprintf(path, sizeof path, "%s/names/%s", shadow, entry->d_name);
        unlink(path);
    }
    closedir(listing);
    listing = opendir(directory);
    if (!listing) fail("cannot list", directory);
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_type != DT_REG) continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        key_of(AT_FDCWD, path, 0, key);
        if (contents) keep_data(path, key);
        keep_name(entry->d_name, key);
    }
    closedir(listing);
}

__attribute__((constructor)) static void begin(void)
{
    char path[PATH_MAX];
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *watched = getenv("POWERCUT_DIRECTORY"), *kept = getenv("POWERCUT_SHADOW");
    if (!watched || !kept) {
        fprintf(stderr, "powercut: POWERCUT_DIRECTORY and POWERCUT_SHADOW must name directories\n");
        abort();
    }
    if (!realpath(watched, path) || strlen(path) >= sizeof directory) fail("cannot watch", watched);
    strcpy(directory, path);
    int fresh = !mkdir(kept, 0700);
    if (!realpath(kept, path) || strlen(path) >= sizeof shadow) fail("cannot use", kept);
    strcpy(shadow, path);
    if (getenv("POWERCUT_SLOW")) slow = atoi(getenv("POWERCUT_SLOW"));
    if (!fresh) return;
    snprintf(path, sizeof path, "%s/data", shadow);
    if (mkdir(path, 0700)) fail("cannot make", path);
    snprintf(path, sizeof path, "%s/names", shadow);
    if (mkdir(path, 0700)) fail("cannot make", path);
    keep_names(1);
}

static int watch(int file, int (*real)(int))
{
    if (slow) usleep(slow);
    int result = real(file);
    if (result) return result;
    int before = errno;
    char link[64], path[PATH_MAX], key[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        size_t watched = strlen(directory);
        if (!strncmp(path, directory, watched)) {
            const char *name = path + watched;
            pthread_mutex_lock(&lock);
            if (!*name) {
                keep_names(0);
            } else if (*name == '/' && !strchr(name + 1, '/') && !strstr(name, " (deleted)")) {
                key_of(file, "", AT_EMPTY_PATH, key);
                keep_data(link, key);
                keep_name(name + 1, key);
            }
            pthread_mutex_unlock(&lock);
        }
    }
    errno = before;
    return 0;
}

int fsync(int file) { return watch(file, next_fsync); }
int fdatasync(int file) { return watch(file, next_fdatasync ? next_fdatasync : next_fsync); }
