/* A look at what packets hold, at little cost: one in sixteen. */
#ifndef TANDEM_INSPECT_H
#define TANDEM_INSPECT_H

#include "codec.h"
#include "rtp.h"

enum { INSPECT_EVERY = 16 }; /* packets; a power of two */

struct inspection {
    uint64_t inspected;          /* packets whose payload was looked at */
    uint64_t silent;             /* of these, of digital silence */
    uint64_t clipped;            /* of these, at full scale for several samples in a row */
};

/* A packet of the source that is heard, in the codec that its payload type stands for. */
void inspect(struct inspection *inspection, const struct packet *packet, const struct codec_format *format);

#endif
