#include "move.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "clock.h"
#include "digits.h"
#include "ear.h"
#include "engine_private.h"
#include "mix.h"
#include "player.h"
#include "recorder.h"
#include "transcoder.h"

struct move { /* a group between two packet threads */
    uint64_t from, to;           /* its number so far, and from now on */
    size_t stream_count, recording_count;
    struct stream **streams;
    struct recording **recordings;
};

/* Every timer that a stream may have set. One that is missing here would go on in the old thread. */
static void each_timer(struct stream *stream, struct timers *timers, void (*change)(struct timers *, struct timer *)) {
    change(timers, &stream->watch);
    change(timers, &stream->report.timer);
    change(timers, &stream->key.timer);
    if (stream->player != NULL)
        change(timers, &stream->player->timer);
    if (stream->dialer != NULL)
        change(timers, digits_timer(stream->dialer));
    if (stream->ear != NULL)
        change(timers, ear_timer(stream->ear));
}

static void tell(struct engine *engine, uint64_t from, uint64_t to) {
    outlet_put(&engine->outlet, event_new(ENGINE_MOVED, from, to));
}

static bool belongs(const struct stream *stream, uint64_t group) {
    return stream->group == group / (uint64_t)stream->worker->engine->worker_count;
}

/* The streams of a group and their recordings, found but not touched; NULL when memory is exhausted. */
static struct move *gather(struct worker *worker, uint64_t group) {
    size_t count = 0, taps = 0;
    struct stream *stream;
    for (size_t at = 0; (stream = table_next(&worker->streams, &at)) != NULL;)
        if (belongs(stream, group)) {
            count++;
            for (struct tap *tap = stream->taps; tap != NULL; tap = tap->next)
                taps++;
        }
    struct move *move = calloc(1, sizeof *move + (count + taps) * sizeof(void *));
    if (move == NULL)
        return NULL;
    move->streams = (struct stream **)(void *)(move + 1);
    move->recordings = (struct recording **)(void *)(move->streams + count);
    for (size_t at = 0; (stream = table_next(&worker->streams, &at)) != NULL;) {
        if (!belongs(stream, group))
            continue;
        move->streams[move->stream_count++] = stream;
        for (struct tap *tap = stream->taps; tap != NULL; tap = tap->next)
            if (tap->side == 0 || tap->recording->lists[0] == NULL) /* once for its two sides */
                move->recordings[move->recording_count++] = tap->recording;
    }
    return move;
}

static void lift(struct worker *worker, struct stream *stream) {
    mix_leave(stream);
    transcoder_stop(stream); /* the next packet starts it again */
    epoll_ctl(worker->epoll, EPOLL_CTL_DEL, stream->rtp.fd, NULL);
    epoll_ctl(worker->epoll, EPOLL_CTL_DEL, stream->rtcp.fd, NULL);
    each_timer(stream, &worker->timers, timer_lift);
    table_remove(&worker->streams, stream->id);
    atomic_fetch_sub_explicit(&worker->stream_count, 1, memory_order_relaxed);
}

void move_depart(struct worker *worker, uint64_t group, uint64_t to) {
    struct engine *engine = worker->engine;
    uint64_t count = (uint64_t)engine->worker_count;
    struct worker *target = &engine->workers[to % count];
    struct command *command = target == worker ? NULL : command_new(COMMAND_ADOPT, 0);
    struct move *move = command == NULL ? NULL : gather(worker, group);
    if (move == NULL) {
        command_free(command);
        tell(engine, group, group);
        return;
    }
    move->from = group;
    move->to = group - group % count + to % count;
    for (size_t i = 0; i < move->stream_count; i++)
        lift(worker, move->streams[i]);
    for (size_t i = 0; i < move->recording_count; i++)
        recorder_lift(move->recordings[i]);
    command->move = move;
    inbox_put(&target->inbox, command);
}

static bool land(struct worker *worker, struct stream *stream) {
    struct epoll_event rtp = {.events = EPOLLIN, .data.ptr = &stream->rtp};
    struct epoll_event rtcp = {.events = EPOLLIN, .data.ptr = &stream->rtcp};
    stream->worker = worker;
    atomic_fetch_add_explicit(&worker->stream_count, 1, memory_order_relaxed);
    each_timer(stream, &worker->timers, timer_land);
    if (!table_put(&worker->streams, stream->id, stream))
        return false;
    if (stream->player != NULL && stream->player->sound == NULL)
        player_renegotiate(stream); /* what the library makes for it would come to the thread that it has left */
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, stream->rtp.fd, &rtp) == 0 &&
           epoll_ctl(worker->epoll, EPOLL_CTL_ADD, stream->rtcp.fd, &rtcp) == 0;
}

void move_arrive(struct worker *worker, struct move *move) {
    worker->now = clock_now(); /* not before what the other thread has called now */
    for (size_t i = 0; i < move->recording_count; i++)
        recorder_land(worker, move->recordings[i]);
    for (size_t i = 0; i < move->stream_count; i++)
        if (!land(worker, move->streams[i]))
            stream_close(move->streams[i], "out of memory");
    tell(worker->engine, move->from, move->to);
    free(move);
}
