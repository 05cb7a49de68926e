/*
 * Whom to hear. A source is an address and an SSRC.
 *
 * - The address that signalling said is believed at its first packet, always.
 * - With latching, another address is believed after PROBATION consecutive packets of one SSRC, as long as nothing is
 *   locked; then it is locked, and a stranger's packets are dropped.
 * - SetRemote opens the latch again, but one that repeats the address does so only if the peer has fallen silent.
 * - A locked peer whose NAT gave it another port proves itself by going on with its own SSRC and sequence, which a stranger
 *   off the path can't know, once the old address has fallen silent.
 * - A new SSRC, or a jump of the sequence, from the believed address is taken after two consecutive packets, so that
 *   further sources on one port don't disturb the one that is heard; at once when the present one is silent or said BYE.
 *
 * What is held back while it proves itself is not lost: it is passed on, in order, when the source is taken.
 */
#include <stdlib.h>

#include "clock.h"
#include "packet.h"
#include "random.h"

#define PROBATION 3
#define PROBATION_SAME_ADDRESS 2
#define CANDIDATE_LIFE (200 * MILLISECOND)
#define SILENT (200 * MILLISECOND)   /* the present source may be followed by another SSRC */
#define LOST (1000 * MILLISECOND)    /* the present source's address may have changed */
#define RELOCK (1000 * MILLISECOND)  /* how long after a change of address the old source must wait to be believed again */
#define REBIND_DROPOUT 500           /* packets that may be missing over a change of a NAT's port */

struct candidate {
    struct address address;
    uint32_t ssrc;
    uint16_t next;               /* sequence number awaited */
    int count;
    uint64_t at;
    struct {
        uint8_t *data;
        size_t length;
        uint64_t at;
    } held[PROBATION - 1];
};

static void free_candidate(struct candidate *candidate) {
    for (int i = 0; i < PROBATION - 1; i++)
        free(candidate->held[i].data);
    free(candidate);
}

static void drop_strangers(struct stream *stream, const struct address *from, uint64_t packets) {
    stream->counts.dropped_stranger += packets;
    stream->stranger = *from;
}

/* What it sent was never heard, and is counted. */
static void drop_candidate(struct stream *stream) {
    struct candidate *candidate = stream->candidate;
    if (candidate == NULL)
        return;
    if (address_same(&candidate->address, &stream->source))
        stream->counts.dropped_source += (uint64_t)candidate->count;
    else
        drop_strangers(stream, &candidate->address, (uint64_t)candidate->count);
    free_candidate(candidate);
    stream->candidate = NULL;
}

static void update_attention(struct stream *stream) {
    stream->attention = stream->candidate != NULL || !stream->locked || stream->told_silent;
}

void source_forget(struct stream *stream) {
    drop_candidate(stream);
    stream->source.length = 0;
    stream->rx.active = false;
}

int64_t source_lost(const struct stream *stream) {
    const struct receiver *rx = &stream->rx;
    if (rx->received == 0)
        return rx->lost_before;
    uint32_t expected = rx->cycles + rx->highest - rx->first + 1;
    return rx->lost_before + (int64_t)expected - rx->received;
}

void source_lock(struct stream *stream, const struct address *address) {
    stream->source = *address;
    stream->locked = true;
    stream->peer = *address;
    if (!address_same_host(address, &stream->said) && !stream->mux && stream->report.remote.length != 0) {
        /* Where a NAT maps RTCP is not known until some comes; the port above is the best guess (RFC 3550 11). */
        stream->report.remote = *address;
        address_set_port(&stream->report.remote, (address_port(address) + 1) & 0xffff);
    } else if (stream->mux) {
        stream->report.remote = *address;
    }
    if (!address_same(address, &stream->said) && !address_same(address, &stream->announced)) {
        stream->announced = *address;
        stream_tell(stream, ENGINE_LATCHED);
    }
    update_attention(stream);
    stream_update(stream);
}

/* RFC 3550 8.2: our own SSRC in use by the peer. Once; a peer that sends our own packets back would make us change forever. */
static void avoid_collision(struct stream *stream, uint32_t ssrc) {
    if (ssrc != stream->tx.ssrc || stream->collided)
        return;
    rtcp_bye(stream);
    stream->collided = true;
    stream->tx.ssrc = random_32();
    /* RFC 3550 6.4.1: these counts are "reset if the sender changes its SSRC identifier". */
    stream->tx.packets = stream->tx.octets = stream->report.packets_prior = 0;
}

static void start(struct worker *worker, struct stream *stream, const struct packet *packet) {
    struct receiver *rx = &stream->rx;
    int64_t lost = source_lost(stream);
    *rx = (struct receiver){.active = true,
                            .ssrc = packet->ssrc,
                            .highest = packet->sequence,
                            .first = packet->sequence,
                            .last = worker->now,
                            .feed = ++worker->feeds,
                            .lost_before = lost};
    stream->report.last_sr = 0; /* it was another's: nothing has come of this one */
    avoid_collision(stream, packet->ssrc);
}

/* Take a source: what is held of it first, then the packet at hand, which the caller accepts. */
static bool take(struct worker *worker, struct stream *stream, const struct packet *packet, const struct address *from) {
    struct receiver *rx = &stream->rx;
    struct candidate *candidate = stream->candidate;
    bool proven = candidate != NULL && candidate->ssrc == packet->ssrc && address_same(&candidate->address, from);
    if (!proven)
        drop_candidate(stream);
    stream->candidate = NULL;
    bool moved = !address_same(from, &stream->source);
    uint16_t step = (uint16_t)(packet->sequence - rx->highest);
    bool continues = moved && rx->active && rx->ssrc == packet->ssrc && step != 0 && step < REBIND_DROPOUT;
    if (moved || !stream->locked)
        source_lock(stream, from);
    struct packet first = *packet;
    if (proven && candidate->held[0].data != NULL)
        rtp_parse(&first, candidate->held[0].data, candidate->held[0].length);
    if (!continues)
        start(worker, stream, &first);
    uint64_t now = worker->now;
    for (int i = 0; proven && i < PROBATION - 1 && candidate->held[i].data != NULL; i++) {
        struct packet held;
        worker->now = candidate->held[i].at; /* as if it had not been held back */
        if (rtp_parse(&held, candidate->held[i].data, candidate->held[i].length))
            packet_accept(worker, stream, &held);
    }
    worker->now = now;
    if (proven)
        free_candidate(candidate);
    update_attention(stream);
    return true;
}

static void hold(struct candidate *candidate, const uint8_t *data, size_t length) {
    if (candidate->count > PROBATION - 1)
        return;
    uint8_t *copy = malloc(length);
    if (copy != NULL)
        memcpy(copy, data, length);
    candidate->held[candidate->count - 1].data = copy;
    candidate->held[candidate->count - 1].length = length;
    candidate->held[candidate->count - 1].at = candidate->at;
}

static bool drop_stranger(struct stream *stream, const struct address *from) {
    drop_strangers(stream, from, 1);
    return false;
}

/* Counts a packet of a source on probation; true once it has sent `needed` in a row. */
static bool prove(struct worker *worker, struct stream *stream, const struct packet *packet, const uint8_t *data,
                  const struct address *from, int needed) {
    struct candidate *candidate = stream->candidate;
    bool known = candidate != NULL && candidate->ssrc == packet->ssrc && address_same(&candidate->address, from);
    if (known && candidate->next == packet->sequence && worker->now - candidate->at < CANDIDATE_LIFE) {
        candidate->next++;
        candidate->at = worker->now;
        if (++candidate->count >= needed)
            return true;
        hold(candidate, data, packet->datagram);
        return false;
    }
    if (candidate != NULL && !known && worker->now - candidate->at < CANDIDATE_LIFE) {
        if (address_same(from, &stream->source))
            stream->counts.dropped_source++;
        else
            drop_strangers(stream, from, 1);
        return false;
    }
    drop_candidate(stream);
    candidate = stream->candidate = calloc(1, sizeof *candidate);
    if (candidate == NULL)
        return drop_stranger(stream, from);
    *candidate = (struct candidate){
        .address = *from, .ssrc = packet->ssrc, .next = (uint16_t)(packet->sequence + 1), .count = 1, .at = worker->now};
    hold(candidate, data, packet->datagram);
    update_attention(stream);
    return false;
}

bool source_judge(struct worker *worker, struct stream *stream, const struct packet *packet, const uint8_t *data,
                  const struct address *from) {
    struct receiver *rx = &stream->rx;
    if (!stream->remote_known)
        return drop_stranger(stream, from);
    bool heard = stream->source.length != 0;
    uint64_t silent = heard ? worker->now - rx->last : 0;
    if (heard && address_same(from, &stream->source)) {
        if (stream_codec(stream, packet->type) == NULL) {
            stream->counts.dropped_payload++;
            return false;
        }
        if (!rx->active || silent >= SILENT || prove(worker, stream, packet, data, from, PROBATION_SAME_ADDRESS))
            return take(worker, stream, packet, from);
        return false;
    }
    if (address_same(from, &stream->said))
        return take(worker, stream, packet, from);
    if (!stream->latch || stream_codec(stream, packet->type) == NULL || (stream->refreshed && heard && silent < LOST))
        return drop_stranger(stream, from);
    if (stream->locked) {
        uint16_t step = (uint16_t)(packet->sequence - rx->highest);
        bool same = packet->ssrc == rx->ssrc && step != 0 && step < REBIND_DROPOUT;
        if (!same || silent < LOST)
            return drop_stranger(stream, from);
    }
    return prove(worker, stream, packet, data, from, PROBATION) && take(worker, stream, packet, from);
}

void source_attend(struct worker *worker, struct stream *stream) {
    if (stream->candidate != NULL && address_same(&stream->candidate->address, &stream->source))
        drop_candidate(stream);
    if (!stream->locked && worker->now >= stream->relock_at)
        source_lock(stream, &stream->source);
    stream->told_silent = false;
    update_attention(stream);
}

void source_set_remote(struct stream *stream, const struct remote *remote) {
    bool same = stream->remote_known && address_same(&remote->rtp, &stream->said);
    bool reports_same = same && address_same(&remote->rtcp, &stream->said_rtcp);
    uint64_t now = stream->worker->now;
    drop_candidate(stream);
    stream->said = remote->rtp;
    stream->said_rtcp = remote->rtcp;
    stream->latch = remote->latch;
    stream->locked = false;
    if (stream->source.length != 0 && address_same(&stream->source, &stream->said)) {
        stream->locked = true;
        stream->peer = stream->said;
    } else if (!remote->latch) {
        source_forget(stream);
        stream->peer = stream->said;
    } else if (!same) {
        /* Another address was said: send there, and hear the old source only until a new one comes or plainly does not. */
        stream->peer = stream->said;
        stream->relock_at = now + RELOCK;
    } else {
        /* Nothing changed: whoever is heard is believed again at his next packet. */
        stream->relock_at = now;
    }
    stream->refreshed = same;
    if (!reports_same || stream->report.remote.length == 0 || stream->mux != remote->mux)
        stream->report.remote = remote->mux ? stream->peer : remote->rtcp;
    stream->mux = remote->mux;
    update_attention(stream);
}

bool source_reports(struct stream *stream, const struct address *from) {
    if (!stream->remote_known)
        return false;
    if (stream->source.length != 0 && address_same(from, &stream->source))
        return true;
    if (address_same(from, &stream->said_rtcp) || address_same(from, &stream->said))
        return true;
    if (address_same(from, &stream->report.remote))
        return true;
    if (!stream->latch || !stream->locked || !address_same_host(from, &stream->source))
        return false;
    if (!stream->mux)
        stream->report.remote = *from;
    return true;
}
