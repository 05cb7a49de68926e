/* Pairs that are bound ahead of the streams that will have them. Two sockets take eight system calls, for which the set-up
   of a call would wait; so a packet thread makes them up while nobody waits. */
#ifndef TANDEM_SPARES_H
#define TANDEM_SPARES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../include/engine.h"
#include "pair.h"

/* Addresses that pairs are kept at: those at which streams were last opened. */
#define SPARE_ADDRESSES 4

struct spares {
    pthread_mutex_t lock;
    int wanted; /* pairs at each address; 0: none is kept */
    int traffic_class;
    uint64_t asked; /* so often, which tells what was asked for last */
    struct spare_shelf {
        struct address address; /* none: nothing is kept here */
        uint64_t asked;
        int count;
        struct pair pairs[ENGINE_SPARES];
    } shelves[SPARE_ADDRESSES];
};

void spares_init(struct spares *spares, int wanted, int traffic_class);
/* Closes all of them; none is kept after that. */
void spares_clear(struct spares *spares);
/* Takes a pair that is bound at an address, without anything that came in meanwhile; false if there is none. What is taken
   once is kept from then on. */
bool spares_take(struct spares *spares, const struct address *address, struct pair *pair);
/* Makes up for what was taken. */
void spares_fill(struct spares *spares, struct ports *ports);
/* Gives the ports of a pair back that somebody else needs more; false if there is none. */
bool spares_give_up(struct spares *spares);
uint64_t spares_count(struct spares *spares);

#endif
