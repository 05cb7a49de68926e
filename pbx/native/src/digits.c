#include "digits.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"
#include "packet.h"
#include "player.h"
#include "speaker.h"

static const char keys[] = "0123456789*#ABCD";

/* An event whose packets stop is over: its end packets were lost. */
#define END_LOST (150 * MILLISECOND)
/* A packet of an earlier key may come so much later, in seconds of its timestamps; further back is another line of them. */
#define LATE 10
/* "duration of 0xFFFF": a longer event goes on in a new segment (RFC 4733 2.5.1.3). */
#define SEGMENT 0xffffu
#define END_PACKETS 3
#define PAUSE_MILLISECONDS 60
#define VOLUME 10 /* -10 dBm0 */
#define TONE_RATE 8000
#define TONE_LEVEL 7194.0 /* of each tone: -10 dBm0, of both -7 (a sine of 32767 is +3.17 dBm0) */

/* -- reading */

void digits_tell(struct stream *stream, char digit, uint64_t milliseconds, bool relayed) {
    struct event_node *node = event_new(ENGINE_DIGIT, stream->id, 0);
    if (node != NULL) {
        node->event.digit = digit;
        node->event.milliseconds = milliseconds;
        node->event.relayed = relayed;
    }
    outlet_put(&stream->worker->engine->outlet, node);
}

static void tell(struct stream *stream) {
    struct key *key = &stream->key;
    timer_cancel(&stream->worker->timers, &key->timer);
    key->told = true;
    digits_tell(stream, keys[key->event], (uint64_t)(key->before + key->duration) * 1000 / key->rate, key->relayed);
}

static void end_lost(struct timer *timer, uint64_t now) {
    (void)now;
    tell(CONTAINER_OF(timer, struct stream, key.timer));
}

static void read_event(struct worker *worker, struct stream *stream, const struct packet *packet, uint32_t timestamp,
                       const uint8_t *event, uint32_t rate) {
    struct key *key = &stream->key;
    uint32_t duration = get_16(event + 2);
    bool end = event[1] & 0x80;
    int32_t step = (int32_t)(timestamp - key->timestamp);
    if (event[0] >= sizeof keys - 1)
        return;
    if (key->known && key->ssrc == packet->ssrc && step < 0 && -(int64_t)step <= LATE * (int64_t)rate)
        return; /* of an earlier key */
    if (key->known && key->ssrc == packet->ssrc && step == 0 && key->event == event[0]) {
        if (key->told)
            return;
    } else if (key->known && !key->told && key->ssrc == packet->ssrc && key->event == event[0] && key->duration == SEGMENT &&
               step == (int32_t)SEGMENT) {
        key->before += SEGMENT;
        key->timestamp = timestamp;
        key->duration = 0;
    } else {
        if (key->known && !key->told)
            tell(stream);
        *key = (struct key){.known = true,
                            .event = event[0],
                            .relayed = stream->relay != NULL && stream->current.way.type < 128,
                            .ssrc = packet->ssrc,
                            .timestamp = timestamp,
                            .rate = rate,
                            .timer.fire = end_lost};
        player_key(stream, event[0]);
    }
    if (duration > key->duration)
        key->duration = duration;
    if (end)
        tell(stream);
    else
        timer_set(&worker->timers, &key->timer, worker->now + END_LOST);
}

void digits_read(struct worker *worker, struct stream *stream, const struct packet *packet, uint32_t rate) {
    uint32_t timestamp = packet->timestamp;
    /* RFC 4733 2.5.1.5: several events in a packet follow each other in time. */
    for (size_t at = 0; at + 4 <= packet->length; at += 4) {
        read_event(worker, stream, packet, timestamp, packet->payload + at, rate);
        timestamp += get_16(packet->payload + at + 2);
    }
}

/* -- sending */

struct pressed {
    char digit;
    uint16_t duration;           /* milliseconds */
};

struct dialer {
    struct stream *stream;
    struct timer timer;
    struct pressed *pressed;
    size_t count, at;
    uint32_t elapsed;            /* of the present one, milliseconds */
    int ends;                    /* end packets sent of it */
    uint64_t due, feed;
    uint16_t sequence;
    uint32_t timestamp;          /* where the present one began */
    struct speaker *speaker;     /* of tones; NULL: telephone-events */
    int packet_time;             /* of the speaker */
};

static const struct codec_offer *event_codec(const struct stream *stream) {
    for (int i = 0; i < stream->codec_count; i++)
        if (stream->codecs[i].codec.format.kind == CODEC_EVENT)
            return &stream->codecs[i].codec;
    return NULL;
}

bool digits_as_events(const struct stream *stream) {
    return event_codec(stream) != NULL;
}

static void end_sending(struct stream *stream) {
    struct dialer *dialer = stream->dialer;
    timer_cancel(&stream->worker->timers, &dialer->timer);
    speaker_free(dialer->speaker);
    free(dialer->pressed);
    free(dialer);
    stream->dialer = NULL;
    stream_update(stream);
}

static void send_event(struct stream *stream, const struct codec_offer *codec, bool marker, bool end) {
    struct dialer *dialer = stream->dialer;
    uint8_t data[RTP_HEADER + 4], *payload = data + RTP_HEADER;
    uint64_t units = (uint64_t)dialer->elapsed * codec->format.clock / 1000;
    payload[0] = (uint8_t)(strchr(keys, dialer->pressed[dialer->at].digit) - keys);
    payload[1] = (uint8_t)((end ? 0x80 : 0) | VOLUME);
    put_16(payload + 2, (uint16_t)(units > SEGMENT ? SEGMENT : units));
    if (stream->can_send)
        send_packet(stream->worker, stream,
                    &(struct outgoing){.payload = payload,
                                       .length = 4,
                                       .feed = dialer->feed,
                                       .timestamp = dialer->timestamp,
                                       .rate = codec->format.clock,
                                       .sequence = dialer->sequence++,
                                       .type = codec->payload_type,
                                       .marker = marker});
}

static void next_event(struct dialer *dialer, const struct codec_offer *codec) {
    struct stream *stream = dialer->stream;
    uint32_t step = (uint32_t)stream->packet_time, duration = dialer->pressed[dialer->at].duration;
    bool first = dialer->elapsed == 0;
    if (dialer->elapsed + step < duration) {
        dialer->elapsed += step;
        send_event(stream, codec, first, false);
    } else {
        dialer->elapsed = duration;
        send_event(stream, codec, first, true);
        dialer->ends++;
    }
    dialer->due += (uint64_t)step * MILLISECOND;
    if (dialer->ends == END_PACKETS) {
        uint32_t whole = duration + (END_PACKETS - 1) * step + PAUSE_MILLISECONDS;
        dialer->timestamp += (uint32_t)((uint64_t)whole * codec->format.clock / 1000);
        dialer->due += (uint64_t)PAUSE_MILLISECONDS * MILLISECOND;
        dialer->elapsed = 0;
        dialer->ends = 0;
        dialer->at++;
    }
}

/* The sample of a key's two tones (ITU-T Q.23), `at` samples after it began; 0 in the pause behind it. */
static int16_t sample_of(const struct pressed *pressed, uint32_t at) {
    static const char pad[] = "123A456B789C*0#D";
    static const int low[] = {697, 770, 852, 941}, high[] = {1209, 1336, 1477, 1633};
    if (at >= (uint32_t)pressed->duration * TONE_RATE / 1000)
        return 0;
    ptrdiff_t place = strchr(pad, pressed->digit) - pad;
    double seconds = (double)at / TONE_RATE;
    return (int16_t)lrint(TONE_LEVEL * (sin(2 * M_PI * low[place / 4] * seconds) + sin(2 * M_PI * high[place % 4] * seconds)));
}

static void next_tones(struct dialer *dialer) {
    int16_t samples[TONE_RATE * LISTENER_MOST_MILLISECONDS / 1000];
    size_t count = (size_t)TONE_RATE * (size_t)dialer->packet_time / 1000;
    uint32_t at = dialer->elapsed; /* in samples, here */
    for (size_t i = 0; i < count; i++) {
        bool more = dialer->at < dialer->count;
        samples[i] = more ? sample_of(&dialer->pressed[dialer->at], at++) : 0;
        if (more && at >= (uint32_t)(dialer->pressed[dialer->at].duration + PAUSE_MILLISECONDS) * TONE_RATE / 1000) {
            dialer->at++;
            at = 0;
        }
    }
    dialer->elapsed = at;
    speaker_put(dialer->speaker, samples, count, HEARD_VOICE);
    dialer->due += (uint64_t)dialer->packet_time * MILLISECOND;
}

static void send_next(struct timer *timer, uint64_t now) {
    struct dialer *dialer = CONTAINER_OF(timer, struct dialer, timer);
    const struct codec_offer *codec = event_codec(dialer->stream);
    (void)now;
    if (dialer->at == dialer->count || (dialer->speaker == NULL && codec == NULL)) {
        end_sending(dialer->stream);
        return;
    }
    if (dialer->speaker != NULL)
        next_tones(dialer);
    else
        next_event(dialer, codec);
    timer_set(&dialer->stream->worker->timers, timer, dialer->due);
}

static bool append(struct dialer *dialer, const char *more, int duration) {
    size_t added = strlen(more);
    struct pressed *longer = realloc(dialer->pressed, (dialer->count + added) * sizeof *longer);
    if (longer == NULL)
        return false;
    for (size_t i = 0; i < added; i++) {
        char digit = (char)(more[i] >= 'a' ? more[i] - 'a' + 'A' : more[i]);
        longer[dialer->count++] = (struct pressed){.digit = digit, .duration = (uint16_t)duration};
    }
    dialer->pressed = longer;
    return true;
}

static void drop(struct dialer *dialer) {
    speaker_free(dialer->speaker);
    free(dialer->pressed);
    free(dialer);
}

bool digits_send(struct stream *stream, const char *digits, int duration) {
    struct dialer *dialer = stream->dialer;
    struct worker *worker = stream->worker;
    bool tones = event_codec(stream) == NULL;
    if (tones && !speaker_fits(stream))
        return false;
    if (dialer != NULL || *digits == '\0')
        return *digits == '\0' || append(dialer, digits, duration);
    dialer = calloc(1, sizeof *dialer);
    if (dialer == NULL)
        return false;
    *dialer = (struct dialer){.stream = stream,
                              .timer.fire = send_next,
                              .due = worker->now,
                              .feed = ++worker->feeds,
                              .packet_time = speaker_packet_time(stream)};
    if (tones && (dialer->speaker = speaker_new(stream, TONE_RATE)) != NULL)
        speaker_interrupt(dialer->speaker);
    if ((tones && dialer->speaker == NULL) || dialer->packet_time > LISTENER_MOST_MILLISECONDS ||
        !append(dialer, digits, duration)) {
        drop(dialer);
        return false;
    }
    stream->dialer = dialer;
    stream_update(stream);
    send_next(&dialer->timer, worker->now);
    return true;
}

struct timer *digits_timer(struct dialer *dialer) {
    return &dialer->timer;
}

void digits_end(struct stream *stream) {
    if (stream->key.known && !stream->key.told)
        tell(stream);
    if (stream->dialer != NULL)
        end_sending(stream);
}
