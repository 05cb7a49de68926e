#include "transcoder.h"

#include <stdlib.h>

#include "clock.h"
#include "ear.h"
#include "listener.h"
#include "packet.h"
#include "processing.h"
#include "speaker.h"

/* Directions take their turns at multiples of this, so that one waking serves many. */
#define GRID (5 * MILLISECOND)
#define FIRST_TURN (10 * MILLISECOND) /* after the first packet: as long as the listener waits at the least */
#define TOO_LATE (200 * MILLISECOND)  /* as after the machine slept: turns are not hurried after */
#define GIVE_UP_MILLISECONDS 5000     /* nothing came for so long: it starts again when something does */

struct transcoder {
    struct stream *from;
    struct listener *listener;
    struct speaker *speaker;
    struct timer timer;
    uint64_t due;
    uint32_t rate;
    int turn;                    /* milliseconds of sound that are taken at a time: a packet, or what is processed at once */
    int silent;                  /* milliseconds */
};

/* No wider than the narrower side. */
static uint32_t rate_between(const struct stream *from) {
    uint32_t widest = 8000, peer = speaker_rate(from->relay);
    for (int i = 0; i < from->codec_count; i++) {
        const struct codec_format *format = &from->codecs[i].codec.format;
        uint32_t rate = codec_available(format->kind) ? codec_rate(format) : 0;
        if (rate > widest)
            widest = rate <= 16000 ? 16000 : 48000;
    }
    return widest < peer ? widest : peer;
}

/* Whole packets, but for processing, which has frames of its own; packets are filled all the same. */
static int turn_of(const struct stream *from) {
    int packet_time = speaker_packet_time(from->relay);
    if (from->processing == NULL)
        return packet_time;
    return packet_time % PROCESSING_LONG == 0 ? PROCESSING_LONG : PROCESSING_SHORT;
}

static void take_turn(struct timer *timer, uint64_t now) {
    struct transcoder *transcoder = CONTAINER_OF(timer, struct transcoder, timer);
    struct stream *from = transcoder->from, *to = from->relay;
    int16_t samples[48 * LISTENER_MOST_MILLISECONDS];
    size_t count = (size_t)transcoder->rate * (size_t)transcoder->turn / 1000;
    enum heard heard = listener_take(transcoder->listener, samples, count, now);
    heard = ear_run(from, samples, count, transcoder->rate, heard);
    if (from->processing != NULL)
        processing_run(from->processing, samples, count, transcoder->rate);
    if (!from->mute_receive)
        stream_refer(to, samples, count, transcoder->rate);
    if (now >= to->keyed_until && !from->mute_receive)
        speaker_put(transcoder->speaker, samples, count, heard);
    transcoder->silent = heard == HEARD_NOTHING ? transcoder->silent + transcoder->turn : 0;
    if (transcoder->silent > GIVE_UP_MILLISECONDS) {
        transcoder_stop(from);
        return;
    }
    transcoder->due += (uint64_t)transcoder->turn * MILLISECOND;
    if (now > transcoder->due + TOO_LATE)
        transcoder->due = now;
    timer_set(&from->worker->timers, timer, transcoder->due);
}

bool transcoder_start(struct stream *from) {
    struct worker *worker = from->worker;
    struct transcoder *transcoder = calloc(1, sizeof *transcoder);
    if (transcoder == NULL)
        return false;
    from->transcoder = transcoder;
    transcoder->from = from;
    transcoder->rate = rate_between(from);
    transcoder->turn = turn_of(from);
    transcoder->listener = listener_new(transcoder->rate);
    transcoder->speaker = speaker_new(from->relay, transcoder->rate);
    transcoder->timer.fire = take_turn;
    transcoder->due = ((worker->now + FIRST_TURN) / GRID + 1) * GRID;
    if (transcoder->listener != NULL && transcoder->speaker != NULL &&
        timer_set(&worker->timers, &transcoder->timer, transcoder->due))
        return true;
    transcoder_stop(from);
    return false;
}

void transcoder_stop(struct stream *from) {
    struct transcoder *transcoder = from->transcoder;
    if (transcoder == NULL)
        return;
    if (transcoder->listener != NULL)
        transcoder_count(from, &from->counts);
    from->counts.buffer_delay = 0;
    from->transcoder = NULL;
    ear_rest(from);
    timer_cancel(&from->worker->timers, &transcoder->timer);
    listener_free(transcoder->listener);
    speaker_free(transcoder->speaker);
    free(transcoder);
}

void transcoder_take(struct stream *from, const struct packet *packet) {
    listener_put(from->transcoder->listener, packet, &from->current.format, from->worker->now);
}

void transcoder_renegotiate(struct stream *from, bool needed) {
    struct transcoder *transcoder = from->transcoder;
    if (transcoder == NULL)
        return;
    if (!needed || transcoder->rate != rate_between(from) || !speaker_speaks_to(transcoder->speaker, from->relay))
        transcoder_stop(from);
    else
        transcoder->turn = turn_of(from);
}

void transcoder_count(const struct stream *from, struct engine_counts *counts) {
    if (from->transcoder == NULL)
        return;
    struct listener_counts heard;
    listener_counts(from->transcoder->listener, &heard);
    uint32_t rate = from->transcoder->rate;
    counts->transcoded_packets += heard.packets;
    counts->concealed += (heard.concealed + heard.recovered) * 1000 / rate;
    counts->dropped_overdue += heard.late + heard.overflowed;
    counts->buffer_delay = heard.delay * 1000.0 / rate;
}
