/* Voice as a waveform that nearly repeats itself: continued where it was lost, shortened where it comes too late. */
#ifndef TANDEM_WAVEFORM_H
#define TANDEM_WAVEFORM_H

#include <stddef.h>
#include <stdint.h>

enum {
    WAVEFORM_PAST = 40,   /* milliseconds of the past that both look at */
    WAVEFORM_PERIOD = 15, /* the longest period, milliseconds: a voice of 67 Hz */
    WAVEFORM_BLEND = 4    /* milliseconds of transition back to real sound */
};

struct concealment { /* of one gap */
    size_t made;         /* samples so far; 0: none is going on */
    size_t length;       /* of the period that is repeated */
    int16_t *period;     /* room for WAVEFORM_PERIOD */
};

/* `past` ends where sound was lost, with WAVEFORM_PAST before it. Fades to silence within 60 ms. */
void conceal(struct concealment *concealment, const int16_t *past_end, uint32_t rate, int16_t *samples, size_t count);
/* Real sound is there again: blends its beginning with what would have come. */
void conceal_end(struct concealment *concealment, uint32_t rate, int16_t *samples, size_t count);

/* Takes one period out of the beginning of `count` samples; returns how many were taken out, 0 if it would be heard. At most
   `most` are. What is left begins at `samples`. */
size_t waveform_shorten(int16_t *samples, size_t count, uint32_t rate, size_t most);

#endif
