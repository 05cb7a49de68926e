#include "recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"

/* Every recording is handed over this often; the recordings of a thread take turns, so that the writer's work is spread. */
#define HAND_OVER (192 * MILLISECOND)
/* Nobody is silent for so long without a packet: what is missing then was lost, unless nothing was to come. */
#define SILENT (2 * SECOND)

void recorder_refuse(struct worker *worker, uint64_t id, const char *failure) {
    struct event_node *node = event_new(ENGINE_RECORDING_FAILED, 0, id);
    if (node != NULL)
        snprintf(node->event.text, sizeof node->event.text, "%s", failure);
    outlet_put(&worker->engine->outlet, node);
}

static void hand_over(struct recording *recording) {
    struct writers *writers = &recording->worker->engine->writers;
    struct tape_block *block = recording->block;
    bool holds = block != NULL && block->used > 0;
    if (!holds && !recording->unsettled)
        return;
    if (block == NULL && (block = block_new(writers, recording->tape, false)) == NULL)
        return;
    block->until = recording->worker->now;
    block_put(writers, block);
    recording->block = NULL;
    recording->unsettled = holds;
}

static void take_turn(struct timer *timer, uint64_t now) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, turn_timer);
    for (struct recording *recording = worker->turns[worker->turn]; recording != NULL; recording = recording->next)
        hand_over(recording);
    worker->turn = (worker->turn + 1) % RECORDING_TURNS;
    if (worker->recordings.count > 0)
        timer_set(&worker->timers, timer, now + HAND_OVER / RECORDING_TURNS);
}

static bool enter(struct worker *worker, struct recording *recording) {
    if (!table_put(&worker->recordings, recording->id, recording))
        return false;
    recording->worker = worker;
    struct recording **turn = &worker->turns[recording->id % RECORDING_TURNS];
    recording->next = *turn;
    recording->place = turn;
    if (*turn != NULL)
        (*turn)->place = &recording->next;
    *turn = recording;
    worker->turn_timer.fire = take_turn;
    if (worker->turn_timer.place == 0)
        timer_set(&worker->timers, &worker->turn_timer, worker->now + HAND_OVER / RECORDING_TURNS);
    atomic_fetch_add_explicit(&worker->recording_count, 1, memory_order_relaxed);
    return true;
}

static void leave(struct recording *recording) {
    *recording->place = recording->next;
    if (recording->next != NULL)
        recording->next->place = recording->place;
    table_remove(&recording->worker->recordings, recording->id);
    atomic_fetch_sub_explicit(&recording->worker->recording_count, 1, memory_order_relaxed);
}

/* What is missing of a side since its last packet, where no number of a later one tells. */
static void count_missing(struct tap *tap) {
    struct recording *recording = tap->recording;
    uint64_t now = recording->worker->now;
    bool awaited = tap->awaited && !recording->paused;
    if (awaited && now > tap->due && (now > tap->due + SILENT || tap->dropped))
        recording->missing += now - tap->due;
}

/* From here on a packet is due anew. */
static void settle(struct tap *tap) {
    count_missing(tap);
    tap->due = tap->recording->worker->now;
    tap->dropped = false;
    tap->fresh = true;
}

/* Tells the writer, and everything but the packet thread, that a recording is over. The last block is never refused: the writer
   must hear of the end. */
static void close_tape(struct recording *recording, const char *failure) {
    struct worker *worker = recording->worker;
    struct tape_block *block = recording->block;
    if (block == NULL)
        block = block_new(&worker->engine->writers, recording->tape, true);
    for (int side = 0; side < 2; side++)
        if (recording->lists[side] != NULL)
            settle(&recording->taps[side]);
    block->until = worker->now;
    block->end = TAPE_ENDS;
    block->missing = recording->missing;
    block->failure = failure;
    block_put(&worker->engine->writers, block);

    for (int side = 0; side < 2; side++)
        for (struct tap **tap = recording->lists[side]; tap != NULL && *tap != NULL;) {
            if ((*tap)->recording == recording)
                *tap = (*tap)->next;
            else
                tap = &(*tap)->next;
        }
}

static void end(struct recording *recording, const char *failure) {
    close_tape(recording, failure);
    timer_cancel(&recording->worker->timers, &recording->maximum);
    leave(recording);
    free(recording);
}

static void maximum_reached(struct timer *timer, uint64_t now) {
    (void)now;
    end(CONTAINER_OF(timer, struct recording, maximum), NULL);
}

/* 8000 Hz as long as nothing wider is negotiated. */
static uint32_t rate_for(const struct stream *stream) {
    for (int i = 0; stream != NULL && i < stream->codec_count; i++) {
        const struct codec_format *format = &stream->codecs[i].codec.format;
        if (codec_available(format->kind))
            return codec_rate(format) > 8000 ? 16000 : 8000;
    }
    return 8000;
}

static void attach(struct recording *recording, uint8_t side, struct tap **taps, bool awaited) {
    struct tap *tap = &recording->taps[side];
    recording->lists[side] = taps;
    *tap = (struct tap){.next = *taps,
                        .recording = recording,
                        .side = side,
                        .fresh = true,
                        .awaited = awaited,
                        .due = recording->worker->now};
    *taps = tap;
}

static struct recording *start(struct worker *worker, uint64_t id, unsigned sides, uint32_t rate, const char *path,
                               const struct engine_tape *wanted) {
    struct recording *recording = calloc(1, sizeof *recording);
    if (recording != NULL) {
        recording->id = id;
        recording->tape = tape_new(worker, id, path, rate, sides, wanted);
    }
    if (recording == NULL || recording->tape == NULL || !enter(worker, recording)) {
        if (recording != NULL && recording->tape != NULL)
            tape_free(recording->tape);
        free(recording);
        recorder_refuse(worker, id, "out of memory");
        return NULL;
    }
    recording->maximum.fire = maximum_reached;
    if (wanted->maximum > 0)
        timer_set(&worker->timers, &recording->maximum, worker->now + (uint64_t)wanted->maximum * MILLISECOND);
    /* An empty block opens the file at once, so that what is wrong with it is told at once. */
    recording->unsettled = true;
    hand_over(recording);
    return recording;
}

static bool is_awaited(const struct stream *stream) {
    return stream->receive && !stream->mute_receive;
}

void recorder_start(struct worker *worker, uint64_t id, struct stream *left, struct stream *right, const char *path,
                    const struct engine_tape *wanted) {
    uint32_t rate = rate_for(left) > rate_for(right) ? rate_for(left) : rate_for(right);
    struct recording *recording = start(worker, id, right == NULL ? 1 : 2, rate, path, wanted);
    if (recording != NULL)
        attach(recording, 0, &left->taps, is_awaited(left));
    if (recording != NULL && right != NULL)
        attach(recording, 1, &right->taps, is_awaited(right));
}

void recorder_start_on(struct worker *worker, uint64_t id, struct tap **taps, uint32_t rate, const char *path,
                       const struct engine_tape *wanted) {
    struct recording *recording = start(worker, id, 1, rate > 8000 ? 16000 : 8000, path, wanted);
    if (recording != NULL)
        attach(recording, 0, taps, false);
}

void recorder_lift(struct recording *recording) {
    timer_lift(&recording->worker->timers, &recording->maximum);
    leave(recording);
}

void recorder_land(struct worker *worker, struct recording *recording) {
    if (enter(worker, recording)) {
        timer_land(&worker->timers, &recording->maximum);
        return;
    }
    close_tape(recording, "out of memory");
    free(recording);
}

void recorder_pause(struct worker *worker, uint64_t id, bool paused) {
    struct recording *recording = table_get(&worker->recordings, id);
    if (recording == NULL)
        return;
    for (int side = 0; side < 2; side++)
        if (recording->lists[side] != NULL)
            settle(&recording->taps[side]);
    recording->paused = paused;
}

void recorder_stop(struct worker *worker, uint64_t id) {
    struct recording *recording = table_get(&worker->recordings, id);
    if (recording != NULL)
        end(recording, NULL);
}

void recorder_expect(struct tap *taps, bool awaited) {
    for (struct tap *tap = taps; tap != NULL; tap = tap->next) {
        settle(tap);
        tap->awaited = awaited;
    }
}

void recorder_lose(struct tap **taps) {
    for (struct tap *tap; (tap = *taps) != NULL;) {
        struct recording *recording = tap->recording;
        *taps = tap->next;
        settle(tap);
        recording->lists[tap->side] = NULL;
        if (recording->lists[0] == NULL && recording->lists[1] == NULL)
            end(recording, NULL);
    }
}

static void append(struct worker *worker, struct tap *tap, const struct packet *packet, const struct codec_format *format,
                   uint32_t feed) {
    struct recording *recording = tap->recording;
    struct writers *writers = &worker->engine->writers;
    size_t length = codec_available(format->kind) ? packet->length : 0;
    size_t size = (sizeof(struct tape_packet) + length + 7) & ~(size_t)7;
    if (recording->block != NULL && recording->block->used + size > TAPE_BLOCK)
        hand_over(recording);
    if (recording->block == NULL && (recording->block = block_new(writers, recording->tape, false)) == NULL) {
        atomic_fetch_add_explicit(&worker->recording_dropped, 1, memory_order_relaxed);
        if (!recording->behind)
            outlet_put(&worker->engine->outlet, event_new(ENGINE_RECORDING_BEHIND, 0, recording->id));
        recording->behind = true;
        tap->dropped = true;
        return;
    }
    struct tape_block *block = recording->block;
    struct tape_packet *copy = (struct tape_packet *)(void *)(block->data + block->used);
    *copy = (struct tape_packet){.arrival = worker->now,
                                 .timestamp = packet->timestamp,
                                 .feed = feed,
                                 .format = *format,
                                 .sequence = packet->sequence,
                                 .length = (uint16_t)length,
                                 .side = tap->side,
                                 .marker = packet->marker,
                                 .fresh = tap->fresh};
    memcpy(copy + 1, packet->payload, length);
    block->used += (uint32_t)size;
    if (tap->fresh || tap->feed != feed)
        count_missing(tap);
    tap->fresh = tap->dropped = false;
    tap->feed = feed;
    tap->due = worker->now;
}

void recorder_take(struct worker *worker, struct tap *const *taps, uint64_t feed, const struct packet *packet,
                   const struct codec_format *format) {
    for (struct tap *tap = *taps; tap != NULL; tap = tap->next) {
        if (tap->recording->paused)
            continue;
        if (format->kind == CODEC_OTHER) {
            end(tap->recording, "a codec is used that this build can't decode");
            return; /* another tap of this stream may be gone with it; what is left ends at the next packet */
        }
        append(worker, tap, packet, format, (uint32_t)feed);
    }
}
