/*
 * One direction of a connection whose sides have no codec in common: a listener on what a stream receives, a speaker to the
 * stream that it is connected to, and a timer between them. It starts with the first packet that needs it and ends when
 * nothing needs it any more.
 */
#ifndef TANDEM_TRANSCODER_H
#define TANDEM_TRANSCODER_H

#include "clock.h"
#include "stream.h"

#define KEYED (100 * MILLISECOND) /* after its last packet that came, a key that is relayed is over */

/* False when memory is exhausted. */
bool transcoder_start(struct stream *from);
void transcoder_stop(struct stream *from);
/* A packet of the payload type that is `from->current`. */
void transcoder_take(struct stream *from, const struct packet *packet);
/* What is negotiated, or connected, has changed; `needed`: some packets of the stream are still to be transcoded. */
void transcoder_renegotiate(struct stream *from, bool needed);
/* Adds what a running one has counted to a stream's counts. */
void transcoder_count(const struct stream *from, struct engine_counts *counts);

#endif
