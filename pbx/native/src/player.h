/* Playing a sound to a stream's peer, in place of what is relayed to it. */
#ifndef TANDEM_PLAYER_H
#define TANDEM_PLAYER_H

#include "library.h"
#include "stream.h"

struct player {
    struct stream *stream;
    uint64_t id;
    char *path;
    bool loop;
    struct sound *sound;         /* NULL while it is being prepared */
    uint8_t payload_type;
    uint32_t frame;              /* the next one */
    uint64_t played;             /* milliseconds, over all rounds */
    uint64_t due, feed;
    uint16_t sequence;
    uint32_t timestamp;
    struct timer timer;
};

void player_start(struct stream *stream, uint64_t id, const char *path, bool loop);
/* Ends a stream's play, if it has one and `id` is 0 or its number. */
void player_stop(struct stream *stream, uint64_t id, const char *failure);
/* What the library has to give; takes the reference over. */
void player_sound(struct stream *stream, uint64_t id, struct sound *sound);
/* The stream's codecs or packet time may have changed: the play goes on in the new ones. */
void player_renegotiate(struct stream *stream);
void player_tell_ended(struct worker *worker, uint64_t stream, uint64_t id, uint64_t played, const char *failure);
/* Tells that a play could not be, for a stream that there is not. */
void player_refuse(struct worker *worker, uint64_t stream, uint64_t id, const char *failure);

#endif
