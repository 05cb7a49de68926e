/*
 * A sound on its way from its file to packets: read, resampled, made louder or softer, encoded, a chunk of frames at a time.
 */
#ifndef TANDEM_PREPARATION_H
#define TANDEM_PREPARATION_H

#include <stddef.h>

struct preparation;
struct sound;

struct sound_memory { /* that sounds may have, and have */
    int mebibytes;
    size_t octets;
};

/* NULL when memory is exhausted. */
struct preparation *preparation_new(void);
/* Opens the file of a sound that has one of these; NULL, or what is wrong with it, perhaps in the `room` of `fault`. */
const char *preparation_begin(struct sound *sound, const struct sound_memory *memory, char *fault, size_t room);
/* One more chunk of frames; NULL, or what went wrong. */
const char *preparation_chunk(struct sound *sound);
void preparation_free(struct preparation *preparation);

#endif
