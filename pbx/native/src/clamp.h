/*
 * Keeps a key's tones out of sound (tone clamping): for a side that is told the key another way, and might else take it twice. The
 * sound is held back as long as it takes to be sure that a tone is a key's, so nothing of the tone is heard behind it, and nothing is
 * taken from a voice that no key was heard in.
 *
 * Positions are in samples of the detector's sound, CLAMP_RATE, from the clamp's beginning on.
 */
#ifndef TANDEM_CLAMP_H
#define TANDEM_CLAMP_H

#include <stddef.h>
#include <stdint.h>

#include "listener.h"

enum { CLAMP_RATE = 8000 };

struct clamp;

/* For sound of `rate`, held back for `hold` samples of the detector's sound. NULL when memory is exhausted. */
struct clamp *clamp_new(uint32_t rate, uint32_t hold);
/* A tone that is a key's began there, or later. */
void clamp_begin(struct clamp *clamp, int64_t position);
/* It ended there, or earlier. */
void clamp_end(struct clamp *clamp, int64_t position);
/* Turns sound in place into that of `hold` before, without what is clamped; what it is made of, too. */
enum heard clamp_run(struct clamp *clamp, int16_t *samples, size_t count, enum heard heard);
void clamp_free(struct clamp *clamp);

#endif
