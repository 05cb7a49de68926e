#include "ear.h"

#include <stdlib.h>

#include "clock.h"
#include "digits.h"
#include "engine_private.h"
#include "listener.h"
#include "player.h"

#ifdef HAVE_SPANDSP

#include <spandsp.h>

enum { RATE = 8000, TURN_MILLISECONDS = 20, TURN = RATE * TURN_MILLISECONDS / 1000 };
#define FIRST_TURN (10 * MILLISECOND)
#define TOO_LATE (200 * MILLISECOND) /* as after the machine slept: turns are not hurried after */
#define GIVE_UP_MILLISECONDS 5000    /* nothing came for so long: it goes on when something does */

struct ear {
    struct stream *stream;
    struct listener *listener;
    dtmf_rx_state_t *detector;
    struct timer timer;
    uint64_t due;
    uint64_t heard;              /* samples */
    uint64_t began;              /* where the key that is pressed began */
    int silent;                  /* milliseconds */
    bool running;
    char digit;                  /* '\0': none is pressed */
};

/* The detector says that a key is pressed, or with a code of 0 that it has been let go. */
static void report(void *data, int code, int level, int delay) {
    struct ear *ear = data;
    (void)level, (void)delay;
    if (ear->digit != '\0' && code != ear->digit) {
        uint64_t milliseconds = (ear->heard - ear->began) * 1000 / RATE;
        digits_tell(ear->stream, ear->digit, milliseconds, false);
        ear->digit = '\0';
    }
    if (code != 0 && ear->digit == '\0') {
        ear->digit = (char)code;
        ear->began = ear->heard;
        player_key(ear->stream, (unsigned)digit_event(ear->digit));
    }
}

static void take_turn(struct timer *timer, uint64_t now) {
    struct ear *ear = CONTAINER_OF(timer, struct ear, timer);
    int16_t samples[TURN];
    enum heard heard = listener_take(ear->listener, samples, TURN, now);
    ear->heard += TURN;
    dtmf_rx(ear->detector, samples, TURN);
    ear->silent = heard == HEARD_NOTHING ? ear->silent + TURN_MILLISECONDS : 0;
    if (ear->silent > GIVE_UP_MILLISECONDS) {
        ear->running = false;
        return;
    }
    ear->due += TURN_MILLISECONDS * MILLISECOND;
    if (now > ear->due + TOO_LATE)
        ear->due = now;
    timer_set(&ear->stream->worker->timers, timer, ear->due);
}

static void close_ear(struct stream *stream) {
    struct ear *ear = stream->ear;
    if (ear == NULL)
        return;
    report(ear, 0, 0, 0);
    timer_cancel(&stream->worker->timers, &ear->timer);
    listener_free(ear->listener);
    if (ear->detector != NULL)
        dtmf_rx_free(ear->detector);
    free(ear);
    stream->ear = NULL;
}

bool ear_available(void) {
    return true;
}

bool ear_listen(struct stream *stream, bool on) {
    if (on == (stream->ear != NULL))
        return true;
    if (!on) {
        close_ear(stream);
        return true;
    }
    struct ear *ear = calloc(1, sizeof *ear);
    if (ear == NULL)
        return false;
    stream->ear = ear;
    ear->stream = stream;
    ear->timer.fire = take_turn;
    ear->listener = listener_new(RATE);
    ear->detector = dtmf_rx_init(NULL, NULL, NULL);
    if (ear->listener == NULL || ear->detector == NULL) {
        close_ear(stream);
        return false;
    }
    dtmf_rx_set_realtime_callback(ear->detector, report, ear);
    return true;
}

void ear_take(struct stream *stream, const struct packet *packet) {
    struct ear *ear = stream->ear;
    struct worker *worker = stream->worker;
    listener_put(ear->listener, packet, &stream->current.format, worker->now);
    if (ear->running)
        return;
    ear->due = worker->now + FIRST_TURN;
    ear->silent = 0;
    ear->running = timer_set(&worker->timers, &ear->timer, ear->due);
}

struct timer *ear_timer(struct ear *ear) {
    return &ear->timer;
}

#else

bool ear_available(void) {
    return false;
}

bool ear_listen(struct stream *stream, bool on) {
    (void)stream;
    return !on;
}

void ear_take(struct stream *stream, const struct packet *packet) {
    (void)stream, (void)packet;
}

struct timer *ear_timer(struct ear *ear) {
    (void)ear;
    return NULL;
}

#endif
