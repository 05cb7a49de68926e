#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "engine_private.h"
#include "processing.h"

static int or_else(int wished, long otherwise) {
    return wished > 0 ? wished : otherwise > 0 ? (int)otherwise : 1;
}

/* Starts everything; NULL, or what stood in the way. What was started is told by the counts. */
static const char *start(struct engine *engine) {
    const struct engine_options *options = &engine->options;
    const char *fault = options->srtp != NULL ? srtp_fault(options->srtp) : NULL;
    if (fault != NULL)
        return fault;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int workers = or_else(options->workers, cores), writers = or_else(options->writers, cores / 4);
    uint64_t drain = options->drain > 0 ? (uint64_t)options->drain * MILLISECOND : 0;
    if (!ports_init(&engine->ports, options->first_port, options->last_port, drain))
        return "the range of ports holds no pair of an even and an odd one";
    engine->workers = calloc((size_t)workers, sizeof *engine->workers);
    if (engine->workers == NULL)
        return "out of memory";
    uint64_t backlog = (uint64_t)or_else(options->backlog_mebibytes, 0) << 20;
    if (!outlet_init(&engine->outlet) || !writers_start(&engine->writers, writers, backlog) ||
        !library_start(&engine->library, engine))
        return strerrordesc_np(errno);
    while (engine->worker_count < workers) {
        if (!worker_start(&engine->workers[engine->worker_count], engine))
            return strerrordesc_np(errno);
        engine->worker_count++;
    }
    return placement_init(engine) ? NULL : "out of memory";
}

struct engine *engine_create(const struct engine_options *options, char *text, int text_size) {
    struct engine *engine = calloc(1, sizeof *engine);
    const char *fault = "out of memory";
    if (engine != NULL) {
        engine->options = *options;
        engine->outlet.fd = -1;
        broadcasts_init(&engine->broadcasts);
        spares_init(&engine->spares, options->spares, options->traffic_class);
        srtp_shelf_init(&engine->shelf);
        fault = start(engine);
        if (fault == NULL)
            return engine;
        engine_free(engine);
    }
    if (text != NULL && text_size > 0)
        snprintf(text, (size_t)text_size, "%s", fault);
    return NULL;
}

/* Packet threads first, since they feed the others; what these were given is brought to its end. */
void engine_stop(struct engine *engine) {
    if (atomic_exchange(&engine->stopped, true))
        return;
    for (int i = 0; i < engine->worker_count; i++)
        worker_stop(&engine->workers[i]);
    for (int i = 0; i < engine->worker_count; i++)
        worker_clear(&engine->workers[i]);
    spares_clear(&engine->spares);
    library_stop(&engine->library);
    writers_stop(&engine->writers);
}

void engine_free(struct engine *engine) {
    if (engine == NULL)
        return;
    engine_stop(engine);
    for (int i = 0; i < engine->worker_count; i++)
        worker_destroy(&engine->workers[i]);
    placement_destroy(engine);
    ports_destroy(&engine->ports);
    outlet_destroy(&engine->outlet);
    broadcasts_destroy(&engine->broadcasts);
    srtp_shelf_clear(&engine->shelf, engine->options.srtp);
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
    counters->ports_ready = spares_count(&engine->spares);
    counters->sounds_failed = atomic_load_explicit(&engine->library.faults, memory_order_relaxed);
    counters->events_dropped = outlet_dropped(&engine->outlet);
    for (int i = 0; i < engine->worker_count; i++) {
        struct worker *worker = &engine->workers[i];
        counters->streams += atomic_load_explicit(&worker->stream_count, memory_order_relaxed);
        counters->recordings += atomic_load_explicit(&worker->recording_count, memory_order_relaxed);
        counters->recording_packets_dropped += atomic_load_explicit(&worker->recording_dropped, memory_order_relaxed);
        counters->mixes += atomic_load_explicit(&worker->mix_count, memory_order_relaxed);
        counters->plays += atomic_load_explicit(&worker->play_count, memory_order_relaxed);
        counters->commands_refused += atomic_load_explicit(&worker->refused, memory_order_relaxed);
    }
}

int engine_processes(void) {
    return processing_available();
}

const char *engine_codec_names(void) {
    return codec_names();
}
