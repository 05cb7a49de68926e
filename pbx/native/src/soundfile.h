/* Sounds for playing: WAV with 16-bit PCM, A-law or u-law, the headerless files of telephony by their suffix, whatever
   libsndfile reads, and tones by name. */
#ifndef TANDEM_SOUNDFILE_H
#define TANDEM_SOUNDFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "codec.h"

enum { SOUNDFILE_BLOCK = 1920 }; /* samples read at a time, at most */

struct foreign;
struct tone;

struct soundfile {
    FILE *file;
    struct foreign *foreign;     /* reads it, if not NULL */
    struct tone *tone;           /* makes it, if not NULL */
    struct decoder *decoder;     /* NULL: 16-bit PCM */
    uint32_t rate;               /* Hz */
    unsigned channels;
    uint64_t octets_left;
    uint64_t size;               /* octets */
    bool approximate;            /* MP3 files tell their length so */
    const char *broken;          /* why it can't be read to its end; NULL if it can, so far */
    uint64_t samples;            /* of the whole file, one channel */
    unsigned octets_a_sample;    /* of all channels; of G.722, half of it */
};

/* False and a sentence in `fault` (of `room` octets) when the sound can't be played. A tone is made at `rate` Hz. */
bool soundfile_open(struct soundfile *sound, const char *path, uint32_t rate, char *fault, size_t room);
/* The file of a sound whose suffix was left out, for a codec of `kind` and `rate` Hz: the one that has no less of the band
   than the codec, else the widest; of equals, the one that loses least. NULL, or the path, which is the caller's to free. */
char *soundfile_choose(const char *name, enum codec_kind kind, uint32_t rate);
/* Mono samples, at most SOUNDFILE_BLOCK; 0 at the end or when reading fails. */
size_t soundfile_read(struct soundfile *sound, int16_t *samples);
void soundfile_close(struct soundfile *sound);

#endif
