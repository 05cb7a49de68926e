#include "g711.h"

#include <pthread.h>

int16_t g711_ulaw_samples[256], g711_alaw_samples[256];
uint8_t g711_ulaw_to_alaw[256], g711_alaw_to_ulaw[256];

static int16_t from_ulaw(int octet) {
    octet = ~octet & 0xff;
    int magnitude = (((octet & 0x0f) << 3) + 0x84) << ((octet & 0x70) >> 4);
    return (int16_t)(octet & 0x80 ? 0x84 - magnitude : magnitude - 0x84);
}

static int16_t from_alaw(int octet) {
    octet ^= 0x55;
    int segment = (octet & 0x70) >> 4, magnitude = (octet & 0x0f) << 4;
    magnitude = segment == 0 ? magnitude + 8 : (magnitude + 0x108) << (segment - 1);
    return (int16_t)(octet & 0x80 ? magnitude : -magnitude);
}

static void fill(void) {
    for (int octet = 0; octet < 256; octet++) {
        g711_ulaw_samples[octet] = from_ulaw(octet);
        g711_alaw_samples[octet] = from_alaw(octet);
        g711_ulaw_to_alaw[octet] = g711_to_alaw(g711_ulaw_samples[octet]);
        g711_alaw_to_ulaw[octet] = g711_to_ulaw(g711_alaw_samples[octet]);
    }
}

void g711_fill_tables(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
}
