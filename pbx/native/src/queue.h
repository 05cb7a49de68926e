/* The two ways between threads: commands to a packet thread, events to the caller. */
#ifndef TANDEM_QUEUE_H
#define TANDEM_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../include/engine.h"
#include "address.h"
#include "codec.h"
#include "pair.h"
#include "srtp.h"

enum command_kind {
    COMMAND_OPEN,
    COMMAND_SET_REMOTE,
    COMMAND_SET_KEYS,
    COMMAND_CONNECT,
    COMMAND_DISCONNECT,
    COMMAND_MUTE,
    COMMAND_PROCESS,
    COMMAND_SEND_DIGITS,
    COMMAND_HEAR_DIGITS,
    COMMAND_TAKE_DIGIT,
    COMMAND_QUERY,
    COMMAND_CLOSE,
    COMMAND_PLAY,
    COMMAND_PAUSE_PLAYING,
    COMMAND_SEEK_PLAYING,
    COMMAND_SET_VOLUME,
    COMMAND_STOP_PLAYING,
    COMMAND_RECORD,
    COMMAND_PAUSE_RECORDING,
    COMMAND_STOP_RECORDING,
    COMMAND_JOIN,
    COMMAND_SET_ROLE,
    COMMAND_LEAVE,
    COMMAND_MOVE,
    COMMAND_ADOPT,      /* from another packet thread: what it has carried so far */
    COMMAND_SOUND,      /* from the library: a sound can be played, or never will */
    COMMAND_TAPE_ENDED, /* from a writer: it is done with a recording */
    COMMAND_STOP        /* the thread shall end */
};

struct codec_offer { /* one payload type of SetRemote */
    uint8_t payload_type;
    struct codec_format format;
    bool repair, discontinuous;  /* as in engine_codec */
    uint32_t bit_rate;
    char name[16];
};

struct remote {
    struct address rtp, rtcp; /* length 0: not known */
    bool mux, send, receive, latch, opaque;
    int packet_time, no_media_timeout, codec_count;
    struct codec_offer codecs[ENGINE_CODECS];
};

struct role { /* in a mix */
    bool mute, deaf;
    uint8_t hearer_count;
    uint64_t hearers[ENGINE_HEARERS];
};

struct sounds { /* what a play plays; freed by `sounds_free` */
    int count, start, volume;
    bool loop, shared;
    uint16_t stopped_by;      /* a bit for each key of 0-9 * # A-D */
    char *names[];
};
void sounds_free(struct sounds *sounds);

struct command {
    struct command *next;
    enum command_kind kind;
    uint64_t stream; /* or, of a recording command, the left stream */
    uint64_t object; /* the play, the recording, the other stream, the mix, or the group to move to */
    uint64_t right;
    uint64_t group;  /* as the caller numbers it */
    int first, second; /* what the kind says */
    void *pointer;     /* what a thread of ours hands over */
    struct engine_tape tape;
    struct engine_processing processing;
    union {
        struct remote *remote; /* owned */
        struct pair *pair;     /* owned, and its sockets */
        struct role *role;     /* owned */
        struct move *move;     /* owned */
        struct srtp_keys *keys; /* owned */
        struct sounds *sounds; /* owned */
        char *text;            /* owned: digits or path */
    };
};

struct command *command_new(enum command_kind kind, uint64_t stream);
void command_free(struct command *command);

/* A queue of commands with one reader. */
struct inbox {
    pthread_mutex_t lock;
    struct command *head, **tail;
    int fd; /* an eventfd, readable while commands wait */
};

bool inbox_init(struct inbox *inbox);
void inbox_destroy(struct inbox *inbox);
void inbox_put(struct inbox *inbox, struct command *command);
/* Everything that waits, in order, as a list. */
struct command *inbox_take(struct inbox *inbox);

/* The queue of events to the caller. */
struct outlet {
    pthread_mutex_t lock;
    struct event_node *head, **tail;
    uint64_t count, dropped;
    int fd;
    struct event_node *taken;    /* of who drains alone: out of the queue, and not told yet */
};

struct event_node {
    struct event_node *next;
    struct engine_event event;
};

bool outlet_init(struct outlet *outlet);
void outlet_destroy(struct outlet *outlet);
/* A zeroed event, to be filled and put; NULL when memory is exhausted, which `outlet_put` counts as dropped. */
struct event_node *event_new(enum engine_event_kind kind, uint64_t stream, uint64_t object);
void outlet_put(struct outlet *outlet, struct event_node *node);
int outlet_drain(struct outlet *outlet, struct engine_event *events, int room);
uint64_t outlet_dropped(struct outlet *outlet);

#endif
