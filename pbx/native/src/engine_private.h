/* What the threads of one engine share. */
#ifndef TANDEM_ENGINE_PRIVATE_H
#define TANDEM_ENGINE_PRIVATE_H

#include "../include/engine.h"
#include "ports.h"
#include "queue.h"
#include "worker.h"

struct engine {
    struct engine_options options;
    struct ports ports;
    struct outlet outlet;
    bool stopped;
    int worker_count;
    struct worker *workers;
};

#endif
