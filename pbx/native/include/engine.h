/*
 * The media engine's contract.
 *
 * The engine moves RTP on its own threads and knows no call, no signalling and no Python. A caller names everything by
 * numbers that it chooses itself and never uses twice: a *stream* is one RTP session of one leg (an even port for RTP and
 * the odd one above it for RTCP), a *play* and a *recording* are what their names say, and a *mix* is a conference: streams
 * that hear each other. A *group* is what may be connected to each other (a call); its number comes from
 * `engine_new_group`, and says which packet thread carries it. 0 names nothing.
 *
 * Commands only enqueue: they never block and never fail for what happens in the engine; they return 0, or a negative errno:
 * -ENOMEM, -EINVAL for arguments that break this contract, -EPIPE after `engine_stop`, -ENOTSUP for what the build lacks. Commands of one group are carried out in the order given, by the one packet thread that the group was
 * given to, so nothing on the way of a packet takes a lock. What comes of a command is told by an event. Any thread may
 * give commands; one thread at a time may drain events.
 *
 * Times are milliseconds, addresses numeric text (IPv4 or IPv6), ports in host order. Strings are copied.
 *
 * A command for a stream that is not open is answered by ENGINE_CLOSED with a reason (a play by ENGINE_PLAY_ENDED, a
 * recording by ENGINE_RECORDING_FAILED); stopping what has already ended is no fault and gives no event.
 */
#ifndef TANDEM_ENGINE_H
#define TANDEM_ENGINE_H

#include <stdint.h>

/* What follows down to the closing brace mark is read by cffi: declarations only. */
enum {
    ENGINE_ADDRESS_SIZE = 48,
    ENGINE_TEXT_SIZE = 160,
    ENGINE_CODECS = 16,         /* payload types that one stream may have */
    ENGINE_HEARERS = 8,         /* members of a mix that what one says may be kept to */
    ENGINE_KEY_SIZE = 46,       /* octets of the longest SRTP master key with its salt */
    ENGINE_SOUNDS = 256,        /* sounds that one play may have */
    ENGINE_SOFTEST = -60,       /* dB, of a play's volume */
    ENGINE_LOUDEST = 20,
    ENGINE_QUIETEST = -40, ENGINE_FULLEST = -6, /* dBov that speech may be brought to */
    ENGINE_SUPPRESSION = 60,    /* dB */
    ENGINE_SPARES = 16,         /* pairs of ports that may be kept bound at one address */
    ENGINE_SHORTEST_ECHO = 20, ENGINE_LONGEST_ECHO = 500 /* ms */
};

enum engine_suite { /* of SRTP: RFC 4568 6.2, RFC 6188, RFC 7714 */
    ENGINE_AES_CM_128_HMAC_SHA1_80 = 1,
    ENGINE_AES_CM_128_HMAC_SHA1_32,
    ENGINE_AES_256_CM_HMAC_SHA1_80,
    ENGINE_AES_256_CM_HMAC_SHA1_32,
    ENGINE_AEAD_AES_128_GCM,
    ENGINE_AEAD_AES_256_GCM
};

enum engine_refusal { /* of what is sent, as ICMP says */
    ENGINE_REFUSED_NOT,
    ENGINE_REFUSED_PORT,        /* nobody listens there */
    ENGINE_REFUSED_HOST,        /* no way to it */
    ENGINE_REFUSED_POLICY       /* a firewall */
};

enum engine_clamp { /* whether keys that are heard as tones are kept from the stream that theirs is connected to */
    ENGINE_CLAMP_NEVER,
    ENGINE_CLAMP_EVENTS,        /* where its peer takes telephone-events */
    ENGINE_CLAMP_ALWAYS
};
enum engine_format { ENGINE_WAV, ENGINE_FLAC, ENGINE_OGG_OPUS };

struct engine;

/* The functions of a libsrtp 2 that the caller has loaded and initialised. They return 0, or an error of srtp_err_status_t;
   packets are protected in place. */
struct engine_srtp {
    int (*create)(void **session, const void *policy);
    int (*dealloc)(void *session);
    int (*protect)(void *session, void *packet, int *size);
    int (*unprotect)(void *session, void *packet, int *size);
    int (*protect_rtcp)(void *session, void *packet, int *size);
    int (*unprotect_rtcp)(void *session, void *packet, int *size);
    int (*remove_stream)(void *session, unsigned int ssrc);
    int policy_size;            /* octets of its srtp_policy_t */
};

struct engine_options {
    int first_port, last_port;  /* the range that port pairs are drawn from, both inclusive */
    int drain;                  /* how long a closed pair is not used again */
    int spares;                 /* pairs kept bound for streams to come, at each address that streams were opened at */
    int workers;                /* packet threads; 0: one for each core */
    int writers;                /* threads that write recordings; 0: one for every four cores, at least one */
    int traffic_class;          /* the IP TOS octet of what is sent: 184 is DSCP EF */
    int report_interval;        /* between two RTCP reports of a stream, on average; 0: 5000 */
    int cache_mebibytes;        /* for sounds prepared for playing */
    int backlog_mebibytes;      /* for recorded packets that the disk has not taken yet; what comes beyond is a gap */
    const struct engine_srtp *srtp; /* must live as long as the engine; NULL: no SRTP */
};

/* Counts of one stream since it was opened. Packets and octets are of RTP; octets are of the UDP payload, without what SRTP
   adds to it. */
struct engine_counts {
    uint64_t received_packets, received_octets, sent_packets, sent_octets;
    int64_t lost;               /* RFC 3550 A.3 */
    double jitter;              /* ms, RFC 3550 A.8 */
    double round_trip;          /* ms, -1 unknown */
    int64_t remote_lost;        /* as the peer reports */
    double remote_jitter;       /* ms, as the peer reports */
    uint64_t rtcp_received, rtcp_sent;
    uint64_t stun_received;     /* STUN messages; none is answered yet */
    uint64_t dropped_stranger;  /* not from the peer's address */
    uint64_t dropped_source;    /* a second SSRC beside the one that is heard */
    uint64_t dropped_invalid;   /* neither RTP nor RTCP nor STUN as the RFCs allow them */
    uint64_t dropped_payload;   /* payload type not negotiated, here or on the other side */
    uint64_t dropped_late;      /* from before a change of source */
    uint64_t dropped_unconnected; /* good, but nowhere to go: no connection, muted, held, or a play in its place */
    uint64_t transcoded_packets; /* received, and decoded for the other side */
    uint64_t concealed;         /* ms of sound made up where packets to be decoded were lost */
    uint64_t dropped_overdue;   /* came too late to be decoded */
    double buffer_delay;        /* ms that sound waits to be decoded, now; 0 when nothing is decoded */
    uint64_t dropped_unauthentic; /* SRTP or SRTCP that the peer's key does not open */
    uint64_t dropped_replayed;  /* SRTP or SRTCP that came before, or is too old to tell */
    uint64_t processed;         /* ms of sound processed, see engine_process */
    uint64_t voiced;            /* ms of these that were speech */
    uint64_t send_errors;       /* refused by the operating system */
    uint64_t extended_received; /* extended reports (RFC 3611) of the peer */
    int remote_rating;          /* R factor of what the peer hears, as it says in them; -1 unknown */
    double remote_score;        /* the same as MOS-CQ; -1 unknown */
    uint64_t refused;           /* ICMP errors that came of RTP to the peer's address */
    uint64_t refused_rtcp;      /* the same of RTCP: many phones have none */
    uint64_t inspected;         /* packets of sound whose payload was looked at: one in 16 */
    uint64_t silent;            /* of these, of digital silence */
    uint64_t clipped;           /* of these, cut off at full scale (G.711 and L16) */
    int refusal;                /* the last one, enum engine_refusal */
    int payload_type;           /* of the last packet received, -1 none */
    int level;                  /* of what the peer says in its mix, dBov: 0 full, -127 silence; -128: it is in no mix */
    char source[ENGINE_ADDRESS_SIZE]; /* host:port that is heard, empty while nothing arrived */
    char stranger[ENGINE_ADDRESS_SIZE]; /* host:port of RTP that was dropped last as dropped_stranger; empty: none was */
};

/* Counts of the whole engine. */
struct engine_counters {
    uint64_t streams, ports_free, ports_ready, ports_draining; /* pairs; `ready`: bound for streams to come */
    uint64_t commands_refused;  /* named what does not exist */
    uint64_t events_dropped;    /* the caller did not drain */
    uint64_t recording_packets_dropped; /* the disk was too slow */
    uint64_t recordings, plays, mixes; /* running now */
    uint64_t sounds_failed;     /* could not be prepared for playing, or not to their end */
};

enum engine_event_kind {
    ENGINE_OPENED = 1,          /* stream: address, port, rtcp_port */
    ENGINE_LATCHED,             /* stream: address, port of the peer that is believed from here on */
    ENGINE_DIGIT,               /* stream: digit, milliseconds that it was pressed */
    ENGINE_PLAY_ENDED,          /* stream, object: milliseconds played; digit that stopped it, or 0; text: empty, or why it
                                   could not be */
    ENGINE_RECORDING_ENDED,     /* object: milliseconds, octets, sha256, gaps; text: empty, or why it is a WAV after all */
    ENGINE_RECORDING_BEHIND,    /* object: packets are missing in it, because the disk is too slow; told once */
    ENGINE_RECORDING_FINISHING, /* object: it is over, and being converted; again every second until it has ended */
    ENGINE_RECORDING_FAILED,    /* object: text */
    ENGINE_NO_MEDIA,            /* stream: milliseconds without a packet; again each time that so long has passed */
    ENGINE_STATISTICS,          /* stream: counts */
    ENGINE_ACTIVE_SPEAKER,      /* object, a mix: stream, who has the floor from here on (0: nobody talks), and its level */
    ENGINE_MOVED,               /* stream: the number that the group had; object: its number from here on */
    ENGINE_CLOSED               /* stream: counts; text: empty if closed by command, else the reason */
};

struct engine_event {
    enum engine_event_kind kind;
    uint64_t stream;
    uint64_t object;            /* the play or the recording */
    char address[ENGINE_ADDRESS_SIZE];
    int port, rtcp_port;
    char digit;
    int relayed;                /* the key goes on to whom the stream is connected to, as it came */
    int level;                  /* dBov */
    uint64_t milliseconds;
    uint64_t gaps;              /* ms of silence where packets were missing, of both sides; from the first moment to the last,
                                   but for pauses and while the peer is not expected to send */
    uint64_t octets;
    char sha256[65];            /* hexadecimal */
    char text[ENGINE_TEXT_SIZE];
    struct engine_counts counts;
};

struct engine_codec {
    int payload_type;
    const char *name;           /* as in a=rtpmap, compared without case */
    int rate;                   /* of the RTP clock */
    int channels;
    int repair;                 /* the peer can use what repairs losses (a=fmtp of Opus: useinbandfec) */
    int discontinuous;          /* nothing need be sent to the peer in silence (of Opus: usedtx) */
    int bit_rate;               /* the most that the peer wants, bits a second; 0: no matter */
};

struct engine_remote {
    const char *address;
    int port;                   /* 0: not known, send nothing */
    const char *rtcp_address;
    int rtcp_port;
    int rtcp_mux;
    int send;                   /* 0: the peer is on hold */
    int receive;                /* 0: the peer is not expected to send, the no-media clock stands */
    int latch;                  /* believe the address that media comes from, over the one said */
    int opaque;                 /* relay datagrams as they come, to a stream that is opaque too: video, text, T.38; no codecs */
    int packet_time;
    int no_media_timeout;       /* 0: never */
    int codec_count;
    const struct engine_codec *codecs; /* in order of preference */
};

struct engine_role {            /* in a mix */
    int mute;                   /* nobody hears it */
    int deaf;                   /* it hears nobody */
    int hearer_count;           /* 0: all hear it, else only the members named in `hearers` */
    const uint64_t *hearers;
};

struct engine_processing { /* of what a peer says; with nothing but zeros it is left as it is */
    int level;                  /* dBov that speech is brought to, ENGINE_QUIETEST to ENGINE_FULLEST; 0: as it is */
    int noise;                  /* dB that steady noise is suppressed by, up to ENGINE_SUPPRESSION */
    int echo;                   /* ms after which the echo of what the peer is sent is gone, ENGINE_SHORTEST_ECHO to
                                   ENGINE_LONGEST_ECHO; 0: it is not cancelled */
};

struct engine_key { /* what protects one direction of a stream */
    int suite;                  /* enum engine_suite */
    const uint8_t *key;         /* master key, then master salt */
    int key_size;
    const uint8_t *mki;         /* stands in each packet that is received (RFC 3711 3.1); what is sent has none */
    int mki_size;               /* 0: none */
};

/* What is played: sounds one after the other. A sound is the path of a file, with or without its suffix, or a tone
   (`tone:440+480/2000,0/4000`, see tone.h). */
struct engine_sounds {
    int count;
    const char *const *sounds;
    int loop;                   /* again from the first one after the last */
    int shared;                 /* whoever plays the same list hears the same place of it; goes with `loop` */
    int start;                  /* milliseconds into the first sound */
    int volume;                 /* dB, from ENGINE_SOFTEST to ENGINE_LOUDEST; 0 as it is */
    const char *stopped_by;     /* digits that end it when the peer begins to press one (RFC 4733) */
};

struct engine_tape {
    enum engine_format format;
    int mixed;                  /* both sides in one channel; else one channel a side */
    int maximum;                /* ms */
};

/* Life. `engine_create` returns NULL and fills `text` when it cannot be. `engine_stop` closes every stream, finishes every
   recording and joins all threads; events may still be drained after it. `engine_free` ends it all. */
struct engine *engine_create(const struct engine_options *options, char *text, int text_size);
void engine_stop(struct engine *engine);
void engine_free(struct engine *engine);

/* Readable (an eventfd) while events wait. `engine_drain` moves up to `room` of them out and returns how many. */
int engine_fileno(struct engine *engine);
int engine_drain(struct engine *engine, struct engine_event *events, int room);

void engine_read_counters(struct engine *engine, struct engine_counters *counters);
/* The names of the codecs that this build decodes and encodes, separated by spaces. */
const char *engine_codec_names(void);

/* Whether this build can process sound. */
int engine_processes(void);

/* Whether that libsrtp has a suite; may be asked without an engine. */
int engine_srtp_supports(const struct engine_srtp *srtp, int suite);

/* The number of a new group, on the packet thread that should carry it: calls are kept on few threads while these have
   room, because a thread that finds several packets at each waking spends less on each. */
uint64_t engine_new_group(struct engine *engine);
/* Which packet thread carries a group, counted from 0. */
int engine_thread(const struct engine *engine, uint64_t group);

/* Streams. A connection goes both ways and ends earlier ones of both; a stream connected to itself is an echo. */
int engine_open(struct engine *engine, uint64_t group, uint64_t stream, const char *address);
int engine_set_remote(struct engine *engine, uint64_t group, uint64_t stream, const struct engine_remote *remote);
/* SRTP from here on, or plain RTP again with `secured` 0. What the peer protects with, and what we do; NULL: that is not known
   yet, and nothing passes that way until it is. A key said again goes on as it is; with a new one of the peer's, the old one
   stays good until it is plain that the peer has changed; with `after_peer` a new one of ours waits for that too, a second at
   the longest. -EINVAL without a libsrtp, and for a key that does not fit. */
int engine_set_keys(struct engine *engine, uint64_t group, uint64_t stream, int secured, const struct engine_key *receive,
                    const struct engine_key *send, int after_peer);
int engine_connect(struct engine *engine, uint64_t group, uint64_t left, uint64_t right);
int engine_disconnect(struct engine *engine, uint64_t group, uint64_t stream);
int engine_mute(struct engine *engine, uint64_t group, uint64_t stream, int receive, int send);
/* Keys to the peer, `duration` milliseconds each: telephone-events (RFC 4733) where it takes these, else tones in the voice. */
int engine_send_digits(struct engine *engine, uint64_t group, uint64_t stream, const char *digits, int duration);
/* Hear keys as tones in the peer's voice too, or no more; -ENOTSUP in a build that can't. Keys that the stream which this one is
   connected to is told another way can be kept out of what goes to it (enum engine_clamp): that sound is decoded then, and comes
   40 ms later. */
int engine_hear_digits(struct engine *engine, uint64_t group, uint64_t stream, int on, int clamp);
/* The peer has pressed a key that came some other way (INFO): it ends what a key ends. No event tells of it. */
int engine_take_digit(struct engine *engine, uint64_t group, uint64_t stream, char digit);
/* What is done to what the peer says, wherever it is decoded, from here on; and its sound is decoded for it where it can be, so
   that nothing of it is merely relayed. -ENOTSUP if this build has no speexdsp: sound goes on as it is. */
int engine_process(struct engine *engine, uint64_t group, uint64_t stream, const struct engine_processing *processing);
int engine_query(struct engine *engine, uint64_t group, uint64_t stream);
int engine_close(struct engine *engine, uint64_t group, uint64_t stream);

/* Mixes. A mix begins with the first stream that joins, on that stream's packet thread, at a `rate` of 8000, 16000 or 48000 Hz,
   and ends with the last one that leaves or is closed. To join ends a stream's connection and its part in another mix. All
   members must be carried by one packet thread: `engine_move` brings a group, with all streams and recordings that belong to it, to
   the thread that carries `to`. Once ENGINE_MOVED has come, and not before, the group's commands are given under the number that it
   tells. What is played to the number of a mix, all its members hear; what is recorded of it is what all may hear. */
int engine_join(struct engine *engine, uint64_t group, uint64_t stream, uint64_t mix, int rate,
                const struct engine_role *role);
int engine_set_role(struct engine *engine, uint64_t group, uint64_t stream, const struct engine_role *role);
int engine_leave(struct engine *engine, uint64_t group, uint64_t stream);
int engine_move(struct engine *engine, uint64_t group, uint64_t to);

/* Sound. A play takes the place of what is relayed to the stream's peer; a new one ends the one before. While it is paused
   the peer hears nothing. `milliseconds` of a seek are counted from where it is, back if negative; beyond an end of a sound
   they go on in the one before or behind, as far as its length is known. */
int engine_play(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, const struct engine_sounds *sounds);
int engine_pause_playing(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, int paused);
int engine_seek_playing(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, int milliseconds);
int engine_set_volume(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, int decibels);
int engine_stop_playing(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play);

/* Recordings of what `left` and `right` receive; `right` 0: of `left` alone. It ends by command, after `maximum` (0: never), or
   when its streams are closed. While it runs it is a WAV, `path`.part, whatever its format shall be: a file whose header is
   true at every moment, in which what comes late still finds its place. One that can't be converted in the end, or that
   fails, stays a WAV: `path` with the suffix .wav. */
int engine_record(struct engine *engine, uint64_t group, uint64_t recording, uint64_t left, uint64_t right, const char *path,
                  const struct engine_tape *tape);
int engine_pause_recording(struct engine *engine, uint64_t group, uint64_t recording, int paused);
int engine_stop_recording(struct engine *engine, uint64_t group, uint64_t recording);
/* End of what cffi reads. */

#endif
