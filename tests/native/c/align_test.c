/*
 * The recorder's line of time, on simulated hours: clocks that drift, networks that jitter and stall, phones on hold.
 *
 *     align_test FOLDER
 *
 * Every sample that is sent says which one it is, so that the file tells where each was laid.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "engine_private.h"
#include "tape.h"
#include "wav.h"

#define RATE 8000
#define PACKET 160

struct network { /* of one direction */
    double drift;                /* of the phone's clock: 1e-4 is 100 ppm fast */
    double jitter;               /* seconds, at most */
    double stall_at, stall;      /* seconds */
    double hold_at, hold;        /* the phone is silent, its timestamps stand still */
    int quiet_every;             /* packets; every so many one is silent; 0 never */
    double lost;                 /* share of the packets */
};

static struct engine *engine;
static uint64_t chance = 88172645463325252u;

static double random_share(void) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (double)(chance >> 11) / 9007199254740992.0;
}

static int16_t sample_of(long number) {
    return (int16_t)(1000 + number % 30011);
}

struct sent {
    double at;                   /* arrival */
    double due;                  /* when it would arrive without jitter or stall */
    long number;                 /* of the packet */
    uint32_t timestamp;
    bool marker, quiet;
};

static int by_arrival(const void *a, const void *b) {
    const struct sent *first = a, *second = b;
    return first->at < second->at ? -1 : first->at > second->at;
}

/* Lays out a call of `seconds` and returns the worst distance between a sample and its time, in milliseconds. `lost_samples`:
   how many of those sent are not in the file, `gaps`: what the tape says. */
static double simulate(const char *folder, const char *name, double seconds, struct network network, long *lost_samples,
                       int64_t *gaps) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.wav", folder, name);
    struct worker *worker = &engine->workers[0];
    struct tape *tape = tape_new(worker, 7, path, RATE, 2, &(struct engine_tape){0});
    tape->start = 1000 * SECOND;
    long count = (long)(seconds * RATE / PACKET), delivered = 0;
    struct sent *sent = calloc((size_t)count, sizeof *sent);
    double time = 0.05;
    uint32_t timestamp = 0xfffff000;
    for (long number = 0; number < count; number++, timestamp += PACKET) {
        bool resumed = false;
        if (network.hold > 0 && time >= network.hold_at) {
            time += network.hold;
            network.hold = 0;
            resumed = true;
        }
        double at = time + network.jitter * random_share();
        if (network.stall > 0 && time >= network.stall_at && at < network.stall_at + network.stall)
            at = network.stall_at + network.stall + 1e-5 * (double)number;
        if (random_share() >= network.lost)
            sent[delivered++] = (struct sent){.at = at,
                                              .due = time,
                                              .number = number,
                                              .timestamp = timestamp,
                                              .marker = resumed || number == 0,
                                              .quiet = network.quiet_every && number % network.quiet_every == 0};
        time += (double)PACKET / RATE * (1 - network.drift);
    }
    qsort(sent, (size_t)delivered, sizeof *sent, by_arrival);

    struct tape_block *block = calloc(1, sizeof *block);
    struct tape_window window = {0};
    double handed = 0.25;
    for (long i = 0; i <= delivered; i++) {
        double at = i < delivered ? sent[i].at : time + 1;
        size_t size = sizeof(struct tape_packet) + 2 * PACKET;
        while (at >= handed || block->used + size > TAPE_BLOCK) {
            bool full = block->used + size > TAPE_BLOCK;
            block->until = tape->start + (uint64_t)((full ? at : handed) * 1e9);
            block->end = i == delivered && !full && handed + 0.25 > at ? TAPE_ENDS : TAPE_GOES_ON;
            tape_take(tape, block, &window);
            if (!full)
                handed += 0.25;
            block->used = 0;
        }
        if (i == delivered)
            break;
        struct tape_packet *packet = (struct tape_packet *)(void *)(block->data + block->used);
        *packet = (struct tape_packet){.arrival = tape->start + (uint64_t)(at * 1e9),
                                       .timestamp = sent[i].timestamp,
                                       .feed = 1,
                                       .format = {CODEC_L16, 1, RATE},
                                       .sequence = (uint16_t)sent[i].number,
                                       .length = 2 * PACKET,
                                       .side = 1,
                                       .marker = sent[i].marker,
                                       .fresh = i == 0};
        for (int n = 0; n < PACKET; n++)
            put_16((uint8_t *)(packet + 1) + 2 * n,
                   (uint16_t)(sent[i].quiet ? 1 + n % 2 : sample_of(sent[i].number * PACKET + n)));
        block->used += (uint32_t)((size + 7) & ~(size_t)7);
    }
    assert(!tape->failed);

    size_t length = (size_t)tape->length;
    int16_t *frames = calloc(length, 2 * sizeof *frames);
    assert(pread(tape->fd, frames, length * 4, WAV_HEADER) == (ssize_t)(length * 4));
    double worst = 0;
    *lost_samples = 0;
    for (long i = 0; i < delivered; i++) { /* where is the middle of each packet? */
        if (sent[i].quiet)
            continue;
        long number = sent[i].number * PACKET + PACKET / 2, ideal = (long)(sent[i].due * RATE) + PACKET / 2, found = -1;
        for (long off = 0; off < 15000 && found < 0; off++) {
            if (ideal + off < (long)length && frames[2 * (ideal + off) + 1] == sample_of(number))
                found = off;
            else if (off <= ideal && ideal - off < (long)length && frames[2 * (ideal - off) + 1] == sample_of(number))
                found = off;
        }
        if (found < 0)
            ++*lost_samples;
        else if ((double)found * 1000 / RATE > worst)
            worst = (double)found * 1000 / RATE;
        assert(ideal >= (long)length || frames[2 * ideal] == 0); /* the other side is silent */
    }
    *gaps = tape->gaps * 1000 / RATE;
    tape_free(tape);
    free(frames);
    free(sent);
    free(block);
    free(window.frames);
    remove(path);
    strcat(path, ".part");
    remove(path);
    printf("%-28s %6ld packets, %3ld not found, worst %6.1f ms off, gaps %lld ms\n", name, delivered, *lost_samples, worst,
           (long long)*gaps);
    return worst;
}

int main(int count, char **arguments) {
    assert(count == 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    engine = engine_create(
        &(struct engine_options){.first_port = 31000, .last_port = 31009, .workers = 1, .writers = 1, .backlog_mebibytes = 1},
        NULL, 0);
    assert(engine != NULL);
    const char *folder = arguments[1];
    long lost;
    int64_t gaps;

    assert(simulate(folder, "ideal", 60, (struct network){0}, &lost, &gaps) < 1 && lost == 0 && gaps == 0);
    assert(simulate(folder, "jitter", 600, (struct network){.jitter = 0.08}, &lost, &gaps) <= 82 && lost == 0 && gaps == 0);
    assert(simulate(folder, "slow clock", 3600, (struct network){.drift = -2e-4}, &lost, &gaps) < 65 && lost == 0);
    assert(gaps == 0);
    assert(simulate(folder, "fast clock", 3600, (struct network){.drift = 2e-4}, &lost, &gaps) < 65 && lost < 60);
    assert(gaps == 0);
    assert(simulate(folder, "slow clock, pauses", 3600, (struct network){.drift = -2e-4, .quiet_every = 50}, &lost, &gaps) <
               25 &&
           lost == 0);
    assert(simulate(folder, "fast clock, pauses", 3600, (struct network){.drift = 2e-4, .quiet_every = 50}, &lost, &gaps) <
               25 &&
           lost < 60);
    assert(simulate(folder, "drift and jitter", 1800, (struct network){.drift = 1e-4, .jitter = 0.06}, &lost, &gaps) < 125);
    assert(gaps == 0);
    assert(simulate(folder, "stall", 60, (struct network){.stall_at = 20, .stall = 1.5}, &lost, &gaps) < 1 && lost == 0);
    assert(gaps == 0);
    assert(simulate(folder, "long stall", 60, (struct network){.stall_at = 20, .stall = 8}, &lost, &gaps) < 1 && lost == 0);
    assert(simulate(folder, "hold", 60, (struct network){.hold_at = 20, .hold = 30}, &lost, &gaps) < 1 && lost == 0);
    assert(gaps == 0);
    assert(simulate(folder, "long hold", 60, (struct network){.hold_at = 20, .hold = 3600}, &lost, &gaps) < 1 && lost == 0);
    assert(simulate(folder, "loss", 300, (struct network){.lost = 0.05}, &lost, &gaps) < 1 && lost == 0);
    assert(gaps > 12000 && gaps < 18000);
    engine_free(engine);
    puts("ok");
    return 0;
}
