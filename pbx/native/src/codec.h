/* What the engine knows of codecs: which there are, and sound to octets and back. Sound is mono, 16 bit. */
#ifndef TANDEM_CODEC_H
#define TANDEM_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec_kind {
    CODEC_OTHER = 0, /* relayed, never decoded */
    CODEC_PCMU,
    CODEC_PCMA,
    CODEC_G722,
    CODEC_OPUS,
    CODEC_L16,
    CODEC_G729,
    CODEC_EVENT,   /* telephone-event, RFC 4733 */
    CODEC_COMFORT, /* comfort noise, RFC 3389 */
    CODEC_KINDS
};

struct codec_format {
    uint8_t kind;
    uint8_t channels;
    uint32_t clock; /* Hz of the RTP timestamps */
};

enum {
    CODEC_SAMPLES = 5760,  /* the most that one packet decodes to: 120 ms at 48 kHz */
    CODEC_OCTETS = 8192    /* the most that one packet takes: 40 ms of 48 kHz stereo L16 and some */
};

/* The kind that an encoding name of a=rtpmap stands for, CODEC_OTHER if none that we know. */
enum codec_kind codec_named(const char *name);
/* Whether this build turns sound into this codec and back. */
bool codec_available(enum codec_kind kind);
/* Of the codecs that are available, separated by spaces. */
const char *codec_names(void);
/* Samples a second that sound has in this codec: that of its widest band, 48000 for Opus. */
uint32_t codec_rate(const struct codec_format *format);
/* The packet time nearest to the one wished that the codec can have, in milliseconds. */
int codec_packet_time(const struct codec_format *format, int wished);

/* The rate nearest to the one wished that a decoder or an encoder has by itself, without resampling. */
uint32_t codec_own_rate(const struct codec_format *format, uint32_t wished);
/* How long a payload lasts, in units of the RTP clock; 0 for one that is none. */
uint32_t codec_duration(const struct codec_format *format, const uint8_t *payload, size_t length);
static inline bool codec_same(const struct codec_format *a, const struct codec_format *b) {
    return a->kind == b->kind && a->clock == b->clock && a->channels == b->channels;
}

struct decoder;
/* To samples of `rate` Hz; NULL when it can't be. */
struct decoder *decoder_new(const struct codec_format *format, uint32_t rate);
/* How many samples (at most CODEC_SAMPLES, and then cut) a payload became; 0 for one that can't be decoded. */
size_t decoder_run(struct decoder *decoder, const uint8_t *payload, size_t length, int16_t *samples);
/* What the codec itself puts in place of `count` samples that were lost; returns how many it made, 0 if it has nothing. */
size_t decoder_conceal(struct decoder *decoder, int16_t *samples, size_t count);
/* The `count` samples before a payload, from what it carries of them (Opus' in-band FEC); 0 if it carries nothing. */
size_t decoder_recover(struct decoder *decoder, const uint8_t *payload, size_t length, int16_t *samples, size_t count);
void decoder_free(struct decoder *decoder);

struct encoder;
struct encoder_options {
    uint32_t rate;       /* Hz of the samples that it will be given: codec_rate(), or codec_own_rate() of another */
    uint32_t band;       /* the rate of the recording that they came from: no more need be kept; 0: `rate` */
    bool live;           /* a conversation: as little delay and work as can be */
    bool repair;         /* send what repairs losses along (Opus' in-band FEC) */
    bool discontinuous;  /* nothing need be sent in silence (Opus' DTX) */
    uint32_t bit_rate;   /* the most, bits a second; 0: no matter */
};
struct encoder *encoder_new(const struct codec_format *format, const struct encoder_options *options);
/* One packet's samples to octets, at most CODEC_OCTETS; 0 when it can't be. */
size_t encoder_run(struct encoder *encoder, const int16_t *samples, size_t count, uint8_t *payload);
/* How much of what is sent gets lost, in percent: Opus spends more on repair. */
void encoder_loss(struct encoder *encoder, int percent);
void encoder_free(struct encoder *encoder);

#endif
