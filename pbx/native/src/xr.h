/*
 * Extended reports (RFC 3611): the round trip of who only receives (4.4, 4.5), and VoIP metrics (4.7).
 *
 * What was agreed on in descriptions need not be known here: a peer that sends a kind of block understands it, and is sent
 * the same kind from then on.
 */
#ifndef TANDEM_XR_H
#define TANDEM_XR_H

#include "stream.h"

enum { XR_TYPE = 207, XR_MOST = 8 + 16 + 12 + 36 };

/* A packet of type XR of a valid compound, `length` octets with its header. */
void xr_received(struct worker *worker, struct stream *stream, const uint8_t *data, size_t length);
/* Writes what the peer understands, at most XR_MOST octets, 0 if that is nothing. */
size_t xr_put(struct worker *worker, struct stream *stream, uint8_t *at);

#endif
