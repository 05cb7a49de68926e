#include "arrival.h"

#include <string.h>

#define BUCKET_MILLISECONDS 5
#define INTERVAL_MILLISECONDS 100 /* one burst falls into one interval, however many packets it delivers */
#define WINDOW_MILLISECONDS 5000
#define FORGET 0.02f              /* what one interval counts: some five seconds are remembered */
#define ENOUGH 0.95f              /* of the intervals are in time */
#define LEAST_MILLISECONDS 10     /* what threads and timers of two machines need anyway */

static int64_t samples_of(const struct arrival *arrival, int64_t milliseconds) {
    return milliseconds * arrival->rate / 1000;
}

void arrival_start(struct arrival *arrival, uint32_t rate) {
    memset(arrival, 0, sizeof *arrival);
    arrival->rate = rate;
    arrival->target = samples_of(arrival, LEAST_MILLISECONDS);
    arrival->share[0] = 1;
}

static void end_interval(struct arrival *arrival) {
    int64_t place = arrival->worst / samples_of(arrival, BUCKET_MILLISECONDS);
    int bucket = place >= ARRIVAL_BUCKETS ? ARRIVAL_BUCKETS - 1 : (int)place;
    float sum = 0;
    for (int i = 0; i < ARRIVAL_BUCKETS; i++)
        arrival->share[i] *= 1 - FORGET;
    arrival->share[bucket] += FORGET;
    int enough = 0;
    while (enough < ARRIVAL_BUCKETS - 1 && (sum += arrival->share[enough]) < ENOUGH)
        enough++;
    int64_t least = samples_of(arrival, LEAST_MILLISECONDS);
    arrival->target = samples_of(arrival, (enough + 1) * BUCKET_MILLISECONDS);
    if (arrival->target < least)
        arrival->target = least;
    arrival->worst = 0;
}

void arrival_note(struct arrival *arrival, int64_t offset, int64_t now) {
    if (!arrival->known) {
        arrival->known = true;
        arrival->base = arrival->least = offset;
        arrival->window_end = now + samples_of(arrival, WINDOW_MILLISECONDS);
        arrival->interval_end = now + samples_of(arrival, INTERVAL_MILLISECONDS);
    }
    if (now >= arrival->interval_end) {
        end_interval(arrival);
        arrival->interval_end = now + samples_of(arrival, INTERVAL_MILLISECONDS);
    }
    if (now >= arrival->window_end) {
        arrival->base = arrival->least;
        arrival->least = offset;
        arrival->window_end = now + samples_of(arrival, WINDOW_MILLISECONDS);
    }
    if (offset < arrival->least)
        arrival->least = offset;
    if (offset < arrival->base)
        arrival->base = offset;
    if (offset - arrival->base > arrival->worst)
        arrival->worst = offset - arrival->base;
}
