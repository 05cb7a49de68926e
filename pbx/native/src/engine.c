#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine_private.h"

static void say(char *text, int room, const char *what) {
    if (text != NULL && room > 0)
        snprintf(text, (size_t)room, "%s", what);
}

struct engine *engine_create(const struct engine_options *options, char *text, int text_size) {
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        say(text, text_size, "out of memory");
        return NULL;
    }
    engine->options = *options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int count = options->workers > 0 ? options->workers : cores > 0 ? (int)cores : 1;
    engine->workers = calloc((size_t)count, sizeof *engine->workers);
    if (engine->workers == NULL) {
        say(text, text_size, "out of memory");
        free(engine);
        return NULL;
    }
    bool ports = ports_init(&engine->ports, options->first_port, options->last_port,
                            (uint64_t)(options->drain > 0 ? options->drain : 0) * 1000000);
    bool outlet = outlet_init(&engine->outlet);
    if (!ports)
        say(text, text_size, "the range of ports holds no pair of an even and an odd one");
    else if (!outlet)
        say(text, text_size, strerror(errno));
    while (ports && outlet && engine->worker_count < count) {
        if (!worker_start(&engine->workers[engine->worker_count], engine)) {
            say(text, text_size, strerror(errno));
            break;
        }
        engine->worker_count++;
    }
    if (engine->worker_count == count)
        return engine;
    engine_stop(engine);
    if (ports)
        ports_destroy(&engine->ports);
    outlet_destroy(&engine->outlet);
    free(engine->workers);
    free(engine);
    return NULL;
}

void engine_stop(struct engine *engine) {
    if (engine->stopped)
        return;
    engine->stopped = true;
    for (int i = 0; i < engine->worker_count; i++)
        worker_stop(&engine->workers[i]);
}

void engine_free(struct engine *engine) {
    if (engine == NULL)
        return;
    engine_stop(engine);
    ports_destroy(&engine->ports);
    outlet_destroy(&engine->outlet);
    free(engine->workers);
    free(engine);
}

int engine_fileno(struct engine *engine) {
    return engine->outlet.fd;
}

int engine_drain(struct engine *engine, struct engine_event *events, int room) {
    return outlet_drain(&engine->outlet, events, room);
}

void engine_read_counters(struct engine *engine, struct engine_counters *counters) {
    memset(counters, 0, sizeof *counters);
    ports_count(&engine->ports, &counters->ports_free, &counters->ports_draining);
    counters->events_dropped = outlet_dropped(&engine->outlet);
    for (int i = 0; i < engine->worker_count; i++) {
        struct worker *worker = &engine->workers[i];
        counters->streams += atomic_load_explicit(&worker->stream_count, memory_order_relaxed);
        counters->commands_refused += atomic_load_explicit(&worker->refused, memory_order_relaxed);
    }
}

const char *engine_codec_names(void) {
    return codec_names();
}
