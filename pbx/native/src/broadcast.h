/* Lists of sounds that many hear at the same place, such as music on hold: where each of them stands. */
#ifndef TANDEM_BROADCAST_H
#define TANDEM_BROADCAST_H

#include <pthread.h>
#include <stdint.h>

#include "queue.h"

struct broadcast;

struct broadcasts {
    pthread_mutex_t lock;
    struct broadcast *list;
    int count;
};

struct broadcast_place {
    int item;
    uint64_t milliseconds;       /* into that sound */
};

void broadcasts_init(struct broadcasts *broadcasts);
void broadcasts_destroy(struct broadcasts *broadcasts);

/* Any thread may call these; they take a lock for a moment, at the beginning and the end of a sound and not for a packet. A
   list that nobody hears stands still. NULL when memory is exhausted. */
struct broadcast *broadcast_join(struct broadcasts *broadcasts, const struct sounds *sounds, uint64_t now);
void broadcast_leave(struct broadcasts *broadcasts, struct broadcast *broadcast, uint64_t now);
struct broadcast_place broadcast_place(struct broadcasts *broadcasts, struct broadcast *broadcast, uint64_t now);
/* The sound `item` is over, or can't be played: whoever says so first moves on for all. Returns where the list then stands. */
struct broadcast_place broadcast_next(struct broadcasts *broadcasts, struct broadcast *broadcast, int item, uint64_t now);

#endif
