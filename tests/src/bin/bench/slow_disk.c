// A disk that is slower by a factor, for one process: loaded before libc, it lets each write and sync take its time and
// then as much again, factor - 1 times. The factor is read from a file that is mapped, so that it can be changed meanwhile;
// how often and how long it held a call up stands beside it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic uint64_t factor;
    _Atomic uint64_t calls;
    _Atomic uint64_t held_ns;
};

static const uint64_t HELD_NS_MAX = 2000000000;
static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("SLOW_DISK_FILE");
    int opened = file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (opened < 0 || ftruncate(opened, sizeof *control) != 0) return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    close(opened);
    if (mapped != MAP_FAILED) control = mapped;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void hold_up(uint64_t began_ns) {
    uint64_t factor = control ? atomic_load(&control->factor) : 0;
    if (factor < 2) return;
    uint64_t held_ns = (now_ns() - began_ns) * (factor - 1);
    if (held_ns > HELD_NS_MAX) held_ns = HELD_NS_MAX;
    struct timespec length = { (time_t)(held_ns / 1000000000), (long)(held_ns % 1000000000) };
    nanosleep(&length, NULL);
    atomic_fetch_add(&control->calls, 1);
    atomic_fetch_add(&control->held_ns, held_ns);
}

#define SLOWER(type, name, parameters, arguments)                        \
    type name parameters {                                               \
        static type (*own) parameters;                                   \
        if (!own) own = (type (*) parameters)dlsym(RTLD_NEXT, #name);    \
        uint64_t began_ns = now_ns();                                    \
        type result = own arguments;                                     \
        hold_up(began_ns);                                               \
        return result;                                                   \
    }

SLOWER(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at))
SLOWER(ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at))
SLOWER(ssize_t, pwritev, (int file, const struct iovec *parts, int count, off_t at), (file, parts, count, at))
SLOWER(ssize_t, pwritev64, (int file, const struct iovec *parts, int count, off64_t at), (file, parts, count, at))
SLOWER(int, fdatasync, (int file), (file))
SLOWER(int, fsync, (int file), (file))
