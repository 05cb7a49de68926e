/*
 * RTCP (RFC 3550 6): each leg has reports of its own, since each is an RTP session of its own. Nothing of the other leg's
 * passes. The CNAME is random and says nothing (RFC 7022 4.2).
 */
#include <stdio.h>

#include "clock.h"
#include "engine_private.h"
#include "packet.h"
#include "random.h"
#include "xr.h"

enum { TYPE_SR = 200, TYPE_RR = 201, TYPE_SDES = 202, TYPE_BYE = 203 };
enum { LEAST_INTERVAL = 10 }; /* ms */
enum { HEADER = 4, SENDER_INFO = 20, REPORT_BLOCK = 24, SDES_CNAME = 1, CNAME_LENGTH = 16 };

/* RFC 3550 6.2: the least interval, randomised to between half and one and a half of it; half as long at first. */
static uint32_t interval(const struct stream *stream) {
    int milliseconds = stream->worker->engine->options.report_interval;
    return milliseconds <= 0 ? 5000 : milliseconds < LEAST_INTERVAL ? LEAST_INTERVAL : (uint32_t)milliseconds;
}

static void set_header(uint8_t *at, unsigned count, uint8_t type, size_t length) {
    at[0] = (uint8_t)(0x80 | count);
    at[1] = type;
    put_16(at + 2, (uint16_t)(length / 4 - 1));
}

static size_t put_report_block(struct worker *worker, struct stream *stream, uint8_t *at) {
    struct receiver *rx = &stream->rx;
    struct report *report = &stream->report;
    uint32_t extended = rx->cycles + rx->highest, expected = extended - rx->first + 1;
    /* RFC 3550 A.3 */
    int64_t lost = (int64_t)expected - rx->received;
    lost = lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost;
    uint32_t expected_interval = expected - rx->expected_prior;
    int64_t lost_interval = (int64_t)expected_interval - (int64_t)(rx->received - rx->received_prior);
    uint32_t fraction = 0;
    if (expected_interval != 0 && lost_interval > 0)
        fraction = (uint32_t)((lost_interval << 8) / expected_interval);
    rx->expected_prior = expected;
    rx->received_prior = rx->received;
    put_32(at, rx->ssrc);
    put_32(at + 4, (fraction > 255 ? 255 : fraction) << 24 | ((uint32_t)lost & 0xffffff));
    put_32(at + 8, extended);
    put_32(at + 12, rx->jitter >> 4);
    put_32(at + 16, report->last_sr);
    put_32(at + 20, report->last_sr == 0 ? 0 : (uint32_t)clock_units(worker->now - report->last_sr_at, 65536));
    return REPORT_BLOCK;
}

static size_t put_report(struct worker *worker, struct stream *stream, uint8_t *at) {
    struct sender *tx = &stream->tx;
    bool sending = tx->packets != stream->report.packets_prior;
    bool hearing = stream->rx.active && stream->rx.received > 0;
    size_t length = HEADER + 4;
    put_32(at + 4, tx->ssrc);
    if (sending) {
        uint64_t ntp = clock_ntp();
        put_32(at + 8, (uint32_t)(ntp >> 32));
        put_32(at + 12, (uint32_t)ntp);
        put_32(at + 16, tx->timestamp + (uint32_t)clock_units(worker->now - tx->at, tx->rate));
        put_32(at + 20, tx->packets);
        put_32(at + 24, tx->octets);
        length += SENDER_INFO;
    }
    if (hearing)
        length += put_report_block(worker, stream, at + length);
    set_header(at, hearing, sending ? TYPE_SR : TYPE_RR, length);
    stream->report.packets_prior = tx->packets;
    return length;
}

static size_t put_cname(struct stream *stream, uint8_t *at) {
    size_t length = HEADER + 4 + 2 + CNAME_LENGTH;
    put_32(at + 4, stream->tx.ssrc);
    at[8] = SDES_CNAME;
    at[9] = CNAME_LENGTH;
    memcpy(at + 10, stream->report.cname, CNAME_LENGTH);
    /* "The list of items ... is terminated by one or more null octets" up to the next 32-bit boundary. */
    do
        at[length++] = 0;
    while (length % 4 != 0);
    set_header(at, 1, TYPE_SDES, length);
    return length;
}

static void send_report(struct worker *worker, struct stream *stream, bool bye) {
    uint8_t data[128 + XR_MOST];
    size_t length = put_report(worker, stream, data);
    length += put_cname(stream, data + length);
    length += xr_put(worker, stream, data + length);
    if (bye) {
        set_header(data + length, 1, TYPE_BYE, 8);
        put_32(data + length + 4, stream->tx.ssrc);
        length += 8;
    }
    int fd = stream->mux ? stream->rtp.fd : stream->rtcp.fd;
    const uint8_t *report = data;
    if (stream->srtp != NULL)
        srtp_prepare(stream);
    if (stream->srtp != NULL && (report = srtp_seal(stream, data, &length, true)) == NULL)
        return;
    if (send_datagram(stream, fd, report, length, &stream->report.remote))
        stream->counts.rtcp_sent++;
}

static bool can_report(const struct stream *stream) {
    return stream->report.remote.length != 0 && address_port(&stream->report.remote) != 0 &&
           (stream->tx.started || stream->rx.received > 0);
}

static void report_due(struct timer *timer, uint64_t now) {
    struct stream *stream = CONTAINER_OF(timer, struct stream, report.timer);
    if (can_report(stream))
        send_report(stream->worker, stream, false);
    uint64_t wait = interval(stream) / 2 + random_32() % interval(stream);
    timer_set(&stream->worker->timers, timer, now + wait * MILLISECOND);
}

void rtcp_start(struct stream *stream) {
    struct report *report = &stream->report;
    snprintf(report->cname, sizeof report->cname, "%08x%08x", random_32(), random_32());
    report->timer.fire = report_due;
    uint64_t wait = interval(stream) / 4 + random_32() % (interval(stream) / 2 + 1);
    timer_set(&stream->worker->timers, &report->timer, stream->worker->now + wait * MILLISECOND);
}

void rtcp_bye(struct stream *stream) {
    /* RFC 3550 6.3.7: who never sent leaves without a BYE. */
    if (stream->tx.packets > 0 && can_report(stream))
        send_report(stream->worker, stream, true);
}

/* RFC 3550 A.2, of every packet of the compound: version, padding only in the last, lengths that add up, and room for what
   the type must hold. */
static bool compound_valid(const uint8_t *data, size_t length) {
    if (length % 4 != 0 || length < 8)
        return false;
    for (size_t at = 0; at < length;) {
        size_t count = data[at] & 0x1f, own = 4 * ((size_t)get_16(data + at + 2) + 1), least = HEADER;
        if (data[at] >> 6 != 2 || own > length - at)
            return false;
        if (data[at + 1] == TYPE_SR)
            least = HEADER + 4 + SENDER_INFO + count * REPORT_BLOCK;
        else if (data[at + 1] == TYPE_RR)
            least = HEADER + 4 + count * REPORT_BLOCK;
        else if (data[at + 1] == XR_TYPE)
            least = HEADER + 4;
        else if (data[at + 1] == TYPE_BYE)
            least = HEADER + 4 * count;
        if (own < least)
            return false;
        if (data[at] & 0x20) {
            size_t padding = data[at + own - 1];
            if (at + own != length || padding == 0 || padding % 4 != 0 || padding > own - least)
                return false;
        }
        at += own;
    }
    return true;
}

/* What the peer says of what we send. */
static void read_report_blocks(struct stream *stream, const uint8_t *at, size_t count) {
    for (; count > 0; count--, at += REPORT_BLOCK) {
        if (get_32(at) != stream->tx.ssrc)
            continue;
        uint32_t lost = get_32(at + 4) & 0xffffff, last_sr = get_32(at + 16);
        stream->report.loss = (int)(at[4] * 100u / 256);
        stream->counts.remote_lost = lost & 0x800000 ? (int64_t)lost - 0x1000000 : lost;
        if (stream->tx.rate != 0)
            stream->counts.remote_jitter = get_32(at + 12) * 1000.0 / stream->tx.rate;
        if (last_sr == 0)
            continue;
        /* RFC 3550 6.4.1: A - LSR - DLSR, in units of 1/65536 s. Negative by rounding on a fast network. */
        int32_t trip = (int32_t)((uint32_t)(clock_ntp() >> 16) - last_sr - get_32(at + 20));
        if (trip < 60 * 65536 && trip > -65536)
            stream->counts.round_trip = trip < 0 ? 0 : trip * 1000.0 / 65536;
    }
}

void rtcp_received(struct worker *worker, struct stream *stream, const uint8_t *data, size_t length) {
    if (!compound_valid(data, length)) {
        stream->counts.dropped_invalid++;
        return;
    }
    stream->counts.rtcp_received++;
    for (size_t at = 0; at < length; at += 4 * ((size_t)get_16(data + at + 2) + 1)) {
        size_t count = data[at] & 0x1f;
        switch (data[at + 1]) {
        case TYPE_SR:
            if (stream->rx.active && get_32(data + at + 4) == stream->rx.ssrc) {
                stream->report.last_sr = get_32(data + at + 10);
                stream->report.last_sr_at = worker->now;
            }
            read_report_blocks(stream, data + at + 8 + SENDER_INFO, count);
            break;
        case TYPE_RR:
            read_report_blocks(stream, data + at + 8, count);
            break;
        case XR_TYPE:
            xr_received(worker, stream, data + at, 4 * ((size_t)get_16(data + at + 2) + 1));
            break;
        case TYPE_BYE:
            /* The next packet of any SSRC from this address starts a source. */
            for (size_t i = 0; i < count; i++)
                if (stream->rx.active && get_32(data + at + HEADER + 4 * i) == stream->rx.ssrc)
                    stream->rx.active = false;
            break;
        default:
            break;
        }
    }
}
