/* What the threads of one engine share. */
#ifndef TANDEM_ENGINE_PRIVATE_H
#define TANDEM_ENGINE_PRIVATE_H

#include "../include/engine.h"
#include "library.h"
#include "ports.h"
#include "queue.h"
#include "worker.h"
#include "writer.h"

struct engine {
    struct engine_options options;
    struct ports ports;
    struct outlet outlet;
    struct library library;
    struct writers writers;
    bool stopped;
    int worker_count;
    struct worker *workers;
};

#endif
