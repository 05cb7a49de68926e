/* Keys: telephone-events (RFC 4733) read and sent, and tones for peers that take none. */
#ifndef TANDEM_DIGITS_H
#define TANDEM_DIGITS_H

#include <string.h>

#include "stream.h"

#define DIGITS "0123456789*#ABCDabcd"

/* The number of a key's event (RFC 4733 3.2); -1 for what is none. */
static inline int digit_event(char digit) {
    const char *at = digit == '\0' ? NULL : strchr(DIGITS, digit);
    return at == NULL ? -1 : at - DIGITS < 16 ? (int)(at - DIGITS) : (int)(at - DIGITS) - 4;
}

/* Reads a packet of the stream's event payload type. */
void digits_read(struct worker *worker, struct stream *stream, const struct packet *packet, uint32_t rate);
/* Whether keys go to a stream's peer as telephone-events. */
bool digits_as_events(const struct stream *stream);
/* Sends keys after those that are still being sent; they take the place of what is relayed or played: as
   telephone-events, or as tones to a peer that takes none. False if it takes neither, or there is no memory. */
bool digits_send(struct stream *stream, const char *digits, int duration);
/* Tells that a key was pressed; `relayed`: see engine_event. */
void digits_tell(struct stream *stream, char digit, uint64_t milliseconds, bool relayed);
/* What is due next of the keys that are being sent. */
struct timer *digits_timer(struct dialer *dialer);
/* Ends what is under way: a key that is held is told, what is unsent is dropped. */
void digits_end(struct stream *stream);

#endif
