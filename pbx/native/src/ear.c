#include "ear.h"

#include <stdlib.h>

#include "clamp.h"
#include "clock.h"
#include "digits.h"
#include "engine_private.h"
#include "listener.h"
#include "path.h"
#include "player.h"
#include "resample.h"

#ifdef HAVE_SPANDSP

#include <spandsp.h>

enum { RATE = CLAMP_RATE, TURN_MILLISECONDS = 20, TURN = RATE * TURN_MILLISECONDS / 1000 };
/* The detector looks at blocks. Two that agree are a key, which began within the block before them at the earliest; two that
   don't end it, within the first of them at the latest. */
enum { BLOCK = 102, BEGAN = 3 * BLOCK, ENDED = BLOCK };
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
    enum engine_clamp wanted;
    struct clamp *clamp;         /* of the sound that goes on; NULL: none does, or it is not clamped */
    struct resampler *narrow;    /* of that sound; NULL: it has the detector's rate */
    uint32_t rate;               /* of that sound */
    int64_t origin;              /* `heard` when the clamp began, and by how much what is heard is later */
};

/* The detector says that a key is pressed, or with a code of 0 that it has been let go. */
static void report(void *data, int code, int level, int delay) {
    struct ear *ear = data;
    (void)level, (void)delay;
    if (ear->digit != '\0' && code != ear->digit) {
        uint64_t milliseconds = (ear->heard - ear->began) * 1000 / RATE;
        digits_tell(ear->stream, ear->digit, milliseconds, false);
        ear->digit = '\0';
        if (ear->clamp != NULL)
            clamp_end(ear->clamp, (int64_t)ear->heard - ear->origin - ENDED);
    }
    if (code != 0 && ear->digit == '\0') {
        ear->digit = (char)code;
        ear->began = ear->heard;
        if (ear->clamp != NULL)
            clamp_begin(ear->clamp, (int64_t)ear->heard - ear->origin - BEGAN);
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
    ear_rest(stream);
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

void ear_clamp(struct stream *stream, int clamp) {
    if (stream->ear == NULL || stream->ear->wanted == (enum engine_clamp)clamp)
        return;
    stream->ear->wanted = (enum engine_clamp)clamp;
    path_choose(stream);
}

bool ear_clamps(const struct stream *stream) {
    const struct ear *ear = stream->ear;
    const struct stream *to = stream->relay;
    if (ear == NULL || to == NULL || to == stream)
        return false;
    return ear->wanted == ENGINE_CLAMP_ALWAYS || (ear->wanted == ENGINE_CLAMP_EVENTS && digits_as_events(to));
}

static bool clamp_at(struct ear *ear, uint32_t rate) {
    if (ear->clamp != NULL && ear->rate == rate)
        return true;
    ear_rest(ear->stream);
    ear->narrow = rate == RATE ? NULL : resampler_new(rate, RATE);
    size_t later = ear->narrow == NULL ? 0 : resampler_delay(ear->narrow);
    ear->clamp = clamp_new(rate, BEGAN + (uint32_t)later);
    ear->rate = rate;
    ear->origin = (int64_t)(ear->heard + later);
    if (ear->clamp != NULL && (rate == RATE || ear->narrow != NULL))
        return true;
    ear_rest(ear->stream);
    return false;
}

enum heard ear_run(struct stream *stream, int16_t *samples, size_t count, uint32_t rate, enum heard heard) {
    struct ear *ear = stream->ear;
    if (!ear_clamps(stream) || !clamp_at(ear, rate))
        return heard;
    if (ear->running)
        timer_cancel(&stream->worker->timers, &ear->timer);
    ear->running = false;
    int16_t fewer[RATE * LISTENER_MOST_MILLISECONDS / 1000 + 1];
    const int16_t *narrow = samples;
    size_t left = count;
    if (ear->narrow != NULL) {
        left = resampler_run(ear->narrow, samples, count, fewer, sizeof fewer / sizeof *fewer);
        narrow = fewer;
    }
    while (left > 0) { /* to where a block ends, so that it is known which one has told something */
        size_t piece = BLOCK - ear->heard % BLOCK;
        piece = piece < left ? piece : left;
        ear->heard += piece;
        dtmf_rx(ear->detector, narrow, (int)piece);
        narrow += piece;
        left -= piece;
    }
    return clamp_run(ear->clamp, samples, count, heard);
}

void ear_rest(struct stream *stream) {
    struct ear *ear = stream->ear;
    if (ear == NULL)
        return;
    report(ear, 0, 0, 0);
    clamp_free(ear->clamp);
    resampler_free(ear->narrow);
    ear->clamp = NULL;
    ear->narrow = NULL;
}

void ear_take(struct stream *stream, const struct packet *packet) {
    struct ear *ear = stream->ear;
    struct worker *worker = stream->worker;
    if (ear_clamps(stream) && path_decodes(&stream->current.way))
        return; /* it hears what goes on */
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

void ear_clamp(struct stream *stream, int clamp) {
    (void)stream, (void)clamp;
}

bool ear_clamps(const struct stream *stream) {
    (void)stream;
    return false;
}

enum heard ear_run(struct stream *stream, int16_t *samples, size_t count, uint32_t rate, enum heard heard) {
    (void)stream, (void)samples, (void)count, (void)rate;
    return heard;
}

void ear_rest(struct stream *stream) {
    (void)stream;
}

void ear_take(struct stream *stream, const struct packet *packet) {
    (void)stream, (void)packet;
}

struct timer *ear_timer(struct ear *ear) {
    (void)ear;
    return NULL;
}

#endif
