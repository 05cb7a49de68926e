/*
 * Which packet thread a new group goes to.
 *
 * Waking a thread costs about as much as relaying a packet, and a thread with many streams finds several packets at each
 * waking. So threads are filled one after the other, each up to half a core, instead of evenly; when all are, the one with
 * the least to do is taken.
 */
#include <stdlib.h>

#include "clock.h"
#include "engine_private.h"

#define FULL_SHARE 0.5           /* of a core */
#define FULL_STREAMS 1200        /* so many may come before the next measurement */
#define MEASURE_EVERY (500 * MILLISECOND)

bool placement_init(struct engine *engine) {
    struct placement *placement = &engine->placement;
    pthread_mutex_init(&placement->lock, NULL);
    placement->loads = calloc((size_t)engine->worker_count, sizeof *placement->loads);
    placement->measured_at = clock_now();
    return placement->loads != NULL;
}

void placement_destroy(struct engine *engine) {
    pthread_mutex_destroy(&engine->placement.lock);
    free(engine->placement.loads);
}

static uint64_t cpu_time(pthread_t thread) {
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * SECOND + (uint64_t)used.tv_nsec;
}

static void measure(struct engine *engine) {
    struct placement *placement = &engine->placement;
    uint64_t now = clock_now(), passed = now - placement->measured_at;
    if (passed < MEASURE_EVERY)
        return;
    for (int i = 0; i < engine->worker_count; i++) {
        uint64_t used = cpu_time(engine->workers[i].thread);
        placement->loads[i].share = (double)(used - placement->loads[i].used) / (double)passed;
        placement->loads[i].used = used;
        placement->loads[i].given = 0;
    }
    placement->measured_at = now;
}

static int choose(struct engine *engine) {
    int least = 0;
    for (int i = 0; i < engine->worker_count; i++) {
        double share = engine->placement.loads[i].share;
        uint64_t streams = atomic_load_explicit(&engine->workers[i].stream_count, memory_order_relaxed);
        /* A group given lately may not have opened its streams yet: two are expected of it. */
        if (share < FULL_SHARE && streams + 2 * engine->placement.loads[i].given < FULL_STREAMS)
            return i;
        double least_share = engine->placement.loads[least].share;
        uint64_t least_given = engine->placement.loads[least].given;
        if (share < least_share || (share == least_share && engine->placement.loads[i].given < least_given))
            least = i;
    }
    return least;
}

int engine_thread(const struct engine *engine, uint64_t group) {
    return (int)(group % (uint64_t)engine->worker_count);
}

uint64_t engine_new_group(struct engine *engine) {
    struct placement *placement = &engine->placement;
    uint64_t count = (uint64_t)engine->worker_count;
    pthread_mutex_lock(&placement->lock);
    if (!engine->stopped)
        measure(engine);
    placement->last_group += count - placement->last_group % count; /* a multiple of the number of threads, never 0 */
    int chosen = choose(engine);
    placement->loads[chosen].given++;
    placement->last_group += (uint64_t)chosen;
    uint64_t group = placement->last_group;
    pthread_mutex_unlock(&placement->lock);
    return group;
}
