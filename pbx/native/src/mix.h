/*
 * A mix: streams of one packet thread that hear each other.
 *
 * It begins with the first stream that joins and ends with the last that leaves. Every TICK each member's listener gives what
 * its peer said, the mixer makes of it what each hears, and speakers send that. Members that hear the same in the same codec
 * share one encoding (chorus.h). A member that says nothing for a while is not added.
 */
#ifndef TANDEM_MIX_H
#define TANDEM_MIX_H

#include "chorus.h"
#include "library.h"
#include "listener.h"
#include "mixer.h"
#include "stream.h"
#include "talker.h"
#include "worker.h"

enum { MIX_TICK = 20 };          /* ms */

struct mix_sound;

struct member { /* a stream in a mix */
    struct mix *mix;
    struct stream *stream;
    struct listener *listener;
    struct speaker *speaker;
    int apart;                   /* ms for which it still is sent something of its own */
    struct talker talker;
    struct mixer_seat seat;
};

struct mix {
    struct worker *worker;
    uint64_t id;
    uint32_t rate;
    size_t count, room;
    struct member **members;
    struct mixer_seat **seats;   /* of the members, in the same order */
    struct timer timer;
    uint64_t due;
    struct mixer mixer;
    struct chorus chorus;
    struct floor floor;
    struct mix_sound *sounds;    /* that all hear */
    struct tap *taps;            /* recordings of what all may hear */
    uint32_t recorded;           /* samples given to them */
    uint16_t recorded_packets;
};

/* Disconnects the stream and leaves the mix that it is in. `rate` is of the mix if it begins with this stream: 8000, 16000 or
   48000. False when memory is exhausted. */
bool mix_join(struct stream *stream, uint64_t id, uint32_t rate, const struct role *role);
/* Harmless for a stream that is in none. */
void mix_leave(struct stream *stream);
void mix_set_role(struct stream *stream, const struct role *role);
/* A packet of a member. */
void mix_take(struct stream *stream, const struct packet *packet, const struct codec_format *format);
/* How loud a stream is in its mix, in dBov; -128: it is in none. */
int mix_level(const struct stream *stream);

/* mix_sound.c: sounds that all members hear. */
void mix_play(struct mix *mix, uint64_t play, struct sounds *sounds);
void mix_stop_playing(struct mix *mix, uint64_t play);
/* What the library has to give; takes the reference over. */
void mix_give_sound(struct mix *mix, uint64_t play, uint64_t item, struct sound *sound);
void mix_add_sounds(struct mix *mix);
void mix_end_sounds(struct mix *mix);

#endif
