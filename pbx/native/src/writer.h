/* The threads that recordings are written by: writers take blocks, one finisher brings what has ended safely to disk, and
   one converter writes those anew that shall not stay WAV. */
#ifndef TANDEM_WRITER_H
#define TANDEM_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tape.h"

struct engine;

struct writer { /* a queue of blocks and the thread that takes them */
    struct writers *all;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct tape_block *blocks, **last;
};

struct finisher { /* a queue of tapes and the thread that brings them to their end */
    struct writers *all;
    void (*finish)(struct finisher *finisher, struct tape *tape);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stopping;
    struct tape *tapes, **last;
    struct tape *current;        /* out of the queue, in hand */
    uint64_t told;               /* when those that wait were last told of */
};

struct writers {
    struct writer *writers;
    int count;
    struct finisher finisher, converter;
    struct {
        pthread_mutex_t lock;
        struct tape_block *blocks; /* to be used again */
        unsigned count;
    } spare;
    atomic_uint_fast64_t backlog; /* octets of blocks on their way */
    uint64_t backlog_limit;
};

bool writers_start(struct writers *writers, int count, uint64_t backlog_limit);
/* After the packet threads have ended: everything that was given is written and finished first. */
void writers_stop(struct writers *writers);

/* A block for a tape; NULL when memory, or what recordings may have of it, is exhausted, and it need not be. */
struct tape_block *block_new(struct writers *writers, struct tape *tape, bool must);
/* Gives a block to the tape's writer. */
void block_put(struct writers *writers, struct tape_block *block);

#endif
