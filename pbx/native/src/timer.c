#include "timer.h"

#include <stdlib.h>

static void put(struct timers *timers, uint32_t place, struct timer *timer) {
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void rise(struct timers *timers, struct timer *timer) {
    uint32_t place = timer->place;
    while (place > 1 && timers->heap[place / 2 - 1]->due > timer->due) {
        put(timers, place, timers->heap[place / 2 - 1]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sink(struct timers *timers, struct timer *timer) {
    uint32_t place = timer->place;
    for (;;) {
        uint32_t child = 2 * place;
        if (child > timers->count)
            break;
        if (child < timers->count && timers->heap[child]->due < timers->heap[child - 1]->due)
            child++;
        if (timers->heap[child - 1]->due >= timer->due)
            break;
        put(timers, place, timers->heap[child - 1]);
        place = child;
    }
    put(timers, place, timer);
}

bool timer_set(struct timers *timers, struct timer *timer, uint64_t due) {
    if (timer->place == 0) {
        if (timers->count == timers->room) {
            uint32_t room = timers->room ? 2 * timers->room : 64;
            struct timer **heap = realloc(timers->heap, room * sizeof *heap);
            if (heap == NULL)
                return false;
            timers->heap = heap;
            timers->room = room;
        }
        put(timers, ++timers->count, timer);
    }
    timer->due = due;
    rise(timers, timer);
    sink(timers, timer);
    return true;
}

void timer_cancel(struct timers *timers, struct timer *timer) {
    uint32_t place = timer->place;
    if (place == 0)
        return;
    struct timer *last = timers->heap[--timers->count];
    timer->place = 0;
    if (last != timer) {
        put(timers, place, last);
        rise(timers, last);
        sink(timers, last);
    }
}

void timer_lift(struct timers *timers, struct timer *timer) {
    if (timer->place == 0)
        return;
    timer_cancel(timers, timer);
    timer->place = TIMER_LIFTED;
}

void timer_land(struct timers *timers, struct timer *timer) {
    if (timer->place != TIMER_LIFTED)
        return;
    timer->place = 0;
    timer_set(timers, timer, timer->due);
}

void timers_fire(struct timers *timers, uint64_t now) {
    while (timers->count > 0 && timers->heap[0]->due <= now) {
        struct timer *timer = timers->heap[0];
        timer_cancel(timers, timer);
        timer->fire(timer, now);
    }
}

void timers_free(struct timers *timers) {
    free(timers->heap);
    timers->heap = NULL;
    timers->count = timers->room = 0;
}
