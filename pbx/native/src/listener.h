/*
 * What a peer says, as sound: jitter buffer, decoder, concealment of what was lost, comfort noise, one rate.
 *
 * Packets are put in as they come, sound is taken out at a steady pace by whoever made the listener: so many samples every so
 * many milliseconds, always as many as asked for. The delay between the two is as small as the jitter seen lately allows;
 * after a burst it is brought back, by leaving out silence and by taking single periods out of the voice.
 *
 * A listener belongs to one packet thread. `now` is that thread's, in nanoseconds, and never goes back. Any packet may be put,
 * in any order, of any codec: what can't be used is counted. Positions and delays are in samples of the listener's rate
 * unless a name says otherwise.
 */
#ifndef TANDEM_LISTENER_H
#define TANDEM_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "rtp.h"

struct listener;

/* What a piece of sound is made of, the best of its parts. */
enum heard {
    HEARD_NOTHING,   /* digital silence: nothing came yet, or nothing comes any more */
    HEARD_NOISE,     /* the peer is silent and says so: comfort noise, or silence */
    HEARD_CONCEALED, /* something was lost, and is made up */
    HEARD_VOICE      /* decoded from packets */
};

enum { LISTENER_MOST_MILLISECONDS = 60 }; /* that may be taken at once */

struct listener_counts { /* since it was made */
    uint64_t packets;          /* that became sound */
    uint64_t lost;             /* never came, or too late */
    uint64_t late;             /* came when their time was over */
    uint64_t duplicates;
    uint64_t undecodable;      /* of a codec that this build can't decode, or broken */
    uint64_t overflowed;       /* dropped, since more waited than will ever be played */
    uint64_t concealed;        /* samples made up */
    uint64_t recovered;        /* samples that a later packet carried (Opus' in-band FEC) */
    uint64_t left_out;         /* samples that were left out to bring the delay back */
    uint32_t delay;            /* samples that sound is held beyond the quickest packet's arrival, now */
    uint32_t target;           /* the delay that jitter asks for, now */
    uint32_t level;            /* root mean square of what was taken last, 0 to 32767 */
};

/* `rate`: 8000, 16000 or 48000 Hz, mono. NULL when memory is exhausted. */
struct listener *listener_new(uint32_t rate);
/* A packet that the stream accepted; its payload is copied. telephone-events are understood as a pause of the voice. */
void listener_put(struct listener *listener, const struct packet *packet, const struct codec_format *format, uint64_t now);
/* The next `count` samples, at most LISTENER_MOST_MILLISECONDS of them. */
enum heard listener_take(struct listener *listener, int16_t *samples, size_t count, uint64_t now);
void listener_counts(const struct listener *listener, struct listener_counts *counts);
void listener_free(struct listener *listener);

#endif
