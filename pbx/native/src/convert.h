/* Recordings in other formats than WAV, written by libsndfile where this build has it. */
#ifndef TANDEM_CONVERT_H
#define TANDEM_CONVERT_H

#include <stdbool.h>
#include <stddef.h>

#include "tape.h"

/* Writes the sound of a finished WAV anew, in the tape's format, to `fd`, and reads it back to see that it is all there. False
   and a sentence in `fault` when it can't. `alive` is called every now and then. */
bool convert_wav(const struct tape *tape, int fd, void (*alive)(void *), void *argument, char *fault, size_t room);

#endif
