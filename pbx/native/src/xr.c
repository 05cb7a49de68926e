#include "xr.h"

#include "clock.h"
#include "packet.h"
#include "worker.h"

enum { RECEIVER_TIME = 4, DELAY_SINCE = 5, VOIP_METRICS = 7 };
enum { HEADER = 8, BLOCK = 4, RECEIVER_TIME_WORDS = 2, SUB_BLOCK = 12, VOIP_WORDS = 8 };
enum { UNKNOWN = 127, GAP_MINIMUM = 16 };

static uint32_t middle_of_ntp(void) {
    return (uint32_t)(clock_ntp() >> 16);
}

static void read_delays(struct stream *stream, const uint8_t *at, const uint8_t *end) {
    for (; at + SUB_BLOCK <= end; at += SUB_BLOCK) {
        uint32_t last = get_32(at + 4);
        if (get_32(at) != stream->tx.ssrc || last == 0)
            continue;
        /* As in RFC 3550 6.4.1; negative by rounding on a fast network. */
        int32_t trip = (int32_t)(middle_of_ntp() - last - get_32(at + 8));
        if (trip < 60 * 65536 && trip > -65536)
            stream->counts.round_trip = trip < 0 ? 0 : trip * 1000.0 / 65536;
    }
}

/* RFC 3611 4.7.5: 127 is unknown, other values beyond the scale are to be ignored. */
static void read_metrics(struct stream *stream, const uint8_t *at) {
    if (get_32(at) != stream->tx.ssrc)
        return;
    uint8_t rating = at[20], score = at[23];
    stream->extended.metrics = true;
    if (rating <= 100)
        stream->extended.rating = rating;
    if (score >= 10 && score <= 50)
        stream->extended.score = score;
}

void xr_received(struct worker *worker, struct stream *stream, const uint8_t *data, size_t length) {
    struct extended *extended = &stream->extended;
    extended->received++;
    for (size_t at = HEADER; at + BLOCK <= length;) {
        size_t words = get_16(data + at + 2), own = BLOCK + 4 * words;
        const uint8_t *content = data + at + BLOCK;
        if (own > length - at) {
            stream->counts.dropped_invalid++;
            return;
        }
        if (data[at] == RECEIVER_TIME && words == RECEIVER_TIME_WORDS) {
            extended->asked = true;
            extended->ssrc = get_32(data + 4);
            extended->time = get_32(content) << 16 | get_32(content + 4) >> 16;
            extended->at = worker->now;
        } else if (data[at] == DELAY_SINCE) {
            read_delays(stream, content, content + 4 * words);
        } else if (data[at] == VOIP_METRICS && words == VOIP_WORDS) {
            read_metrics(stream, content);
        }
        at += own;
    }
}

static uint8_t *put_block(uint8_t *at, uint8_t type, size_t words) {
    at[0] = type;
    at[1] = 0;
    put_16(at + 2, (uint16_t)words);
    return at + BLOCK;
}

static uint8_t *put_times(struct worker *worker, const struct extended *extended, uint8_t *at) {
    at = put_block(at, DELAY_SINCE, SUB_BLOCK / 4);
    put_32(at, extended->ssrc);
    put_32(at + 4, extended->time);
    put_32(at + 8, (uint32_t)clock_units(worker->now - extended->at, 65536));
    at = put_block(at + SUB_BLOCK, RECEIVER_TIME, RECEIVER_TIME_WORDS);
    uint64_t ntp = clock_ntp();
    put_32(at, (uint32_t)(ntp >> 32));
    put_32(at + 4, (uint32_t)ntp);
    return at + 4 * RECEIVER_TIME_WORDS;
}

/* What is not measured here is said to be unknown, or 0 where there is no such value: bursts, levels, echo, ratings. */
static uint8_t *put_metrics(const struct stream *stream, uint8_t *at) {
    const struct receiver *rx = &stream->rx;
    uint32_t expected = rx->cycles + rx->highest - rx->first + 1, received = rx->received;
    uint32_t lost = expected > received ? expected - received : 0;
    /* RFC 3611 4.7.1: "dividing the total number of packets lost ... by the total number of packets expected, multiplying the
       result ... by 256, limiting the maximum value to 255". */
    uint64_t share = expected == 0 ? 0 : (uint64_t)lost * 256 / expected;
    uint8_t loss = share > 255 ? 255 : (uint8_t)share;
    double trip = stream->counts.round_trip;
    at = put_block(at, VOIP_METRICS, VOIP_WORDS);
    memset(at, 0, 4 * VOIP_WORDS);
    put_32(at, rx->ssrc);
    at[4] = loss;
    at[7] = loss; /* of the gaps between bursts: there are none */
    put_16(at + 12, (uint16_t)(trip < 0 ? 0 : trip > 65535 ? 65535 : trip));
    at[16] = at[17] = at[18] = UNKNOWN;
    at[19] = GAP_MINIMUM;
    at[20] = at[21] = at[22] = at[23] = UNKNOWN;
    return at + 4 * VOIP_WORDS;
}

size_t xr_put(struct worker *worker, struct stream *stream, uint8_t *at) {
    const struct extended *extended = &stream->extended;
    uint8_t *end = at + HEADER;
    if (extended->asked)
        end = put_times(worker, extended, end);
    if (extended->metrics && stream->rx.active && stream->rx.received > 0)
        end = put_metrics(stream, end);
    size_t length = (size_t)(end - at);
    if (length == HEADER)
        return 0;
    at[0] = 0x80;
    at[1] = XR_TYPE;
    put_16(at + 2, (uint16_t)(length / 4 - 1));
    put_32(at + 4, stream->tx.ssrc);
    return length;
}
