/* The range of port pairs (even for RTP, odd for RTCP), shared by all packet threads. */
#ifndef TANDEM_PORTS_H
#define TANDEM_PORTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ports {
    pthread_mutex_t lock;
    uint16_t first; /* even */
    uint32_t pairs;
    uint64_t drain; /* ns that a used pair rests, so that late packets of one call don't reach the next */
    uint16_t *free; /* RTP ports; unordered */
    uint32_t free_count;
    struct resting {
        uint16_t port;
        uint64_t until;
    } *resting; /* a ring, oldest first */
    uint32_t resting_head, resting_count;
};

/* False when memory is exhausted or the range holds no pair. */
bool ports_init(struct ports *ports, int first, int last, uint64_t drain);
void ports_destroy(struct ports *ports);
/* A random free RTP port, or 0 when all are in use or at rest. */
uint16_t ports_take(struct ports *ports, uint64_t now);
/* Gives a pair back; it rests first. */
void ports_give(struct ports *ports, uint16_t port, uint64_t now);
/* Gives a pair back that was not used. */
void ports_return(struct ports *ports, uint16_t port);
void ports_count(struct ports *ports, uint64_t *free, uint64_t *resting);

#endif
