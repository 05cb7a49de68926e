/*
 * A group goes to another packet thread: the thread that carries it takes everything that belongs to it out of its hands, and
 * the other one takes it in. No packet is lost: what comes in between waits in the sockets.
 */
#ifndef TANDEM_MOVE_H
#define TANDEM_MOVE_H

#include "worker.h"

struct move;

/* Takes a group out and sends it on to the thread of the group `to`; ENGINE_MOVED is told when it has arrived. */
void move_depart(struct worker *worker, uint64_t group, uint64_t to);
/* Takes in what was sent on; frees it. */
void move_arrive(struct worker *worker, struct move *move);

#endif
