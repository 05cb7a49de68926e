#include "digits.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"
#include "packet.h"
#include "player.h"

static const char keys[] = "0123456789*#ABCD";

/* An event whose packets stop is over: its end packets were lost. */
#define END_LOST (150 * MILLISECOND)
/* "duration of 0xFFFF": a longer event goes on in a new segment (RFC 4733 2.5.1.3). */
#define SEGMENT 0xffffu
#define END_PACKETS 3
#define PAUSE_MILLISECONDS 60
#define VOLUME 10 /* -10 dBm0 */

/* -- reading */

static void tell(struct stream *stream) {
    struct key *key = &stream->key;
    struct worker *worker = stream->worker;
    timer_cancel(&worker->timers, &key->timer);
    key->told = true;
    struct event_node *node = event_new(ENGINE_DIGIT, stream->id, 0);
    if (node != NULL) {
        node->event.digit = keys[key->event];
        node->event.milliseconds = (uint64_t)(key->before + key->duration) * 1000 / key->rate;
    }
    outlet_put(&worker->engine->outlet, node);
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
    if (key->known && key->ssrc == packet->ssrc && step < 0)
        return; /* a late packet of an earlier key */
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

struct dialer {
    struct stream *stream;
    struct timer timer;
    char *digits;
    size_t at;
    uint32_t duration;           /* of each key, milliseconds */
    uint32_t elapsed;            /* of the present one */
    int ends;                    /* end packets sent of it */
    uint64_t due, feed;
    uint16_t sequence;
    uint32_t timestamp;          /* where the present one began */
};

static const struct codec_offer *event_codec(const struct stream *stream) {
    for (int i = 0; i < stream->codec_count; i++)
        if (stream->codecs[i].codec.format.kind == CODEC_EVENT)
            return &stream->codecs[i].codec;
    return NULL;
}

static void end_sending(struct stream *stream) {
    struct dialer *dialer = stream->dialer;
    timer_cancel(&stream->worker->timers, &dialer->timer);
    free(dialer->digits);
    free(dialer);
    stream->dialer = NULL;
    stream_update(stream);
}

static void send_event(struct stream *stream, const struct codec_offer *codec, bool end) {
    struct dialer *dialer = stream->dialer;
    uint8_t data[RTP_HEADER + 4], *payload = data + RTP_HEADER;
    uint64_t units = (uint64_t)dialer->elapsed * codec->format.clock / 1000;
    payload[0] = (uint8_t)(strchr(keys, dialer->digits[dialer->at]) - keys);
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
                                       .marker = dialer->elapsed == (uint32_t)stream->packet_time});
}

static void send_next(struct timer *timer, uint64_t now) {
    struct dialer *dialer = CONTAINER_OF(timer, struct dialer, timer);
    struct stream *stream = dialer->stream;
    const struct codec_offer *codec = event_codec(stream);
    uint32_t step = (uint32_t)stream->packet_time;
    (void)now;
    if (codec == NULL || dialer->digits[dialer->at] == '\0') {
        end_sending(stream);
        return;
    }
    if (dialer->elapsed + step < dialer->duration) {
        dialer->elapsed += step;
        send_event(stream, codec, false);
    } else {
        dialer->elapsed = dialer->duration;
        send_event(stream, codec, true);
        dialer->ends++;
    }
    dialer->due += (uint64_t)step * MILLISECOND;
    if (dialer->ends == END_PACKETS) {
        uint32_t whole = dialer->duration + (END_PACKETS - 1) * step + PAUSE_MILLISECONDS;
        dialer->timestamp += (uint32_t)((uint64_t)whole * codec->format.clock / 1000);
        dialer->due += (uint64_t)PAUSE_MILLISECONDS * MILLISECOND;
        dialer->elapsed = 0;
        dialer->ends = 0;
        dialer->at++;
    }
    timer_set(&stream->worker->timers, timer, dialer->due);
}

static char *append(char *digits, const char *more) {
    size_t length = digits == NULL ? 0 : strlen(digits), added = strlen(more);
    char *longer = realloc(digits, length + added + 1);
    if (longer == NULL)
        return NULL;
    for (size_t i = 0; i <= added; i++)
        longer[length + i] = (char)(more[i] >= 'a' ? more[i] - 'a' + 'A' : more[i]);
    return longer;
}

bool digits_send(struct stream *stream, const char *digits, int duration) {
    struct dialer *dialer = stream->dialer;
    struct worker *worker = stream->worker;
    if (event_codec(stream) == NULL)
        return false;
    char *longer = append(dialer == NULL ? NULL : dialer->digits, digits);
    if (longer == NULL)
        return false;
    if (dialer != NULL) {
        dialer->digits = longer;
        return true;
    }
    dialer = calloc(1, sizeof *dialer);
    if (dialer == NULL) {
        free(longer);
        return false;
    }
    *dialer = (struct dialer){.stream = stream,
                              .timer.fire = send_next,
                              .digits = longer,
                              .duration = (uint32_t)duration,
                              .due = worker->now,
                              .feed = ++worker->feeds};
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
