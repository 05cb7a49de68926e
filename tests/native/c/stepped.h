/* One packet thread without a thread: its clock goes on when a program says so, and what it sends comes to `__wrap_sendto`
   (the linker's --wrap=sendto). */
#ifndef TANDEM_STEPPED_H
#define TANDEM_STEPPED_H

#include <assert.h>
#include <stdbool.h>

#include "clock.h"
#include "engine_private.h"
#include "packet.h"
#include "pair.h"

static struct engine engine;
static struct worker worker;

ssize_t __wrap_sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length);

static inline void start_engine(int first_port, int last_port) {
    engine.options = (struct engine_options){.first_port = first_port, .last_port = last_port};
    engine.workers = &worker;
    engine.worker_count = 1;
    bool good = ports_init(&engine.ports, first_port, last_port, 0) && outlet_init(&engine.outlet) &&
                worker_prepare(&worker, &engine);
    assert(good);
    worker.now = SECOND; /* the same every time */
}

static inline void run_until(uint64_t now) {
    for (uint64_t due; (due = timers_next(&worker.timers)) != 0 && due <= now;) {
        worker.now = due;
        timers_fire(&worker.timers, due);
    }
    worker.now = now;
}

/* A stream whose peer is at a port of loopback and has one codec. */
static inline struct stream *open_stream(const struct codec_offer *codec, int port, int packet_time) {
    static uint64_t names;
    uint64_t id = ++names;
    struct address local;
    struct pair pair;
    address_parse(&local, "127.0.0.1", 0);
    int error = pair_bind(&pair, &engine.ports, &local, 0);
    assert(error == 0);
    stream_open(&worker, 0, id, &pair);
    struct stream *stream = table_get(&worker.streams, id);
    assert(stream != NULL);
    struct remote remote = {.send = true, .receive = true, .packet_time = packet_time, .codec_count = 1, .codecs = {*codec}};
    address_parse(&remote.rtp, "127.0.0.1", port);
    bool taken = stream_set_remote(stream, &remote);
    assert(taken);
    return stream;
}

static inline void drain_events(void) {
    struct engine_event events[16];
    while (outlet_drain(&engine.outlet, events, 16) > 0)
        continue;
}

#endif
