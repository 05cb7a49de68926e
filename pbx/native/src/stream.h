/* One stream: two sockets, who is heard on them, what is sent from them. Owned by one packet thread. */
#ifndef TANDEM_STREAM_H
#define TANDEM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/engine.h"
#include "address.h"
#include "inspect.h"
#include "queue.h"
#include "rtp.h"
#include "timer.h"

struct worker;
struct candidate;
struct dialer;
struct ear;
struct media_path;
struct member;
struct player;
struct processing;
struct srtp;
struct tap;
struct transcoder;

struct endpoint { /* what epoll hands back */
    struct stream *stream;
    int fd;
    bool rtcp;
};

struct way { /* how packets of a payload type get to the stream that this one is connected to; see path.h */
    const struct media_path *path;
    const uint8_t *translation;  /* octet by octet; NULL: as they are */
    uint8_t type;                /* payload type on the other side */
};

struct negotiated { /* a payload type of this stream */
    struct codec_offer codec;
    struct way way;
};

struct current { /* the payload type that came last, at hand */
    struct codec_format format;
    struct way way;
    uint8_t type;                /* 255: look it up */
};

struct receiver { /* the source that is heard: RFC 3550 A.1, A.3, A.8 */
    bool active;
    uint16_t highest;            /* sequence number */
    uint32_t ssrc;
    uint32_t cycles;             /* 65536 a wrap */
    uint32_t first;              /* sequence number */
    uint32_t received;
    uint32_t expected_prior, received_prior; /* at the last report */
    uint32_t timestamp, rate;    /* of the last packet of sound */
    uint32_t jitter;             /* in 1/16 of a timestamp unit */
    uint64_t at;                 /* when the last packet of sound arrived */
    uint64_t last;               /* when any packet was accepted */
    uint64_t feed;               /* names this source, and its timestamps' line, to whom it is relayed */
    int64_t lost_before;         /* of the sources heard earlier */
};

struct sender { /* the one clean source that the peer hears, whoever feeds it */
    bool started;
    uint16_t sequence;           /* highest sent */
    uint16_t sequence_offset;    /* what to add to the feed's own numbers */
    uint16_t base;               /* the feed's packets from before this one are not sent */
    uint32_t ssrc;
    uint32_t timestamp, rate;    /* highest sent, and its clock */
    uint32_t timestamp_offset;
    uint32_t packets, octets;    /* as sender reports count them: octets of payload */
    uint64_t at;                 /* when `timestamp` was sent */
    uint64_t feed;               /* who feeds */
};

struct report { /* RTCP with the peer */
    struct timer timer;
    struct address remote;       /* where RTCP goes; length 0: nowhere */
    uint32_t last_sr;            /* middle 32 bits of the NTP time of the peer's last sender report */
    uint64_t last_sr_at;
    uint32_t packets_prior;      /* sent before the last report of ours */
    int loss;                    /* percent of what is sent that the peer missed lately */
    char cname[17];
};

struct extended { /* reports, RFC 3611 */
    bool asked;                  /* the peer wants to know its round trip by them: it is told */
    bool metrics;                /* the peer sends VoIP metrics: it is sent ours */
    uint32_t ssrc, time;         /* who asked, and the middle of the NTP time that it said */
    uint64_t at;                 /* when */
    uint64_t received;
    uint8_t rating, score;       /* as the peer says, the score in tenths; 0 unknown */
};

struct refusals { /* ICMP errors of what was sent */
    uint64_t rtp, rtcp;
    enum engine_refusal last;    /* of RTP */
};

struct key { /* the telephone-event that is heard, or was last */
    bool known, told;
    bool relayed;                /* the peer of the stream that this one is connected to gets its packets */
    uint8_t event;
    uint32_t ssrc, timestamp, rate;
    uint32_t before, duration;   /* in timestamp units: of earlier segments, of this one */
    struct timer timer;          /* its packets stopped */
};

struct stream {
    /* What every packet touches comes first. */
    struct endpoint rtp, rtcp;
    struct srtp *srtp;           /* NULL: plain RTP */
    struct tap *taps;            /* recordings of what is received; NULL: none */
    struct member *member;       /* of a mix; NULL: it is in none */
    struct stream *relay;        /* where what is received goes */
    bool sendable;               /* relayed packets may be sent from here */
    bool can_send;               /* anything may: neither held nor muted, and the peer's address is known */
    bool attention;              /* a packet must go by source_attend first */
    bool opaque;                 /* datagrams are relayed as they come */
    bool mute_receive, mute_send;
    struct current current;
    struct address source;       /* who is heard */
    struct address peer;         /* whom RTP is sent to */
    struct receiver rx;
    struct sender tx;
    struct engine_counts counts;
    struct negotiated *codecs;   /* so many as were said: most streams have two */

    struct worker *worker;
    uint64_t id;
    uint64_t group;              /* without the part of its number that names the packet thread */
    struct address local;        /* of RTP */
    bool remote_known;           /* SetRemote came */
    bool send, receive, latch, locked, mux;
    bool told_silent, collided;
    bool refreshed;              /* the last SetRemote said the address that was said before */
    uint64_t relock_at;          /* a source from before the last SetRemote is believed again from then on */
    struct address said, said_rtcp, announced;
    struct address stranger;     /* whose RTP was dropped last */
    struct extended extended;
    struct refusals refusals;
    struct inspection inspection;
    struct candidate *candidate;
    struct report report;
    struct player *player;       /* NULL: none */
    struct dialer *dialer;       /* NULL: no digits to send */
    struct ear *ear;             /* hears keys in the voice that is received; NULL: nobody asked for it */
    struct transcoder *transcoder; /* of what is received; NULL: none runs */
    struct processing *processing; /* of what is received; NULL: none is asked for */
    uint64_t keyed_until;        /* the other side's key is relayed to the peer: nothing else may be sent before */
    struct key key;
    struct timer watch;          /* no media */
    uint64_t watch_from;
    int packet_time, no_media_timeout, codec_count;
    unsigned negotiation;        /* counts what SetRemote said */
};

/* What was agreed on for a payload type; NULL: nothing was. */
static inline const struct negotiated *stream_codec(const struct stream *stream, uint8_t type) {
    for (int i = 0; i < stream->codec_count; i++)
        if (stream->codecs[i].codec.payload_type == type)
            return &stream->codecs[i];
    return NULL;
}

/* Answered by an event, whatever comes. */
void stream_open(struct worker *worker, uint64_t group, uint64_t id, const struct pair *pair);
void stream_close(struct stream *stream, const char *reason);

/* False when memory is exhausted: then the stream must be closed. */
bool stream_set_remote(struct stream *stream, const struct remote *remote);
void stream_connect(struct stream *left, struct stream *right);
void stream_disconnect(struct stream *stream);
void stream_mute(struct stream *stream, bool receive, bool send);
/* False when memory is exhausted: then nothing is processed. */
bool stream_process(struct stream *stream, const struct engine_processing *wish);
/* Sound that is put to the peer, for whoever looks for its echo. */
void stream_refer(struct stream *stream, const int16_t *samples, size_t count, uint32_t rate);
/* To be called when what `sendable` depends on has changed. */
void stream_update(struct stream *stream);
void stream_counts(const struct stream *stream, struct engine_counts *counts);
void stream_tell(struct stream *stream, enum engine_event_kind kind);

#endif
