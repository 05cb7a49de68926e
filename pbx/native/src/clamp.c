#include "clamp.h"

#include <stdbool.h>
#include <stdlib.h>

#define OPEN INT64_MAX

struct clamp {
    uint32_t rate;
    int64_t passed;              /* samples that came out */
    int64_t from, until;         /* what is clamped, in the detector's samples */
    size_t voice;                /* samples for which a voice is still held */
    size_t at, length;
    int16_t held[];
};

struct clamp *clamp_new(uint32_t rate, uint32_t hold) {
    size_t length = ((size_t)hold * rate + CLAMP_RATE - 1) / CLAMP_RATE;
    struct clamp *clamp = calloc(1, sizeof *clamp + length * sizeof *clamp->held);
    if (clamp == NULL)
        return NULL;
    clamp->rate = rate;
    clamp->length = length;
    clamp->passed = -(int64_t)length;
    clamp->until = INT64_MIN;
    return clamp;
}

void clamp_free(struct clamp *clamp) {
    free(clamp);
}

static int64_t position_of(const struct clamp *clamp, int64_t passed) {
    return passed * CLAMP_RATE / (int64_t)clamp->rate;
}

void clamp_begin(struct clamp *clamp, int64_t position) {
    /* What is left of the key before goes with the pause behind it. */
    if (clamp->until <= position_of(clamp, clamp->passed))
        clamp->from = position;
    clamp->until = OPEN;
}

void clamp_end(struct clamp *clamp, int64_t position) {
    clamp->until = position;
}

enum heard clamp_run(struct clamp *clamp, int16_t *samples, size_t count, enum heard heard) {
    if (heard >= HEARD_CONCEALED)
        clamp->voice = clamp->length + count;
    for (size_t i = 0; i < count; i++) {
        int64_t position = position_of(clamp, clamp->passed++);
        bool clamped = position >= clamp->from && position < clamp->until;
        int16_t out = clamped ? 0 : clamp->held[clamp->at];
        clamp->held[clamp->at] = samples[i];
        clamp->at = clamp->at + 1 == clamp->length ? 0 : clamp->at + 1;
        samples[i] = out;
    }
    clamp->voice -= clamp->voice < count ? clamp->voice : count;
    return clamp->voice > 0 && heard < HEARD_VOICE ? HEARD_VOICE : heard;
}
