/*
 * How packets get from a stream to the one that it is connected to. For each payload type that a peer may send the first of
 * these that fits is taken, so nothing is decoded that could be relayed; but what is to be processed (processing.h), or to be
 * heard without its keys (ear.h), is transcoded wherever it can be:
 *
 *   relay      the peer on the other side takes the same codec: only the payload number may change
 *   translate  PCMU and PCMA in packets of equal length: one octet for another
 *   transcode  both are codecs that this build has: sound in between, by a listener and a speaker
 *   aside      a key or comfort noise beside transcoded sound: relayed where the other side has it, told to the listener
 *   nowhere    counted as dropped_payload
 */
#ifndef TANDEM_PATH_H
#define TANDEM_PATH_H

#include "stream.h"

struct media_path {
    const char *name;
    /* Fills in the rest of the way. */
    bool (*fits)(const struct stream *from, const struct codec_offer *codec, struct way *way);
    /* A packet of a connected stream whose peer may be heard, to one that may be sent to. */
    void (*carry)(struct worker *worker, struct stream *from, const struct packet *packet);
};

/* Whether packets that go this way become sound in between. */
bool path_decodes(const struct way *way);
/* To be called when what a stream is connected to, or what is negotiated on either side, has changed. */
void path_choose(struct stream *from);

#endif
