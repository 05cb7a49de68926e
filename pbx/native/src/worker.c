#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "digits.h"
#include "ear.h"
#include "engine_private.h"
#include "mix.h"
#include "move.h"
#include "packet.h"
#include "player.h"
#include "recorder.h"
#include "thread.h"

#define EVENTS_A_ROUND 256

static void refuse(struct worker *worker, enum engine_event_kind kind, uint64_t stream, uint64_t object) {
    atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
    struct event_node *node = event_new(kind, stream, object);
    if (node != NULL) {
        node->event.counts.round_trip = -1;
        node->event.counts.payload_type = -1;
        node->event.counts.level = -128;
        snprintf(node->event.text, sizeof node->event.text, "no such stream");
    }
    outlet_put(&worker->engine->outlet, node);
}

static void carry_out_for_stream(struct worker *worker, struct stream *stream, const struct command *command) {
    struct stream *other;
    switch (command->kind) {
    case COMMAND_SET_REMOTE:
        if (!stream_set_remote(stream, command->remote))
            stream_close(stream, "out of memory");
        break;
    case COMMAND_SET_KEYS:
        /* Closed rather than open to plain RTP. */
        if (!srtp_set_keys(stream, command->keys))
            stream_close(stream, "SRTP cannot be set up");
        break;
    case COMMAND_CONNECT:
        other = table_get(&worker->streams, command->object);
        if (other != NULL)
            stream_connect(stream, other);
        else
            refuse(worker, ENGINE_CLOSED, command->object, 0);
        break;
    case COMMAND_DISCONNECT:
        stream_disconnect(stream);
        break;
    case COMMAND_MUTE:
        stream_mute(stream, command->first, command->second);
        break;
    case COMMAND_PROCESS:
        if (!stream_process(stream, &command->processing))
            atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
        break;
    case COMMAND_SEND_DIGITS:
        if (!digits_send(stream, command->text, command->first))
            atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
        break;
    case COMMAND_HEAR_DIGITS:
        if (!ear_listen(stream, command->first))
            atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
        ear_clamp(stream, command->second);
        break;
    case COMMAND_TAKE_DIGIT:
        player_key(stream, (unsigned)command->first);
        break;
    case COMMAND_JOIN:
        if (!mix_join(stream, command->object, (uint32_t)command->first, command->role))
            atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
        break;
    case COMMAND_SET_ROLE:
        mix_set_role(stream, command->role);
        break;
    case COMMAND_LEAVE:
        mix_leave(stream);
        break;
    case COMMAND_QUERY:
        stream_tell(stream, ENGINE_STATISTICS);
        break;
    case COMMAND_CLOSE:
        stream_close(stream, "");
        break;
    default:
        break;
    }
}

static void change_play(struct stream *stream, const struct command *command) {
    if (command->kind == COMMAND_PAUSE_PLAYING)
        player_pause(stream, command->object, command->first);
    else if (command->kind == COMMAND_SEEK_PLAYING)
        player_seek(stream, command->object, command->first);
    else
        player_set_volume(stream, command->object, command->first);
}

static void record(struct worker *worker, struct stream *left, const struct command *command) {
    struct stream *right = table_get(&worker->streams, command->right);
    struct mix *mix = table_get(&worker->mixes, command->stream);
    if (mix != NULL)
        recorder_start_on(worker, command->object, &mix->taps, mix->rate, command->text, &command->tape);
    else if (left == NULL || (right == NULL && command->right != 0))
        refuse(worker, ENGINE_RECORDING_FAILED, 0, command->object);
    else
        recorder_start(worker, command->object, left, right, command->text, &command->tape);
}

/* Who plays takes the sounds over. */
static void play(struct worker *worker, struct stream *stream, struct command *command) {
    struct sounds *sounds = command->sounds;
    struct mix *mix = table_get(&worker->mixes, command->stream);
    if (mix == NULL && stream == NULL) {
        refuse(worker, ENGINE_PLAY_ENDED, command->stream, command->object);
        return;
    }
    command->sounds = NULL;
    if (mix != NULL)
        mix_play(mix, command->object, sounds);
    else
        player_start(stream, command->object, sounds);
}

static void carry_out(struct worker *worker, struct command *command) {
    struct stream *stream = table_get(&worker->streams, command->stream);
    struct mix *mix = stream == NULL ? table_get(&worker->mixes, command->stream) : NULL;
    switch (command->kind) {
    case COMMAND_OPEN:
        if (stream == NULL) {
            stream_open(worker, command->group, command->stream, command->pair);
            free(command->pair);
            command->pair = NULL; /* taken over */
        } else {
            atomic_fetch_add_explicit(&worker->refused, 1, memory_order_relaxed);
        }
        break;
    case COMMAND_SOUND:
        if (mix != NULL)
            mix_give_sound(mix, command->object, command->right, command->pointer);
        else
            player_sound(stream, command->object, command->right, command->pointer);
        command->pointer = NULL; /* taken over */
        break;
    case COMMAND_STOP_PLAYING:
        if (stream != NULL)
            player_stop(stream, command->object, "");
        else if (mix != NULL)
            mix_stop_playing(mix, command->object);
        break;
    case COMMAND_MOVE:
        move_depart(worker, command->group, command->object);
        break;
    case COMMAND_ADOPT:
        move_arrive(worker, command->move);
        command->move = NULL; /* taken over */
        break;
    case COMMAND_STOP:
        worker->stopping = true;
        break;
    case COMMAND_PLAY:
        play(worker, stream, command);
        break;
    case COMMAND_PAUSE_PLAYING:
    case COMMAND_SEEK_PLAYING:
    case COMMAND_SET_VOLUME:
        if (stream != NULL)
            change_play(stream, command);
        break;
    case COMMAND_RECORD:
        record(worker, stream, command);
        break;
    case COMMAND_PAUSE_RECORDING:
        recorder_pause(worker, command->object, command->first);
        break;
    case COMMAND_STOP_RECORDING:
    case COMMAND_TAPE_ENDED:
        recorder_stop(worker, command->object);
        break;
    default:
        if (stream != NULL)
            carry_out_for_stream(worker, stream, command);
        else
            refuse(worker, ENGINE_CLOSED, command->stream, 0);
        break;
    }
}

static void carry_out_commands(struct worker *worker) {
    bool opened = false;
    for (struct command *command = inbox_take(&worker->inbox), *next; command != NULL; command = next) {
        next = command->next;
        opened = opened || command->kind == COMMAND_OPEN;
        carry_out(worker, command);
        command_free(command);
    }
    if (opened)
        spares_fill(&worker->engine->spares, &worker->engine->ports);
}

/* A timerfd that is set when the next timer changes costs less than a timeout that the kernel sets up for every wait. */
static void set_alarm(struct worker *worker) {
    uint64_t next = timers_next(&worker->timers);
    if (next == worker->alarm_at)
        return;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(next / SECOND), .tv_nsec = (long)(next % SECOND)}};
    timerfd_settime(worker->alarm, TFD_TIMER_ABSTIME, &when, NULL);
    worker->alarm_at = next;
}

static void close_all(struct worker *worker) {
    for (struct stream *stream; (stream = table_any(&worker->streams)) != NULL;)
        stream_close(stream, "the engine was stopped");
}

/* Timers and commands come after the packets of a round: no endpoint that epoll has named is freed before its turn. */
static void *run(void *argument) {
    struct worker *worker = argument;
    struct epoll_event events[EVENTS_A_ROUND];
    while (!worker->stopping) {
        bool alarmed = false, commanded = false;
        set_alarm(worker);
        int count = epoll_wait(worker->epoll, events, EVENTS_A_ROUND, -1);
        worker->now = clock_now();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &worker->alarm)
                alarmed = true;
            else if (events[i].data.ptr == &worker->inbox)
                commanded = true;
            else
                endpoint_ready(worker, events[i].data.ptr, events[i].events);
        }
        if (alarmed) {
            uint64_t expirations;
            if (read(worker->alarm, &expirations, sizeof expirations) > 0)
                worker->alarm_at = 0;
            timers_fire(&worker->timers, worker->now);
        }
        if (commanded)
            carry_out_commands(worker);
    }
    close_all(worker);
    return NULL;
}

void worker_clear(struct worker *worker) {
    for (struct command *command = inbox_take(&worker->inbox), *next; command != NULL; command = next) {
        next = command->next;
        if (command->kind == COMMAND_ADOPT) {
            move_arrive(worker, command->move);
            command->move = NULL;
        }
        command_free(command);
    }
    close_all(worker);
}

void worker_destroy(struct worker *worker) {
    table_free(&worker->streams);
    table_free(&worker->recordings);
    table_free(&worker->mixes);
    timers_free(&worker->timers);
    inbox_destroy(&worker->inbox);
    if (worker->alarm >= 0)
        close(worker->alarm);
    if (worker->epoll >= 0)
        close(worker->epoll);
}

static bool watch(struct worker *worker, int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool worker_prepare(struct worker *worker, struct engine *engine) {
    memset(worker, 0, sizeof *worker);
    worker->engine = engine;
    worker->now = clock_now();
    worker->feeds = (uint64_t)(worker - engine->workers) << 26; /* distinct in the lower 32 bits too, which recordings keep */
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return inbox_init(&worker->inbox) && worker->epoll >= 0 && worker->alarm >= 0 &&
           watch(worker, worker->inbox.fd, &worker->inbox) && watch(worker, worker->alarm, &worker->alarm);
}

bool worker_start(struct worker *worker, struct engine *engine) {
    int fault = worker_prepare(worker, engine) ? thread_start(&worker->thread, "pbx-packets", run, worker) : errno;
    if (fault == 0)
        return true;
    worker_destroy(worker);
    errno = fault;
    return false;
}

void worker_stop(struct worker *worker) {
    struct command *command;
    while ((command = command_new(COMMAND_STOP, 0)) == NULL)
        usleep(1000);
    inbox_put(&worker->inbox, command);
    pthread_join(worker->thread, NULL);
}
