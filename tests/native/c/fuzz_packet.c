/*
 * What any peer can do to a packet thread: datagrams of any bytes, from any of some addresses, at any time, into streams in
 * any state. For libFuzzer; sending is taken out by the linker (--wrap=sendto).
 *
 * The input is a list of steps: what, how many octets, the octets.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "engine_private.h"
#include "mix.h"
#include "digits.h"
#include "ear.h"
#include "packet.h"
#include "pair.h"
#include "library_srtp.h"
#include "recorder.h"

static struct engine engine;
static struct worker worker;
static char folder[] = "/dev/shm/tandem-fuzz-XXXXXX";
static uint64_t recordings;

ssize_t __wrap_sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length);
ssize_t __wrap_sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    (void)fd, (void)flags, (void)to_length;
    /* What goes out is well-formed, whatever came in. */
    const uint8_t *octets = data;
    assert(to->sa_family == AF_INET && length >= 8 && octets[0] >> 6 == 2 && (octets[0] & 0x10) == 0);
    return (ssize_t)length;
}

static void set_remote(struct stream *stream, const uint8_t *data, size_t length) {
    static const struct codec_offer offers[] = {
        {0, {CODEC_PCMU, 1, 8000}, "PCMU"},     {8, {CODEC_PCMA, 1, 8000}, "PCMA"},   {9, {CODEC_G722, 1, 8000}, "G722"},
        {107, {CODEC_OPUS, 2, 48000}, "opus"},  {96, {CODEC_L16, 2, 44100}, "L16"},   {101, {CODEC_EVENT, 1, 8000}, "telephone-event"},
        {13, {CODEC_COMFORT, 1, 8000}, "CN"},   {18, {CODEC_G729, 1, 8000}, "G729"},
    };
    uint8_t flags = length > 0 ? data[0] : 0, from = length > 1 ? data[1] : 0;
    static const int packet_times[] = {20, 10, 30, 60};
    struct remote remote = {.mux = flags & 1,
                            .send = !(flags & 2),
                            .receive = !(flags & 4),
                            .latch = !(flags & 8),
                            .packet_time = packet_times[from >> 2 & 3],
                            .no_media_timeout = flags & 16 ? 500 : 0};
    address_parse(&remote.rtp, "127.0.0.1", 4000 + from % 4);
    address_parse(&remote.rtcp, "127.0.0.1", 5000 + from % 4);
    if (flags & 32)
        remote.rtp.length = 0;
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++)
        if (length < 3 || data[2] >> i & 1)
            remote.codecs[remote.codec_count++] = offers[i];
    if (!stream_set_remote(stream, &remote))
        abort();
}

#ifdef HAVE_LIBSRTP2
static uint8_t peer_key[SESSION_KEY_SIZE] = "the key of who sends us things";
static srtp_t peer;

static void set_keys(struct stream *stream, const uint8_t *data, size_t length) {
    static const int sizes[] = {0, 30, 30, 46, 46, 28, 44};
    uint8_t flags = length > 0 ? data[0] : 1;
    struct srtp_keys keys = {.secured = flags & 1, .after_peer = flags & 2};
    keys.receive = (struct srtp_key){.suite = flags & 4 ? 0 : 1, .key_size = 30, .mki_size = flags & 8 ? 2 : 0};
    memcpy(keys.receive.key, peer_key, sizeof peer_key);
    if (length > 1)
        keys.receive.key[0] ^= data[1] & 1;
    int suite = flags >> 4 & 7;
    if (suite > 6 || !engine_srtp_supports(&library_functions, suite)) /* the system's may have no AEAD */
        suite = 0;
    keys.send = (struct srtp_key){.suite = suite, .key_size = sizes[suite]};
    bool good = srtp_set_keys(stream, &keys);
    assert(good);
}

/* What only an authentic peer can send. */
static size_t protect(uint8_t *data, size_t length, bool rtcp) {
    int size = (int)length;
    if (length < (rtcp ? 8 : 12) || (rtcp ? srtp_protect_rtcp(peer, data, &size) : srtp_protect(peer, data, &size)) != 0)
        return length;
    return (size_t)size;
}
#endif

static void step(struct stream *streams[2], uint8_t what, const uint8_t *data, size_t length) {
    struct stream *stream = streams[what & 1];
    static uint8_t copy[DATAGRAM_ROOM + SRTP_TRAILER] __attribute__((aligned(8)));
    char text[32];
    struct address from;
    switch (what >> 1 & 15) {
    default: /* most steps are datagrams */
        memcpy(copy, data, length);
        address_parse(&from, "127.0.0.1", (what & 0x40 ? 5000 : 4000) + (what >> 7) * 2);
        datagram_received(&worker, what & 0x40 ? &stream->rtcp : &stream->rtp, copy, length, &from);
        break;
    case 1:
        worker.now += (length > 0 ? data[0] : 20) * (length > 1 && data[1] & 1 ? SECOND : MILLISECOND);
        timers_fire(&worker.timers, worker.now);
        break;
    case 2:
        set_remote(stream, data, length);
        break;
    case 3:
        stream_connect(streams[0], streams[length > 0 ? data[0] & 1 : 1]);
        break;
    case 4:
        stream_mute(stream, length > 0 && data[0] & 1, length > 0 && data[0] & 2);
        break;
    case 5:
        ear_listen(stream, length > 0 && data[0] & 1);
        if (digits_send(stream, "12#", 100))
            worker.now += MILLISECOND;
        break;
    case 6:
        snprintf(text, sizeof text, "%s/%d", folder, (int)(++recordings % 100));
        unlink(text);
        recorder_start(&worker, recordings, stream, length > 0 && data[0] & 1 ? streams[1] : NULL, text, &(struct engine_tape){0});
        break;
    case 7:
        recorder_stop(&worker, recordings);
        break;
#ifdef HAVE_LIBSRTP2
    case 11:
        set_keys(stream, data, length);
        break;
    case 12:
        memcpy(copy, data, length);
        address_parse(&from, "127.0.0.1", 4000 + (what >> 7) * 2);
        length = protect(copy, length, protocol_of(copy, length) == PROTOCOL_RTCP);
        datagram_received(&worker, what & 0x40 ? &stream->rtcp : &stream->rtp, copy, length, &from);
        break;
#endif
    case 8:
        recorder_pause(&worker, recordings, length > 0 && data[0] & 1);
        break;
    case 9:
        mix_join(stream, 77, length > 0 && data[0] & 1 ? 48000 : 8000,
                 &(struct role){.mute = length > 1 && data[1] & 1, .hearer_count = length > 2 ? data[2] & 1 : 0, .hearers = {2}});
        break;
    case 10:
        mix_leave(stream);
        break;
    }
}

static void start(void) {
    engine.options = (struct engine_options){.first_port = 31010, .last_port = 31999};
    engine.workers = &worker;
    engine.worker_count = 1;
#ifdef HAVE_LIBSRTP2
    engine.options.srtp = &library_functions;
    assert(srtp_init() == srtp_err_status_ok);
    peer = library_sender(peer_key);
#endif
    bool good = ports_init(&engine.ports, 31010, 31999, 0) && outlet_init(&engine.outlet) &&
                writers_start(&engine.writers, 1, 1 << 24) && worker_prepare(&worker, &engine);
    assert(good && mkdtemp(folder) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (worker.engine == NULL)
        start();
    for (uint64_t id = 1; id <= 2; id++) {
        struct address local;
        struct pair pair;
        address_parse(&local, "127.0.0.1", 0);
        int error = pair_bind(&pair, &engine.ports, &local, 0);
        assert(error == 0);
        stream_open(&worker, 0, id, &pair);
    }
    struct stream *streams[2] = {table_get(&worker.streams, 1), table_get(&worker.streams, 2)};
    assert(streams[0] != NULL && streams[1] != NULL);
    set_remote(streams[0], NULL, 0);
    set_remote(streams[1], NULL, 0);
    stream_connect(streams[0], streams[1]);
    for (size_t at = 0; at + 3 <= size;) {
        size_t length = get_16(data + at + 1) % 1024;
        if (length > size - at - 3)
            length = size - at - 3;
        step(streams, data[at], data + at + 3, length);
        at += 3 + length;
    }
    stream_close(streams[0], "");
    stream_close(streams[1], "");
    assert(worker.streams.count == 0 && worker.recordings.count == 0 && worker.mixes.count == 0);
    struct engine_event events[16];
    while (outlet_drain(&engine.outlet, events, 16) > 0)
        continue;
    for (struct command *command = inbox_take(&worker.inbox), *next; command != NULL; command = next) {
        next = command->next;
        command_free(command);
    }
    return 0;
}
