/* Time: nanoseconds on a clock that never goes back, and the wall clock in NTP's form for sender reports. */
#ifndef TANDEM_CLOCK_H
#define TANDEM_CLOCK_H

#include <stdint.h>
#include <time.h>

#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static inline uint64_t clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* RFC 3550 4: seconds since 1900 in the upper half, their binary fraction in the lower. */
static inline uint64_t clock_ntp(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_sec + UINT64_C(2208988800)) << 32 | ((uint64_t)t.tv_nsec << 32) / SECOND;
}

/* RTP clock units of `rate` Hz in a span of time; exact for spans up to four days at 48 kHz. */
static inline uint64_t clock_units(uint64_t nanoseconds, uint32_t rate) {
    return nanoseconds * rate / SECOND;
}

#endif
