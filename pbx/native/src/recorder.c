#include "recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"

/* Every recording is handed over this often; the recordings of a thread take turns, so that the writer's work is spread. */
#define HAND_OVER (256 * MILLISECOND)

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

/* Tells the writer, and everything but the packet thread, that a recording is over. The last block is never refused: the writer
   must hear of the end. */
static void close_tape(struct recording *recording, const char *failure) {
    struct worker *worker = recording->worker;
    struct tape_block *block = recording->block;
    if (block == NULL)
        block = block_new(&worker->engine->writers, recording->tape, true);
    block->until = worker->now;
    block->end = TAPE_ENDS;
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

static void attach(struct recording *recording, uint8_t side, struct tap **taps) {
    struct tap *tap = &recording->taps[side];
    recording->lists[side] = taps;
    *tap = (struct tap){.next = *taps, .recording = recording, .side = side, .fresh = true};
    *taps = tap;
}

static void start(struct worker *worker, uint64_t id, struct tap **left, struct tap **right, uint32_t rate, const char *path,
                  int maximum) {
    struct recording *recording = calloc(1, sizeof *recording);
    if (recording != NULL) {
        recording->id = id;
        recording->tape = tape_new(worker, id, path, rate, right == NULL ? 1 : 2);
    }
    if (recording == NULL || recording->tape == NULL || !enter(worker, recording)) {
        if (recording != NULL && recording->tape != NULL)
            tape_free(recording->tape);
        free(recording);
        recorder_refuse(worker, id, "out of memory");
        return;
    }
    recording->maximum.fire = maximum_reached;
    attach(recording, 0, left);
    if (right != NULL)
        attach(recording, 1, right);
    if (maximum > 0)
        timer_set(&worker->timers, &recording->maximum, worker->now + (uint64_t)maximum * MILLISECOND);
    /* An empty block opens the file at once, so that what is wrong with it is told at once. */
    recording->unsettled = true;
    hand_over(recording);
}

void recorder_start(struct worker *worker, uint64_t id, struct stream *left, struct stream *right, const char *path,
                    int maximum) {
    uint32_t rate = rate_for(left) > rate_for(right) ? rate_for(left) : rate_for(right);
    start(worker, id, &left->taps, right == NULL ? NULL : &right->taps, rate, path, maximum);
}

void recorder_start_on(struct worker *worker, uint64_t id, struct tap **taps, uint32_t rate, const char *path, int maximum) {
    start(worker, id, taps, NULL, rate > 8000 ? 16000 : 8000, path, maximum);
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
    recording->paused = paused;
    recording->taps[0].fresh = recording->taps[1].fresh = true;
}

void recorder_stop(struct worker *worker, uint64_t id) {
    struct recording *recording = table_get(&worker->recordings, id);
    if (recording != NULL)
        end(recording, NULL);
}

void recorder_lose(struct tap **taps) {
    for (struct tap *tap; (tap = *taps) != NULL;) {
        struct recording *recording = tap->recording;
        *taps = tap->next;
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
    tap->fresh = false;
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
