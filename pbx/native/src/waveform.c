#include "waveform.h"

#include <math.h>
#include <string.h>

#define SHORTEST_PERIOD_HERTZ 400
#define FULL_MILLISECONDS 10      /* of what is made up before it fades */
#define FADE_MILLISECONDS 50
#define ALIKE 0.85f               /* correlation of two periods that may be blended unheard */
#define SOFT 40000.0f             /* mean square of sound so soft that anything may be blended: some -44 dBFS */

static size_t samples_of(uint32_t rate, size_t milliseconds) {
    return rate * milliseconds / 1000;
}

/* Compares x with what lies `lag` before it, looking at every `step`th sample; cosine of the angle between the two. */
static float likeness(const int16_t *x, size_t count, ptrdiff_t lag, size_t step) {
    float product = 0, power = 1, power_lagged = 1;
    for (size_t i = 0; i < count; i += step) {
        float a = x[i], b = x[(ptrdiff_t)i - lag];
        product += a * b;
        power += a * a;
        power_lagged += b * b;
    }
    return product / sqrtf(power * power_lagged);
}

enum where { BEFORE, BEHIND }; /* `x`, a piece of it is looked for */

static float likeness_at(const int16_t *x, enum where where, size_t count, size_t lag, size_t step) {
    return likeness(where == BEHIND ? x + lag : x, count, (ptrdiff_t)lag, step);
}

/* The lag between `from` and `to` at which x repeats itself best: roughly at first, then exactly. */
static size_t best_lag(const int16_t *x, enum where where, size_t count, size_t from, size_t to, uint32_t rate, float *how) {
    size_t step = rate > 8000 ? rate / 8000 : 1, best = from;
    *how = -2;
    for (size_t lag = from; lag <= to; lag += step) {
        float now = likeness_at(x, where, count, lag, step);
        if (now > *how) {
            *how = now;
            best = lag;
        }
    }
    size_t first = best > from + step ? best - step + 1 : from, last = best + step - 1 < to ? best + step - 1 : to;
    for (size_t lag = first; step > 1 && lag <= last; lag++) {
        float now = likeness_at(x, where, count, lag, step);
        if (now > *how) {
            *how = now;
            best = lag;
        }
    }
    return best;
}

static void find_period(struct concealment *c, const int16_t *end, uint32_t rate) {
    float how;
    size_t window = samples_of(rate, 20);
    size_t length = c->length = best_lag(end - window, BEFORE, window, rate / SHORTEST_PERIOD_HERTZ,
                                         samples_of(rate, WAVEFORM_PERIOD), rate, &how);
    const int16_t *period = end - length;
    size_t blend = length / 4;
    memcpy(c->period, period, length * sizeof *period);
    /* Its end leads to its beginning, as it did one period before. */
    for (size_t i = 0; i < blend; i++) {
        float share = (float)(i + 1) / (float)(blend + 1);
        size_t at = length - blend + i;
        c->period[at] = (int16_t)lrintf((1 - share) * (float)period[at] + share * (float)*(period + at - length));
    }
}

static float gain_at(uint32_t rate, size_t place) {
    size_t full = samples_of(rate, FULL_MILLISECONDS), fade = samples_of(rate, FADE_MILLISECONDS);
    if (place < full)
        return 1;
    return place >= full + fade ? 0 : 1 - (float)(place - full) / (float)fade;
}

void conceal(struct concealment *c, const int16_t *end, uint32_t rate, int16_t *samples, size_t count) {
    if (c->made == 0)
        find_period(c, end, rate);
    /* Where the period does not quite begin at the level that the past ended on, the step is spread out. */
    size_t spread = c->length / 4;
    float offset = c->made == 0 ? (float)(end[-1] - *(end - c->length - 1)) : 0;
    for (size_t i = 0; i < count; i++) {
        float value = c->period[(c->made + i) % c->length];
        if (i < spread)
            value += offset * (1 - (float)(i + 1) / (float)(spread + 1));
        value *= gain_at(rate, c->made + i);
        samples[i] = value >= 32767 ? 32767 : value <= -32768 ? -32768 : (int16_t)lrintf(value);
    }
    c->made += count;
}

void conceal_end(struct concealment *c, uint32_t rate, int16_t *samples, size_t count) {
    size_t blend = samples_of(rate, WAVEFORM_BLEND);
    blend = blend < count ? blend : count;
    for (size_t i = 0; c->made > 0 && i < blend; i++) {
        float share = (float)(i + 1) / (float)(blend + 1);
        float made_up = gain_at(rate, c->made + i) * (float)c->period[(c->made + i) % c->length];
        samples[i] = (int16_t)lrintf(share * (float)samples[i] + (1 - share) * made_up);
    }
    c->made = 0;
}

size_t waveform_shorten(int16_t *samples, size_t count, uint32_t rate, size_t most) {
    size_t longest = samples_of(rate, WAVEFORM_PERIOD), shortest = rate / SHORTEST_PERIOD_HERTZ;
    longest = longest < most ? longest : most;
    longest = longest < count / 2 ? longest : count / 2;
    if (longest < shortest)
        return 0;
    float how, power = 0;
    size_t lag = best_lag(samples, BEHIND, count - longest, shortest, longest, rate, &how);
    for (size_t i = 0; i < 2 * lag; i++)
        power += (float)samples[i] * (float)samples[i];
    if (how < ALIKE && power > SOFT * (float)(2 * lag))
        return 0;
    for (size_t i = 0; i < lag; i++) {
        float share = (float)(i + 1) / (float)(lag + 1);
        samples[i] = (int16_t)lrintf((1 - share) * (float)samples[i] + share * (float)samples[i + lag]);
    }
    memmove(samples + lag, samples + 2 * lag, (count - 2 * lag) * sizeof *samples);
    return lag;
}
