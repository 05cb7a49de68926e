/* A packet thread: epoll, timers, commands. */
#ifndef TANDEM_WORKER_H
#define TANDEM_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "queue.h"
#include "stream.h"
#include "table.h"
#include "timer.h"

struct engine;

enum { RECORDING_TURNS = 8 };

struct recording;

struct worker {
    struct engine *engine;
    pthread_t thread;
    int epoll;
    int alarm;                   /* a timerfd for the next timer */
    uint64_t alarm_at;           /* what it is set to; 0: not set */
    bool stopping;
    uint64_t now;                /* taken once a round */
    uint64_t feeds;              /* the last number given to a feed; those of two threads are never the same */
    struct timers timers;
    struct table streams, recordings, mixes;
    struct recording *turns[RECORDING_TURNS]; /* recordings by when they are handed to the writer */
    unsigned turn;
    struct timer turn_timer;
    struct inbox inbox;
    atomic_uint_fast64_t stream_count, play_count, recording_count, recording_dropped, mix_count, refused;
    uint8_t buffer[DATAGRAM_ROOM];
    uint8_t sealed[DATAGRAM_ROOM + SRTP_TRAILER]; /* a packet of SRTP on its way out */
};

/* Makes all but the thread, for tests that are the thread themselves; to be destroyed even if it fails. */
bool worker_prepare(struct worker *worker, struct engine *engine);
/* Starts the thread; false and errno when it can't. */
bool worker_start(struct worker *worker, struct engine *engine);
/* Asks the thread to end, and waits: its streams are closed, its recordings given to the writers. */
void worker_stop(struct worker *worker);
/* After all packet threads have ended: closes what was on its way to this one. */
void worker_clear(struct worker *worker);
/* After every thread that could give it a command has ended. */
void worker_destroy(struct worker *worker);

#endif
