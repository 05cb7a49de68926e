/* Sampling rate conversion of mono sound by a windowed sinc, for any pair of rates. */
#ifndef TANDEM_RESAMPLE_H
#define TANDEM_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

enum { RESAMPLE_LEAST = 4000, RESAMPLE_MOST = 192000 }; /* Hz */

struct resampler;

/* NULL when memory is exhausted or a rate is out of bounds. */
struct resampler *resampler_new(uint32_t from, uint32_t to);
/* Turns samples into at most `room` others and returns how many; what came in earlier is remembered. Everything comes out
   later by a constant delay. `room` must hold count * to / from + 1. */
size_t resampler_run(struct resampler *resampler, const int16_t *in, size_t count, int16_t *out, size_t room);
/* The delay, in samples that come out: exactly as many, whatever the rates. */
size_t resampler_delay(const struct resampler *resampler);
void resampler_free(struct resampler *resampler);

#endif
