/* Preloaded into a process under test: the time of day that it reads is moved by the nanoseconds in $MOVED_CLOCK.
 *
 * That file is mapped, so that a clock jumps while its process runs. Monotonic clocks are left alone, as a system
 * whose time is set leaves them. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static volatile int64_t *moved_ns;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("MOVED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        moved_ns = page;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && moved_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t since_1970_ns = now->tv_sec * SECOND_NS + now->tv_nsec + *moved_ns;
        now->tv_sec = since_1970_ns / SECOND_NS;
        now->tv_nsec = since_1970_ns % SECOND_NS;
    }
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec read;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &read) != 0)
        return -1;
    now->tv_sec = read.tv_sec;
    now->tv_usec = read.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec read;
    if (clock_gettime(CLOCK_REALTIME, &read) != 0)
        return -1;
    if (now)
        *now = read.tv_sec;
    return read.tv_sec;
}
