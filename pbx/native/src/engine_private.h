/* What the threads of one engine share. */
#ifndef TANDEM_ENGINE_PRIVATE_H
#define TANDEM_ENGINE_PRIVATE_H

#include "../include/engine.h"
#include "broadcast.h"
#include "library.h"
#include "ports.h"
#include "queue.h"
#include "spares.h"
#include "worker.h"
#include "writer.h"

struct engine {
    struct engine_options options;
    struct ports ports;
    struct spares spares;
    struct outlet outlet;
    struct library library;
    struct broadcasts broadcasts;
    struct writers writers;
    struct srtp_shelf shelf;
    atomic_bool stopped;         /* asked by whoever gives a command */
    int worker_count;
    struct worker *workers;
    struct placement {           /* of new groups */
        pthread_mutex_t lock;
        uint64_t last_group;
        uint64_t measured_at;
        struct {
            uint64_t used;       /* ns of CPU time at the last measurement */
            double share;        /* of a core between the last two */
            uint64_t given;      /* groups since */
        } *loads;                /* of each worker */
    } placement;
};

/* placement.c */
bool placement_init(struct engine *engine);
void placement_destroy(struct engine *engine);

#endif
