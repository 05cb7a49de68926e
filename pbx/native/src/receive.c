#include <errno.h>
#include <sys/epoll.h>

#include "clock.h"
#include "digits.h"
#include "ear.h"
#include "mix.h"
#include "packet.h"
#include "path.h"
#include "recorder.h"
#include "refusal.h"

/* RFC 3550 A.1 */
#define MAX_DROPOUT 3000
#define MAX_MISORDER 100
/* A timestamp that is further ahead than the clock by this is a new line, not a pause. */
#define MAX_AHEAD (2 * SECOND)

/* What a packet will touch, fetched while the kernel copies the packet: with a thousand streams it is in no cache. */
static void fetch(const struct stream *stream) {
    const char *at = (const char *)stream;
    for (size_t line = 64; line < offsetof(struct stream, codecs); line += 64)
        __builtin_prefetch(at + line, 1);
    at = (const char *)stream->relay;
    for (size_t line = 0; at != NULL && line < offsetof(struct stream, codecs); line += 64)
        __builtin_prefetch(at + line, 1);
}

void endpoint_ready(struct worker *worker, struct endpoint *endpoint, uint32_t events) {
    struct address from;
    if (events & EPOLLERR)
        refusal_read(endpoint);
    fetch(endpoint->stream);
    from.length = sizeof from.v6;
    ssize_t length = recvfrom(endpoint->fd, worker->buffer, sizeof worker->buffer, MSG_DONTWAIT | MSG_TRUNC, &from.any,
                              &from.length);
    if (length < 0) {
        if (errno != EAGAIN && errno != EINTR)
            refusal_read(endpoint); /* it came after epoll had looked */
        return;
    }
    if ((size_t)length > sizeof worker->buffer)
        endpoint->stream->counts.dropped_invalid++;
    else
        datagram_received(worker, endpoint, worker->buffer, (size_t)length, &from);
}

static bool follows(const struct receiver *rx, uint16_t sequence) {
    uint16_t step = (uint16_t)(sequence - rx->highest);
    return step < MAX_DROPOUT || step > 65535 - MAX_MISORDER;
}

void datagram_received(struct worker *worker, struct endpoint *endpoint, uint8_t *data, size_t length,
                       const struct address *from) {
    struct stream *stream = endpoint->stream;
    struct packet packet;
    if (stream->opaque) {
        opaque_received(worker, endpoint, data, length, from);
        return;
    }
    switch (protocol_of(data, length)) {
    case PROTOCOL_RTP:
        if (endpoint->rtcp || length < RTP_HEADER)
            break;
        if (stream->srtp != NULL && !srtp_unseal(worker, stream, data, &length, false))
            return;
        if (!rtp_parse(&packet, data, length))
            break;
        if (stream->rx.active && packet.ssrc == stream->rx.ssrc && address_same(from, &stream->source) &&
            follows(&stream->rx, packet.sequence)) {
            if (stream->attention)
                source_attend(worker, stream);
            packet_accept(worker, stream, &packet);
        } else if (source_judge(worker, stream, &packet, data, from)) {
            packet_accept(worker, stream, &packet);
        }
        return;
    case PROTOCOL_RTCP:
        if (length < RTCP_HEADER)
            break;
        if (stream->srtp != NULL && !srtp_unseal(worker, stream, data, &length, true))
            return;
        if (source_reports(stream, from))
            rtcp_received(worker, stream, data, length);
        else
            stream->counts.dropped_stranger++;
        return;
    case PROTOCOL_STUN:
        stream->counts.stun_received++;
        return;
    case PROTOCOL_UNKNOWN:
        break;
    }
    stream->counts.dropped_invalid++;
}

/* Loss, jitter and whether the source's timestamps go on in the line they were on. */
static void measure(struct worker *worker, struct receiver *rx, const struct packet *packet, const struct codec_format *format) {
    uint16_t step = (uint16_t)(packet->sequence - rx->highest);
    bool newer = step != 0 && step < MAX_DROPOUT;
    if (newer) {
        if (packet->sequence < rx->highest)
            rx->cycles += 65536;
        rx->highest = packet->sequence;
    }
    rx->received++;
    rx->last = worker->now;
    /* The timestamps of telephone-events stand still while a key is held (RFC 4733 2.2.1). */
    if (format == NULL || format->kind == CODEC_EVENT)
        return;
    uint32_t rate = format->clock;
    if (rx->rate == rate) {
        int32_t sent = (int32_t)(packet->timestamp - rx->timestamp);
        int64_t came = (int64_t)clock_units(worker->now - rx->at, rate);
        if (newer && (sent < 0 || sent > came + (int64_t)clock_units(MAX_AHEAD, rate))) {
            rx->feed = ++worker->feeds;
        } else {
            int64_t late = came - sent;
            uint64_t distance = (uint64_t)(late < 0 ? -late : late);
            if (distance < UINT32_MAX / 16)
                rx->jitter += (uint32_t)distance - ((rx->jitter + 8) >> 4);
        }
    } else {
        if (rx->rate != 0)
            rx->feed = ++worker->feeds;
        rx->rate = rate;
        rx->jitter = 0;
    }
    rx->timestamp = packet->timestamp;
    rx->at = worker->now;
}

static void pass_on(struct worker *worker, struct stream *stream, const struct packet *packet) {
    if (stream->member != NULL) {
        mix_take(stream, packet, &stream->current.format);
        return;
    }
    struct stream *to = stream->relay;
    const struct current *current = &stream->current;
    /* An ear that hears what goes on hears it also while nothing may go on: while the key before is told, for instance. */
    bool heard = stream->ear != NULL && ear_clamps(stream) && path_decodes(&current->way);
    if (to == NULL || ((!to->sendable || stream->mute_receive) && !heard)) {
        stream->counts.dropped_unconnected++;
        return;
    }
    current->way.path->carry(worker, stream, packet);
}

/* False when the payload type was not negotiated. */
static bool look_up(struct stream *stream, uint8_t type) {
    const struct negotiated *codec = stream_codec(stream, type);
    if (codec == NULL)
        return false;
    stream->current = (struct current){.format = codec->codec.format, .way = codec->way, .type = type};
    return true;
}

void packet_accept(struct worker *worker, struct stream *stream, struct packet *packet) {
    bool known = packet->type == stream->current.type || look_up(stream, packet->type);
    const struct codec_format *format = known ? &stream->current.format : NULL;
    stream->counts.received_packets++;
    stream->counts.received_octets += packet->datagram;
    stream->counts.payload_type = packet->type;
    measure(worker, &stream->rx, packet, format);
    if (!known) {
        stream->counts.dropped_payload++;
        return;
    }
    if (format->kind == CODEC_EVENT)
        digits_read(worker, stream, packet, format->clock);
    else if (stream->ear != NULL)
        ear_take(stream, packet);
    if (stream->counts.received_packets % INSPECT_EVERY == 0)
        inspect(&stream->inspection, packet, format);
    if (stream->taps != NULL && !stream->mute_receive)
        recorder_take(worker, &stream->taps, stream->rx.feed, packet, format);
    pass_on(worker, stream, packet);
}
