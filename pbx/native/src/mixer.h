/*
 * The sums of a mix: what each member hears, from what each of them says. Pure: samples in, samples out.
 *
 * Everything that all may hear is added up once, in 32 bits; a member hears that sum without what it said itself, cut to 16
 * bits only then, so that however many talk at once nobody's own voice comes back. Members that add nothing hear the same,
 * and are told so: one encoding then serves them all.
 */
#ifndef TANDEM_MIXER_H
#define TANDEM_MIXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MIXER_SAMPLES = 960,         /* the most at a time: 20 ms at 48 kHz */
    MIXER_HEARERS = 8            /* that what one says may be kept to */
};

struct mixer_seat { /* a member, as the sums see it */
    uint64_t id;                 /* not 0 */
    bool muted;                  /* nobody hears it */
    bool deaf;                   /* it hears nobody */
    uint8_t hearer_count;        /* 0: all hear it, else only the members named in `hearers`, who need not be there */
    uint64_t hearers[MIXER_HEARERS];
    bool says;                   /* `said` holds something */
    int16_t said[MIXER_SAMPLES];
    const int16_t *heard;        /* what comes of it; shared with others unless `apart` */
    bool apart;                  /* it hears what nobody else hears */
    int16_t own[MIXER_SAMPLES];
};

struct mixer {
    size_t count;                /* samples at a time, at most MIXER_SAMPLES */
    int32_t sum[MIXER_SAMPLES];
    int16_t common[MIXER_SAMPLES]; /* what all may hear together */
    int16_t silence[MIXER_SAMPLES];
};

void mixer_init(struct mixer *mixer, size_t count);
/* A round begins: nothing has been said. */
void mixer_begin(struct mixer *mixer);
/* A sound that every member hears who is not deaf. */
void mixer_add(struct mixer *mixer, const int16_t *samples);
/* What the seats say is added, and then what each hears is made. */
void mixer_run(struct mixer *mixer, struct mixer_seat *const *seats, size_t seat_count);

/* The mean square of samples. */
uint32_t mixer_power(const int16_t *samples, size_t count);

#endif
