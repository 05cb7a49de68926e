/* Sound files for playing: WAV with 16-bit PCM, A-law or u-law, and the headerless files of telephony by their suffix. */
#ifndef TANDEM_SOUNDFILE_H
#define TANDEM_SOUNDFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "codec.h"

enum { SOUNDFILE_BLOCK = 1920 }; /* samples read at a time, at most */

struct soundfile {
    FILE *file;
    struct decoder *decoder;     /* NULL: 16-bit PCM */
    uint32_t rate;               /* Hz */
    unsigned channels;
    uint64_t octets_left;
    bool cut_short;              /* the file ended before the length that it had when it was opened */
    uint64_t samples;            /* of the whole file, one channel */
    unsigned octets_a_sample;    /* of all channels; of G.722, half of it */
};

/* False and a sentence in `fault` (of `room` octets) when the file can't be played. */
bool soundfile_open(struct soundfile *sound, const char *path, char *fault, size_t room);
/* Mono samples, at most SOUNDFILE_BLOCK; 0 at the end or when reading fails. */
size_t soundfile_read(struct soundfile *sound, int16_t *samples);
void soundfile_close(struct soundfile *sound);

#endif
