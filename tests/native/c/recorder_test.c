/*
 * What a recording says is missing, through a stream and on a stepped clock: minutes of silence cost no time.
 *
 *     recorder_test FOLDER
 */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "recorder.h"
#include "stepped.h"
#include "wav.h"

enum { PORT = 4000, PACKET = 160, RATE = 8000 };

static uint64_t names;
static char path[512];

struct phone {
    struct stream *stream;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
};

static void wait_for(unsigned milliseconds) {
    run_until(worker.now + milliseconds * MILLISECOND);
}

static struct phone begin(const char *folder, const char *name) {
    struct codec_offer offer = {.payload_type = 0, .format = {CODEC_PCMU, 1, RATE}, .name = "PCMU"};
    struct stream *stream = open_stream(&offer, PORT, 20);
    snprintf(path, sizeof path, "%s/%s.wav", folder, name);
    recorder_start(&worker, ++names, stream, NULL, path, &(struct engine_tape){0});
    return (struct phone){.stream = stream, .ssrc = 1, .sequence = 65500, .timestamp = 0xffff0000};
}

static void deliver(const struct phone *phone, uint16_t sequence, uint32_t timestamp, uint8_t value) {
    uint8_t data[RTP_HEADER + PACKET];
    struct address from;
    address_parse(&from, "127.0.0.1", PORT);
    memset(data, value, sizeof data);
    rtp_write(data + RTP_HEADER, 0, false, sequence, timestamp, phone->ssrc);
    datagram_received(&worker, &phone->stream->rtp, data, sizeof data, &from);
}

static void talk(struct phone *phone, int packets) {
    for (int i = 0; i < packets; i++, phone->timestamp += PACKET) {
        deliver(phone, phone->sequence++, phone->timestamp, 0x10);
        wait_for(20);
    }
}

/* Ends the recording; returns how much is missing of it, in milliseconds, and how long it is. */
static long end(struct phone *phone, long *length) {
    static struct engine_event event;
    stream_close(phone->stream, "");
    do {
        struct pollfd ready = {.fd = engine.outlet.fd, .events = POLLIN};
        event.kind = 0;
        assert(poll(&ready, 1, 30000) == 1);
        outlet_drain(&engine.outlet, &event, 1);
    } while (event.kind != ENGINE_RECORDING_ENDED && event.kind != ENGINE_RECORDING_FAILED);
    assert(event.kind == ENGINE_RECORDING_ENDED);
    *length = (long)event.milliseconds;
    return (long)event.gaps;
}

/* How many samples of a file are sound. */
static long sounding(void) {
    static int16_t samples[RATE * 120];
    FILE *file = fopen(path, "rb");
    assert(file != NULL && fseek(file, WAV_HEADER, SEEK_SET) == 0);
    size_t count = fread(samples, 2, sizeof samples / sizeof *samples, file);
    long sound = 0;
    for (size_t i = 0; i < count; i++)
        sound += samples[i] != 0;
    fclose(file);
    return sound;
}

/* The contract: from the first moment to the last. */
static void what_came_late(const char *folder) {
    long length;
    struct phone phone = begin(folder, "late");
    wait_for(10000);
    talk(&phone, 50);
    long missing = end(&phone, &length);
    printf("first packet after 10 s: %ld of %ld ms missing\n", missing, length);
    assert(missing == 10000 && length == 11000);
}

/* An outage after which the peer, or what stands before it, counts anew: no number tells of what was lost. */
static void another_source_after_an_outage(const char *folder) {
    long length;
    struct phone phone = begin(folder, "outage");
    talk(&phone, 50);
    wait_for(30000);
    phone.ssrc++;
    talk(&phone, 50);
    wait_for(70000);
    phone.sequence = (uint16_t)(phone.sequence + 3500), phone.timestamp += 3500 * PACKET;
    talk(&phone, 50);
    long missing = end(&phone, &length);
    printf("two outages of 100 s: %ld of %ld ms missing\n", missing, length);
    assert(missing > 99900 && missing <= 100100 && length >= 103000 && length < 103100);
}

static void silence_of_who_goes_on(const char *folder) {
    long length;
    struct phone phone = begin(folder, "silence");
    talk(&phone, 50);
    wait_for(10000);
    phone.timestamp += 10 * RATE;
    talk(&phone, 50);
    long missing = end(&phone, &length);
    printf("silence of 10 s, of a peer that goes on: %ld of %ld ms missing\n", missing, length);
    assert(missing == 0);
}

static void packets_that_come_twice(const char *folder) {
    long length;
    struct phone phone = begin(folder, "twice");
    for (int i = 0; i < 50; i++) {
        talk(&phone, 2);
        phone.sequence++, phone.timestamp += PACKET; /* lost */
        wait_for(20);
        for (uint16_t back = 2; back < 4; back++)
            deliver(&phone, (uint16_t)(phone.sequence - back), phone.timestamp - back * PACKET, 0x10);
    }
    talk(&phone, 1);
    long missing = end(&phone, &length);
    printf("one lost in three, the others twice: %ld of %ld ms missing\n", missing, length);
    assert(missing == 1000);
}

static void packets_that_come_late(const char *folder) {
    long length;
    struct phone phone = begin(folder, "reordered");
    for (int i = 0; i < 50; i++) {
        uint16_t sequence = phone.sequence++;
        uint32_t timestamp = phone.timestamp;
        phone.timestamp += PACKET;
        wait_for(20);
        talk(&phone, i == 0 ? 70 : i % 50);
        deliver(&phone, sequence, timestamp, 0x10);
    }
    long missing = end(&phone, &length);
    printf("packets up to 70 places late: %ld of %ld ms missing\n", missing, length);
    assert(missing <= 20); /* of one so late nobody knows whether it came before */
}

/* A number that has not come, and a time that is long over. */
static void nobody_rewrites_what_was_said(const char *folder) {
    long length;
    struct phone phone = begin(folder, "rewritten");
    wait_for(100);
    talk(&phone, 1);
    wait_for(20000);
    phone.timestamp += 20 * RATE;
    talk(&phone, 10);
    phone.sequence = (uint16_t)(phone.sequence + 50), phone.timestamp += 50 * PACKET;
    wait_for(1000);
    talk(&phone, 10);
    for (uint16_t back = 20; back < 50; back++)
        deliver(&phone, (uint16_t)(phone.sequence - back), phone.timestamp - 21 * RATE + back * PACKET, 0x40);
    end(&phone, &length);
    long sound = sounding();
    printf("forged times: %ld samples of sound\n", sound);
    assert(sound == 21 * PACKET);
}

int main(int count, char **arguments) {
    assert(count == 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    start_engine(32500, 32599);
    bool good = writers_start(&engine.writers, 1, 1 << 20);
    assert(good);
    what_came_late(arguments[1]);
    another_source_after_an_outage(arguments[1]);
    silence_of_who_goes_on(arguments[1]);
    packets_that_come_twice(arguments[1]);
    packets_that_come_late(arguments[1]);
    nobody_rewrites_what_was_said(arguments[1]);
    writers_stop(&engine.writers);
    worker_destroy(&worker);
    outlet_destroy(&engine.outlet);
    ports_destroy(&engine.ports);
    puts("recorder ok");
    return 0;
}
