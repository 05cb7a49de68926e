/*
 * How packets arrive: how late each is beside the quickest, and which delay lets nearly all of them be in time.
 *
 * An offset is the time of arrival minus the time that the packet's timestamp stands for, in samples; only differences matter.
 */
#ifndef TANDEM_ARRIVAL_H
#define TANDEM_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

enum { ARRIVAL_BUCKETS = 64 };

struct arrival {
    uint32_t rate;
    bool known;
    int64_t base;                /* the least offset of this window and the one before */
    int64_t least;               /* of this window */
    int64_t window_end;
    int64_t worst;               /* lateness in this interval */
    int64_t interval_end;
    float share[ARRIVAL_BUCKETS]; /* of intervals whose worst lateness was in this bucket; older ones count less */
    int64_t target;
};

void arrival_start(struct arrival *arrival, uint32_t rate);
/* A packet with this offset came. Times are in samples. */
void arrival_note(struct arrival *arrival, int64_t offset, int64_t now);

#endif
