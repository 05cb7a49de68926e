/* Tones of telephony, made rather than read: `tone:440+480/2000,0/4000` is the North American ring-back. */
#ifndef TANDEM_TONE_H
#define TANDEM_TONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tone;

/* Whether a sound's name is that of a tone. */
bool tone_named(const char *name);
/*
 * One round of a tone at `rate` Hz; NULL and a sentence in `fault` (of `room` octets) for a name that says none.
 *
 *     tone     = "tone:" part *( "," part )
 *     part     = sound "/" milliseconds
 *     sound    = "0" | hertz *( "+" hertz ) | hertz "*" hertz      silence, tones together, or the first one modulated
 *
 * A tone of one part is for ever: its round ends where it began, so that rounds follow each other without a click.
 */
struct tone *tone_new(const char *name, uint32_t rate, char *fault, size_t room);
/* Of one round. */
uint64_t tone_samples(const struct tone *tone);
/* At most `room` samples; 0 at the end of the round. */
size_t tone_run(struct tone *tone, int16_t *samples, size_t room);
void tone_free(struct tone *tone);

#endif
