/* Playing sounds to a stream's peer, in place of what is relayed to it. */
#ifndef TANDEM_PLAYER_H
#define TANDEM_PLAYER_H

#include "broadcast.h"
#include "library.h"
#include "stream.h"

struct player {
    struct stream *stream;
    uint64_t id;
    struct sounds *sounds;
    struct broadcast *broadcast; /* NULL: alone */
    int item;                    /* of the sounds: the one that is played, or waited for */
    struct sound *sound;         /* NULL while it is being prepared */
    struct sound *next;          /* the one behind it, once it is prepared */
    uint64_t ticket, next_ticket; /* what the library was asked for: of the sound, of the next one; 0: nothing */
    uint64_t skip;               /* milliseconds into the sound, for when it comes */
    uint32_t *lengths;           /* of each sound, milliseconds, once it was played; 0: not known */
    int volume;                  /* dB */
    int failures;                /* of a shared list, one after the other */
    bool paused, behind;         /* behind: nothing was ready when a frame was due */
    uint8_t payload_type;
    uint32_t frame;              /* the next one */
    uint64_t played;             /* milliseconds, over all sounds and rounds */
    uint64_t due, feed;
    uint16_t sequence;
    uint32_t timestamp;
    struct timer timer;
};

/* Takes the sounds over. */
void player_start(struct stream *stream, uint64_t id, struct sounds *sounds);
/* Ends a stream's play, if it has one and `id` is 0 or its number. */
void player_stop(struct stream *stream, uint64_t id, const char *failure);
void player_pause(struct stream *stream, uint64_t id, bool paused);
void player_seek(struct stream *stream, uint64_t id, int milliseconds);
void player_set_volume(struct stream *stream, uint64_t id, int decibels);
/* The peer has begun to press a key, by its event number: a play that it shall stop is over. */
void player_key(struct stream *stream, unsigned event);
/* What the library has to give; takes the reference over. */
void player_sound(struct stream *stream, uint64_t id, uint64_t ticket, struct sound *sound);
/* The stream's codecs or packet time may have changed: the play goes on in the new ones. */
void player_renegotiate(struct stream *stream);
void player_tell_ended(struct worker *worker, uint64_t stream, uint64_t id, uint64_t played, const char *failure);
/* Tells that a play could not be, for a stream that there is not. */
void player_refuse(struct worker *worker, uint64_t stream, uint64_t id, const char *failure);

#endif
