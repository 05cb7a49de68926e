/* Comfort noise (RFC 3389): made as a peer describes it, and described. */
#ifndef TANDEM_NOISE_H
#define TANDEM_NOISE_H

#include <stddef.h>
#include <stdint.h>

enum { NOISE_ORDER = 12, NOISE_SILENT = 127 };

struct noise {
    uint8_t level;               /* -dBov; NOISE_SILENT: none */
    uint8_t order;               /* of the filter */
    float reflection[NOISE_ORDER];
    float state[NOISE_ORDER + 1];
    float gain;                  /* of what goes into the filter */
    uint32_t seed;
};

void noise_start(struct noise *noise);
/* What a payload of comfort noise says. `shaped`: the spectrum too, which is told for the rate of the payload's clock. */
void noise_describe(struct noise *noise, const uint8_t *payload, size_t length, int shaped);
void noise_run(struct noise *noise, int16_t *samples, size_t count);
/* The level of sound as RFC 3389 has it: -dBov, 0 to 127. */
uint8_t noise_level(const int16_t *samples, size_t count);

#endif
