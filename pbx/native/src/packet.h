/* The way of a packet: received, judged, counted, rewritten, sent. Each step is a file of its own. */
#ifndef TANDEM_PACKET_H
#define TANDEM_PACKET_H

#include "stream.h"
#include "worker.h"

/* receive.c: a socket can be read, or has an error to tell; `events` are epoll's. */
void endpoint_ready(struct worker *worker, struct endpoint *endpoint, uint32_t events);
/* A datagram of any bytes; `data` is written over. */
void datagram_received(struct worker *worker, struct endpoint *endpoint, uint8_t *data, size_t length,
                       const struct address *from);
/* A packet of the source that is heard. */
void packet_accept(struct worker *worker, struct stream *stream, struct packet *packet);

/* source.c: whom to hear. A packet that is not plainly the next of the present source: true if it is to be accepted, and
   then what was held back before it has been. */
bool source_judge(struct worker *worker, struct stream *stream, const struct packet *packet, const uint8_t *data,
                  const struct address *from);
/* What is unsettled when a packet of the present source comes. */
void source_attend(struct worker *worker, struct stream *stream);
void source_set_remote(struct stream *stream, const struct remote *remote);
void source_forget(struct stream *stream);
/* Believe an address, and send to it. */
void source_lock(struct stream *stream, const struct address *address);
/* Whether RTCP of this address is the peer's; learns where the peer's RTCP is. */
bool source_reports(struct stream *stream, const struct address *from);
/* Packets missing so far, of all sources heard (RFC 3550 A.3). */
int64_t source_lost(const struct stream *stream);

/* send.c: the clean source. */
struct outgoing {
    uint8_t *payload;            /* with RTP_HEADER octets of room before it */
    size_t length;
    uint64_t feed;
    uint32_t timestamp, rate;    /* in the feed's own numbers */
    uint16_t sequence;
    uint8_t type;
    bool marker;
};
void send_packet(struct worker *worker, struct stream *to, const struct outgoing *outgoing);
/* Some packets of the feed were withheld: what comes next goes on behind what was sent last, for it is not lost. */
void send_afresh(struct stream *to);
/* A datagram as it is; false, and counted, when the system refuses it. */
bool send_datagram(struct stream *stream, int fd, const uint8_t *data, size_t length, const struct address *to);

/* opaque.c: a datagram of a stream that is relayed unread. */
void opaque_received(struct worker *worker, struct endpoint *endpoint, const uint8_t *data, size_t length,
                     const struct address *from);

/* rtcp.c */
void rtcp_received(struct worker *worker, struct stream *stream, const uint8_t *data, size_t length);
void rtcp_start(struct stream *stream);
void rtcp_bye(struct stream *stream);

#endif
