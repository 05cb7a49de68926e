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

struct worker {
    struct engine *engine;
    pthread_t thread;
    int epoll;
    bool stopping;
    uint64_t now;                /* taken once a round */
    uint64_t feeds;              /* the last number given to a feed */
    struct timers timers;
    struct table streams;
    struct inbox inbox;
    atomic_uint_fast64_t stream_count, refused;
    uint8_t buffer[DATAGRAM_ROOM];
};

/* Starts the thread; false and errno when it can't. */
bool worker_start(struct worker *worker, struct engine *engine);
/* Asks the thread to end, and waits. */
void worker_stop(struct worker *worker);

#endif
