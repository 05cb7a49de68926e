#include <errno.h>

#include "clock.h"
#include "packet.h"

/* How far back of the newest packet a feed's own sequence number is still told from one before the feed began. */
#define BASE_DISTANCE 1000

bool send_datagram(struct stream *stream, int fd, const uint8_t *data, size_t length, const struct address *to) {
    /* The first call after an ICMP error fails by that error, whatever it would have sent; refusal.c counts it. */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (sendto(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, &to->any, to->length) >= 0)
            return true;
        if (errno == EAGAIN || errno == EMSGSIZE)
            break;
    }
    stream->counts.send_errors++;
    return false;
}

/* The peer must see one source: numbers go on by one, timestamps by the time that passed. */
static void change_feed(struct worker *worker, struct stream *to, const struct outgoing *out) {
    struct sender *tx = &to->tx;
    uint64_t passed = (uint64_t)to->packet_time * MILLISECOND;
    if (tx->started && worker->now > tx->at + passed)
        passed = worker->now - tx->at;
    tx->timestamp_offset = tx->timestamp + (uint32_t)clock_units(passed, out->rate) - out->timestamp;
    tx->sequence_offset = (uint16_t)(tx->sequence + 1 - out->sequence);
    tx->base = out->sequence;
    tx->feed = out->feed;
    tx->started = true;
}

void send_afresh(struct stream *to) {
    to->tx.feed = 0;
}

void send_packet(struct worker *worker, struct stream *to, const struct outgoing *out) {
    struct sender *tx = &to->tx;
    bool marker = out->marker;
    if (to->srtp != NULL)
        srtp_prepare(to);
    if (tx->feed != out->feed) {
        change_feed(worker, to, out);
        marker = true;
    }
    int16_t past_base = (int16_t)(out->sequence - tx->base);
    if (past_base < 0) {
        to->counts.dropped_late++;
        return;
    }
    if (past_base > 2 * BASE_DISTANCE)
        tx->base = (uint16_t)(out->sequence - BASE_DISTANCE);

    uint16_t sequence = (uint16_t)(out->sequence + tx->sequence_offset);
    uint32_t timestamp = out->timestamp + tx->timestamp_offset;
    const uint8_t *header = rtp_write(out->payload, out->type, marker, sequence, timestamp, tx->ssrc);
    size_t length = out->length + RTP_HEADER;
    if (to->srtp != NULL && (header = srtp_seal(to, header, &length, false)) == NULL)
        return;
    if (!send_datagram(to, to->rtp.fd, header, length, &to->peer))
        return;
    if ((int16_t)(sequence - tx->sequence) > 0)
        tx->sequence = sequence;
    if ((int32_t)(timestamp - tx->timestamp) > 0) {
        tx->timestamp = timestamp;
        tx->at = worker->now;
        tx->rate = out->rate;
    }
    tx->packets++;
    tx->octets += (uint32_t)out->length;
    to->counts.sent_packets++;
    to->counts.sent_octets += out->length + RTP_HEADER;
}
