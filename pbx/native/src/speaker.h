/*
 * Sound to a stream's peer: encoder and packets.
 *
 * It speaks the first of the stream's codecs that this build encodes, in packets of the stream's packet time, and follows
 * when another one is negotiated. Nothing is sent while the stream can't be sent to (held, muted, no address) or something
 * else is sent in its place (a play, digits); time goes on meanwhile. In silence it sends comfort noise (RFC 3389) to a peer
 * that negotiated it, silence to others.
 *
 * A speaker belongs to its stream's packet thread, and to whoever made it, who frees it before the stream is closed. Sound is
 * put at a steady pace; a packet leaves as soon as it is full, from within speaker_put.
 */
#ifndef TANDEM_SPEAKER_H
#define TANDEM_SPEAKER_H

#include "listener.h"
#include "stream.h"
#include "voice.h"

struct speaker;

/* The rate of the codec that it would speak: 8000, 16000 or 48000. */
uint32_t speaker_rate(const struct stream *stream);
/* Milliseconds of sound in a packet to the stream: putting that much at a time sends one packet each time. */
int speaker_packet_time(const struct stream *stream);
/* Whether the stream has a codec that this build encodes. */
bool speaker_fits(const struct stream *stream);

/* `rate`: of the samples that will be put, mono: 8000, 16000 or 48000. NULL when memory is exhausted. */
struct speaker *speaker_new(struct stream *stream, uint32_t rate);
bool speaker_speaks_to(const struct speaker *speaker, const struct stream *stream);
/* Any number of samples; `heard` says what they are, HEARD_NOTHING and HEARD_NOISE that nobody speaks. */
void speaker_put(struct speaker *speaker, const int16_t *samples, size_t count, enum heard heard);
/* A voice that speaks as this speaker would, for several that are to be told the same; NULL if there is none. The other two say
   whether a voice is still one that speaks as this speaker would, and send what such a voice has made. */
struct voice *speaker_voice(struct speaker *speaker);
bool speaker_has(struct speaker *speaker, const struct voice *voice);
void speaker_say(struct speaker *speaker, enum uttered uttered, const uint8_t *payload, size_t length);
/* Speaks from now on also while something else is sent in the place of what is relayed: it is that. */
void speaker_interrupt(struct speaker *speaker);
void speaker_free(struct speaker *speaker);

#endif
