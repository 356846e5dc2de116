/* Stands between a node and its disk (LD_PRELOAD): positioned writes and syncs take a number of times as long as they
   would. The file named by SLOW_DISK holds two numbers of 64 bits: the factor (0 and 1 leave everything as it is), read
   at every call, and how many calls were made longer. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static uint64_t *dial;

__attribute__((constructor)) static void find_dial(void) {
    const char *path = getenv("SLOW_DISK");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) dial = memory;
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void linger(int64_t began_ns) {
    uint64_t factor = dial ? __atomic_load_n(&dial[0], __ATOMIC_RELAXED) : 0;
    if (factor < 2) return;
    int said = errno;
    int64_t left_ns = (now_ns() - began_ns) * (int64_t)(factor - 1);
    struct timespec left = { left_ns / 1000000000LL, left_ns % 1000000000LL };
    while (nanosleep(&left, &left) != 0) {}
    __atomic_fetch_add(&dial[1], 1, __ATOMIC_RELAXED);
    errno = said;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    int64_t began_ns = now_ns();
    ssize_t written = REAL(pwrite)(file, bytes, count, offset);
    linger(began_ns);
    return written;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    int64_t began_ns = now_ns();
    ssize_t written = REAL(pwrite64)(file, bytes, count, offset);
    linger(began_ns);
    return written;
}

int fdatasync(int file) {
    int64_t began_ns = now_ns();
    int result = REAL(fdatasync)(file);
    linger(began_ns);
    return result;
}

int fsync(int file) {
    int64_t began_ns = now_ns();
    int result = REAL(fsync)(file);
    linger(began_ns);
    return result;
}
