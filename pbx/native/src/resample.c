#include "resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PHASES 256       /* of the filter's table, if the rates need more: between two of them it is interpolated */
#define LANES 8          /* products that are summed side by side, so that a compiler may use wide registers */
#define ZERO_CROSSINGS 16 /* of the sinc on each side */
#define KAISER_BETA 9.0  /* some 90 dB of stop band */
#define PASS 0.92        /* of half the lower rate: where the edge of the filter lies */
#define BLOCK 1024       /* samples taken at a time */

struct resampler {
    uint32_t from, to;
    size_t half;         /* of the filter, in samples that come in */
    size_t phases;       /* of the table */
    bool exact;          /* every sample that comes out lies on one of them */
    float *table;        /* phases + 1 rows of 2 * half taps */
    float *history;      /* 2 * half samples of the past, and a block */
    uint64_t position;   /* of the next sample to come out, in 1/to of a sample that comes in, from history's start */
};

static double bessel(double x) {
    double sum = 1, term = 1;
    for (int i = 1; term > 1e-12 * sum; i++) {
        term *= (x / 2 / i) * (x / 2 / i);
        sum += term;
    }
    return sum;
}

static double tap(double distance, double half, double cutoff) {
    double x = distance / half;
    if (x <= -1 || x >= 1)
        return 0;
    double angle = M_PI * cutoff * distance;
    double sinc = fabs(angle) < 1e-9 ? 1 : sin(angle) / angle;
    return cutoff * sinc * bessel(KAISER_BETA * sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

static uint32_t common_divisor(uint32_t a, uint32_t b) {
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

struct resampler *resampler_new(uint32_t from, uint32_t to) {
    if (from < RESAMPLE_LEAST || from > RESAMPLE_MOST || to < RESAMPLE_LEAST || to > RESAMPLE_MOST)
        return NULL;
    struct resampler *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    double scale = to < from ? (double)to / from : 1;
    r->from = from;
    r->to = to;
    r->half = (size_t)ceil(ZERO_CROSSINGS / scale / (LANES / 2)) * (LANES / 2);
    r->phases = to / common_divisor(from, to);
    r->exact = r->phases <= PHASES;
    r->phases = r->exact ? r->phases : PHASES;
    r->position = (uint64_t)r->half * to % from; /* so that the delay is a whole number of samples that come out */
    size_t taps = 2 * r->half;
    r->table = malloc((r->phases + 1) * taps * sizeof *r->table);
    r->history = calloc(taps + BLOCK, sizeof *r->history);
    if (r->table == NULL || r->history == NULL) {
        resampler_free(r);
        return NULL;
    }
    for (size_t phase = 0; phase <= r->phases; phase++) {
        double sum = 0;
        for (size_t i = 0; i < taps; i++) {
            double distance = (double)i - (double)(r->half - 1) - (double)phase / (double)r->phases;
            double value = tap(distance, (double)r->half, scale * PASS);
            r->table[phase * taps + i] = (float)value;
            sum += value;
        }
        for (size_t i = 0; i < taps; i++) /* a constant stays what it is */
            r->table[phase * taps + i] = (float)(r->table[phase * taps + i] / sum);
    }
    return r;
}

size_t resampler_delay(const struct resampler *r) {
    return (size_t)((uint64_t)r->half * r->to / r->from);
}

static float product(const float *window, const float *row, size_t taps) {
    float sums[LANES] = {0}, sum = 0;
    for (size_t i = 0; i < taps; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            sums[lane] += window[i + lane] * row[i + lane];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

static int16_t at(const struct resampler *r, const float *window, uint32_t fraction) {
    size_t taps = 2 * r->half;
    uint64_t place = (uint64_t)fraction * r->phases;
    const float *low = r->table + place / r->to * taps;
    float value = product(window, low, taps);
    if (!r->exact)
        value += (float)(place % r->to) / (float)r->to * (product(window, low + taps, taps) - value);
    return value >= 32767 ? 32767 : value <= -32768 ? -32768 : (int16_t)lrintf(value);
}

static size_t run_block(struct resampler *r, const int16_t *in, size_t count, int16_t *out, size_t room) {
    size_t taps = 2 * r->half, made = 0;
    for (size_t i = 0; i < count; i++)
        r->history[taps + i] = in[i];
    while (made < room) {
        size_t whole = (size_t)(r->position / r->to);
        if (whole >= count)
            break;
        out[made++] = at(r, r->history + whole + 1, (uint32_t)(r->position % r->to));
        r->position += r->from;
    }
    while (r->position < (uint64_t)count * r->to) /* no room: what is left is lost, the line is kept */
        r->position += r->from;
    memmove(r->history, r->history + count, taps * sizeof *r->history);
    r->position -= (uint64_t)count * r->to;
    return made;
}

size_t resampler_run(struct resampler *r, const int16_t *in, size_t count, int16_t *out, size_t room) {
    size_t made = 0;
    for (size_t done = 0; done < count; done += BLOCK)
        made += run_block(r, in + done, count - done < BLOCK ? count - done : BLOCK, out + made, room - made);
    return made;
}

void resampler_free(struct resampler *r) {
    if (r == NULL)
        return;
    free(r->table);
    free(r->history);
    free(r);
}
