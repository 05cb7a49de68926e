/* ITU-T G.711: 8 bits a sample, by companding. */
#ifndef TANDEM_G711_H
#define TANDEM_G711_H

#include <stdint.h>

extern int16_t g711_ulaw_samples[256], g711_alaw_samples[256];
extern uint8_t g711_ulaw_to_alaw[256], g711_alaw_to_ulaw[256]; /* octet for octet */

/* Fills the tables; may be called by several threads. */
void g711_fill_tables(void);

/* Sign, exponent and mantissa of the biased magnitude, all bits inverted. */
static inline uint8_t g711_to_ulaw(int16_t sample) {
    int magnitude = sample >> 2; /* 14 bits */
    uint8_t mask = 0xff;
    if (magnitude < 0) {
        magnitude = -magnitude;
        mask = 0x7f;
    }
    magnitude = (magnitude > 8158 ? 8158 : magnitude) + 33;
    int segment = 26 - __builtin_clz((unsigned)magnitude); /* the bias makes it 33 at least: bit 5 is set or a higher one */
    int mantissa = magnitude >> (segment + 1) & 0x0f;
    return (uint8_t)((segment << 4 | mantissa) ^ mask);
}

/* Sign, exponent and mantissa, even bits inverted. */
static inline uint8_t g711_to_alaw(int16_t sample) {
    int magnitude = sample >> 3; /* 13 bits */
    uint8_t mask = 0xd5;
    if (magnitude < 0) {
        magnitude = -magnitude - 1;
        mask = 0x55;
    }
    if (magnitude < 32)
        return (uint8_t)((magnitude >> 1) ^ mask);
    int segment = 27 - __builtin_clz((unsigned)magnitude);
    return (uint8_t)((segment << 4 | (magnitude >> segment & 0x0f)) ^ mask);
}

#endif
