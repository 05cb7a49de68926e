/* Timers of one packet thread: a binary heap of what is embedded in its owners. Not shared between threads. */
#ifndef TANDEM_TIMER_H
#define TANDEM_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTAINER_OF(member_pointer, type, member) ((type *)((char *)(member_pointer) - offsetof(type, member)))

struct timer {
    uint64_t due;
    void (*fire)(struct timer *timer, uint64_t now);
    uint32_t place; /* in the heap, counted from 1; 0: not set; TIMER_LIFTED: between two heaps */
};

#define TIMER_LIFTED UINT32_MAX

struct timers {
    struct timer **heap;
    uint32_t count, room;
};

/* Sets or moves a timer; false when memory is exhausted. */
bool timer_set(struct timers *timers, struct timer *timer, uint64_t due);
void timer_cancel(struct timers *timers, struct timer *timer);
/* Takes a timer out to be landed elsewhere, as set as it was: its owner goes to another packet thread. */
void timer_lift(struct timers *timers, struct timer *timer);
void timer_land(struct timers *timers, struct timer *timer);
/* Fires what is due. A timer that fires is unset first, and may set itself again. */
void timers_fire(struct timers *timers, uint64_t now);
/* When the next one is due; 0 if none is set. */
static inline uint64_t timers_next(const struct timers *timers) {
    return timers->count == 0 ? 0 : timers->heap[0]->due;
}
void timers_free(struct timers *timers);

#endif
