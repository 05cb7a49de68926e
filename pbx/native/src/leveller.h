/* Tells speech from noise and silence by how it stands out, and brings speech to one level. */
#ifndef TANDEM_LEVELLER_H
#define TANDEM_LEVELLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leveller {
    double floor;                /* dBov of what is always there */
    double loudness;             /* mean square of speech lately; 1 is full */
    double heard;                /* ms of speech that `loudness` is of, as far as it counts */
    double gain;                 /* dB */
    double applied;              /* at the end of the last frame, as a factor */
    int hold;                    /* ms for which it still counts as speech */
};

void leveller_start(struct leveller *leveller);
/* A frame, of `milliseconds`, in place; `level` is what speech is brought to, in dBov. 0: sound stays as it is. */
void leveller_run(struct leveller *leveller, int16_t *samples, size_t count, int milliseconds, int level);
/* Whether the last frame was speech, or a short pause in it. */
bool leveller_hears_speech(const struct leveller *leveller);

#endif
