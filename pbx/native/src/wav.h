/* The head of the WAV files that are written: 16-bit PCM, nothing but a format and the sound. */
#ifndef TANDEM_WAV_H
#define TANDEM_WAV_H

#include <stdint.h>
#include <string.h>

enum { WAV_HEADER = 44 };
#define WAV_MOST UINT64_C(0xffffff00) /* octets of sound that the lengths can tell */

static inline void wav_put(uint8_t *at, uint32_t number, int octets) {
    for (int i = 0; i < octets; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

static inline void wav_header(uint8_t header[WAV_HEADER], uint32_t rate, unsigned channels, uint32_t octets) {
    memcpy(header, "RIFF....WAVEfmt ", 16);
    wav_put(header + 4, octets + WAV_HEADER - 8, 4);
    wav_put(header + 16, 16, 4);
    wav_put(header + 20, 1, 2);
    wav_put(header + 22, channels, 2);
    wav_put(header + 24, rate, 4);
    wav_put(header + 28, rate * channels * 2, 4);
    wav_put(header + 32, channels * 2, 2);
    wav_put(header + 34, 16, 2);
    memcpy(header + 36, "data", 4);
    wav_put(header + 40, octets, 4);
}

#endif
