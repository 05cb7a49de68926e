/*
 * Sound to the payloads of packets: resampled, cut into packets of one length, encoded; comfort noise (RFC 3389) in silence
 * where the peer takes it. Whoever has a voice sends what it makes: to one stream (speaker.h), or to several (chorus.h).
 */
#ifndef TANDEM_VOICE_H
#define TANDEM_VOICE_H

#include "codec.h"
#include "listener.h"
#include "queue.h"

enum { VOICE_ROOM = CODEC_OCTETS };

struct voice {
    struct codec_offer codec;
    bool comfort;                /* describe silence rather than encode it */
    int packet_time;             /* ms */
    uint32_t rate;               /* of what is put */
    struct encoder *encoder;
    struct resampler *resampler; /* NULL: the encoder takes what is put */
    uint32_t own;                /* rate of the encoder */
    size_t frame, filled;        /* samples of a packet, and how many of them are there */
    int loss;                    /* percent that the encoder was told of */
    unsigned quiet;              /* packets of silence in a row */
    unsigned described;          /* packets since the last one of comfort noise */
    bool speaks;                 /* somebody does in the packet that is being filled */
    int16_t *samples;            /* of the packet that is being filled */
};

enum uttered { UTTERED_NOTHING, UTTERED_VOICE, UTTERED_COMFORT };

/* One packet's time is over, and this became of it. The payload has RTP_HEADER octets of room before it, and may be written
   over. */
typedef void voice_listener(void *listener, enum uttered uttered, uint8_t *payload, size_t length);

/* NULL when memory is exhausted, or the codec can't be encoded. */
struct voice *voice_new(const struct codec_offer *codec, bool comfort, int packet_time, uint32_t rate);
/* Whether a voice like the one described by the arguments of voice_new would sound the same. */
bool voice_is(const struct voice *voice, const struct codec_offer *codec, bool comfort, int packet_time);
/* How much of what is sent gets lost, in percent. */
void voice_expect_loss(struct voice *voice, int percent);
/* Any number of samples; `heard` says what they are. */
void voice_put(struct voice *voice, const int16_t *samples, size_t count, enum heard heard, voice_listener *tell, void *listener);
void voice_free(struct voice *voice);

#endif
