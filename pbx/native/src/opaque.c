/* What is relayed as it comes: T.38's UDPTL, which is no RTP, and the RTP and RTCP of video and text, whose two ends speak
   to each other through us: their sequence numbers, feedback and reports are their own. */
#include "clock.h"
#include "packet.h"

/* A peer that has been silent for this long may have got another port from its NAT. */
#define MOVED (3 * SECOND)

/* True if `from` is the peer. There are no sequence numbers to judge by: the first source after a SetRemote is taken, and
   another one later only from the same host. */
static bool heard(struct worker *worker, struct stream *stream, const struct address *from) {
    struct receiver *rx = &stream->rx;
    if (!stream->remote_known)
        return false;
    bool same = stream->source.length != 0 && address_same(from, &stream->source);
    if (!same || !stream->locked) {
        bool said = address_same(from, &stream->said);
        bool moved = address_same_host(from, &stream->source) && worker->now - rx->last >= MOVED;
        if (!same && !said && !(stream->latch && (!stream->locked || moved)))
            return false;
        source_lock(stream, from);
    }
    rx->last = worker->now;
    stream->told_silent = false;
    return true;
}

static void forward(struct stream *stream, bool control, const uint8_t *data, size_t length) {
    struct stream *to = stream->relay;
    if (to == NULL || !to->opaque || !to->can_send || stream->mute_receive) {
        stream->counts.dropped_unconnected++;
        return;
    }
    bool apart = control && !to->mux;
    const struct address *peer = apart ? &to->report.remote : &to->peer;
    if (peer->length == 0) {
        stream->counts.dropped_unconnected++;
        return;
    }
    if (!send_datagram(to, apart ? to->rtcp.fd : to->rtp.fd, data, length, peer))
        return;
    if (control) {
        to->counts.rtcp_sent++;
        return;
    }
    to->counts.sent_packets++;
    to->counts.sent_octets += length;
}

void opaque_received(struct worker *worker, struct endpoint *endpoint, const uint8_t *data, size_t length,
                     const struct address *from) {
    struct stream *stream = endpoint->stream;
    bool control = endpoint->rtcp || (stream->mux && protocol_of(data, length) == PROTOCOL_RTCP);
    if (length == 0) {
        stream->counts.dropped_invalid++;
    } else if (endpoint->rtcp ? !source_reports(stream, from) : !heard(worker, stream, from)) {
        stream->counts.dropped_stranger++;
    } else {
        if (control) {
            stream->counts.rtcp_received++;
        } else {
            stream->counts.received_packets++;
            stream->counts.received_octets += length;
        }
        forward(stream, control, data, length);
    }
}
