#include "noise.h"

#include <math.h>
#include <string.h>

/* RFC 3389 3.1: 0 dBov is the level of a square wave of the greatest amplitude. */
#define FULL_SCALE 32767.0f

void noise_start(struct noise *noise) {
    memset(noise, 0, sizeof *noise);
    noise->level = NOISE_SILENT;
    noise->seed = 1;
}

void noise_describe(struct noise *noise, const uint8_t *payload, size_t length, int shaped) {
    if (length == 0)
        return;
    noise->level = payload[0] & 0x7f;
    noise->order = 0;
    float power = 1;
    for (size_t i = 1; shaped && i < length && noise->order < NOISE_ORDER; i++) {
        /* RFC 3389 3.2: 127 is a coefficient of zero, each step is 1/128; what reaches one would not be stable. */
        float k = ((float)payload[i] - 127) / 128;
        k = k > 0.99f ? 0.99f : k < -0.99f ? -0.99f : k;
        noise->reflection[noise->order++] = k;
        power *= 1 - k * k;
    }
    /* White noise between -1 and 1 has a mean square of 1/3; the filter makes it 1/power times as strong. */
    noise->gain = noise->level == NOISE_SILENT ? 0 : FULL_SCALE * powf(10, -(float)noise->level / 20) * sqrtf(3 * power);
}

void noise_run(struct noise *noise, int16_t *samples, size_t count) {
    if (noise->gain <= 0) {
        memset(samples, 0, count * sizeof *samples);
        return;
    }
    for (size_t n = 0; n < count; n++) {
        noise->seed = noise->seed * 1664525u + 1013904223u;
        float value = noise->gain * ((float)(int32_t)noise->seed / 2147483648.0f);
        float *state = noise->state;
        for (int i = noise->order; i-- > 0;) { /* an all-pole lattice */
            value -= noise->reflection[i] * state[i];
            state[i + 1] = state[i] + noise->reflection[i] * value;
        }
        state[0] = value;
        samples[n] = value >= 32767 ? 32767 : value <= -32768 ? -32768 : (int16_t)value;
    }
}

uint8_t noise_level(const int16_t *samples, size_t count) {
    double energy = 0;
    for (size_t i = 0; i < count; i++)
        energy += (double)samples[i] * samples[i];
    if (energy < 1 || count == 0)
        return NOISE_SILENT;
    double level = -10 * log10(energy / (double)count / ((double)FULL_SCALE * (double)FULL_SCALE));
    return level < 0 ? 0 : level > NOISE_SILENT ? NOISE_SILENT : (uint8_t)lrint(level);
}
