/* Keys: telephone-events (RFC 4733) read and sent. */
#ifndef TANDEM_DIGITS_H
#define TANDEM_DIGITS_H

#include "stream.h"

/* Reads a packet of the stream's event payload type. */
void digits_read(struct worker *worker, struct stream *stream, const struct packet *packet, uint32_t rate);
/* Sends keys after those that are still being sent; they take the place of what is relayed or played. False if the peer
   takes no telephone-events, or there is no memory. */
bool digits_send(struct stream *stream, const char *digits, int duration);
/* What is due next of the keys that are being sent. */
struct timer *digits_timer(struct dialer *dialer);
/* Ends what is under way: a key that is held is told, what is unsent is dropped. */
void digits_end(struct stream *stream);

#endif
