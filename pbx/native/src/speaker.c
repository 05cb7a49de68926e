#include "speaker.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "noise.h"
#include "packet.h"
#include "resample.h"

#define QUIET_PACKETS 3           /* of silence are sent before comfort noise takes their place */
#define DESCRIBE_MILLISECONDS 400 /* between two packets of comfort noise */
#define NARROW 8000

struct speaker {
    struct stream *stream;
    uint32_t rate;               /* of what is put */
    unsigned negotiation;        /* of the stream, that what follows comes from */
    bool fits;
    struct codec_offer codec;
    int16_t comfort;             /* payload type of comfort noise; -1: not negotiated */
    struct encoder *encoder;
    struct resampler *resampler; /* NULL: the encoder takes what is put */
    uint32_t own;                /* rate of the encoder */
    size_t frame, filled;        /* samples of a packet, and how many of them are there */
    uint32_t step;               /* of the timestamps */
    int loss;                    /* percent that the encoder was told of */
    unsigned quiet;              /* packets of silence in a row */
    unsigned described;          /* packets since the last one of comfort noise */
    bool voice;                  /* somebody speaks in the packet that is being filled */
    bool marker;                 /* the next packet comes after a silence */
    uint64_t feed;
    uint16_t sequence;
    uint32_t timestamp;
    int16_t *samples;            /* of the packet that is being filled */
};

static const struct codec_offer *choose(const struct stream *stream) {
    for (int i = 0; i < stream->codec_count; i++)
        if (codec_available(stream->codecs[i].codec.format.kind))
            return &stream->codecs[i].codec;
    return NULL;
}

bool speaker_fits(const struct stream *stream) {
    return choose(stream) != NULL;
}

uint32_t speaker_rate(const struct stream *stream) {
    const struct codec_offer *codec = choose(stream);
    uint32_t rate = codec == NULL ? NARROW : codec_rate(&codec->format);
    return rate <= NARROW ? NARROW : rate <= 16000 ? 16000 : 48000;
}

int speaker_packet_time(const struct stream *stream) {
    const struct codec_offer *codec = choose(stream);
    return codec == NULL ? stream->packet_time : codec_packet_time(&codec->format, stream->packet_time);
}

struct speaker *speaker_new(struct stream *stream, uint32_t rate) {
    struct speaker *speaker = calloc(1, sizeof *speaker);
    if (speaker == NULL)
        return NULL;
    speaker->stream = stream;
    speaker->rate = rate;
    speaker->negotiation = stream->negotiation - 1;
    return speaker;
}

bool speaker_speaks_to(const struct speaker *speaker, const struct stream *stream) {
    return speaker->stream == stream;
}

static void forget(struct speaker *speaker) {
    encoder_free(speaker->encoder);
    resampler_free(speaker->resampler);
    free(speaker->samples);
    speaker->encoder = NULL;
    speaker->resampler = NULL;
    speaker->samples = NULL;
    speaker->fits = false;
}

void speaker_free(struct speaker *speaker) {
    if (speaker == NULL)
        return;
    forget(speaker);
    free(speaker);
}

/* RFC 3389 4: comfort noise has the clock of the codec that it stands for. */
static int16_t comfort_type(const struct stream *stream, const struct codec_format *format) {
    bool own = format->kind == CODEC_OPUS || format->kind == CODEC_G729; /* these have silence of their own */
    for (int i = 0; !own && i < stream->codec_count; i++) {
        const struct codec_offer *codec = &stream->codecs[i].codec;
        if (codec->format.kind == CODEC_COMFORT && codec->format.clock == format->clock)
            return codec->payload_type;
    }
    return -1;
}

/* What is negotiated now. Sound that waits for its packet to be full is let go when the codec changes. */
static void renegotiate(struct speaker *speaker) {
    struct stream *stream = speaker->stream;
    const struct codec_offer *codec = choose(stream);
    speaker->negotiation = stream->negotiation;
    if (codec == NULL) {
        forget(speaker);
        return;
    }
    size_t milliseconds = (size_t)codec_packet_time(&codec->format, stream->packet_time);
    bool same = speaker->fits && codec_same(&codec->format, &speaker->codec.format) &&
                codec->repair == speaker->codec.repair && codec->discontinuous == speaker->codec.discontinuous &&
                codec->bit_rate == speaker->codec.bit_rate && speaker->own * milliseconds / 1000 == speaker->frame;
    speaker->codec = *codec;
    speaker->comfort = comfort_type(stream, &codec->format);
    if (same)
        return;
    forget(speaker);
    speaker->own = codec_own_rate(&codec->format, speaker->rate);
    speaker->frame = speaker->own * milliseconds / 1000;
    speaker->step = (uint32_t)(codec->format.clock * milliseconds / 1000);
    speaker->filled = speaker->quiet = 0;
    speaker->loss = 0;
    speaker->voice = false;
    speaker->feed = ++stream->worker->feeds;
    speaker->encoder = encoder_new(&codec->format, &(struct encoder_options){.rate = speaker->own,
                                                                            .band = speaker->rate,
                                                                            .live = true,
                                                                            .repair = codec->repair,
                                                                            .discontinuous = codec->discontinuous,
                                                                            .bit_rate = codec->bit_rate});
    if (speaker->own != speaker->rate)
        speaker->resampler = resampler_new(speaker->rate, speaker->own);
    speaker->samples = malloc(speaker->frame * sizeof *speaker->samples);
    speaker->fits = speaker->frame <= CODEC_SAMPLES && speaker->samples != NULL && speaker->encoder != NULL &&
                    (speaker->own == speaker->rate || speaker->resampler != NULL);
    if (!speaker->fits)
        forget(speaker);
}

static void send_one(struct speaker *speaker, uint8_t *payload, size_t length, int16_t type) {
    send_packet(speaker->stream->worker, speaker->stream,
                &(struct outgoing){.payload = payload,
                                   .length = length,
                                   .feed = speaker->feed,
                                   .timestamp = speaker->timestamp,
                                   .rate = speaker->codec.format.clock,
                                   .sequence = speaker->sequence++,
                                   .type = (uint8_t)type,
                                   .marker = speaker->marker && type == speaker->codec.payload_type});
    if (type == speaker->codec.payload_type)
        speaker->marker = false;
}

static void describe_noise(struct speaker *speaker, uint8_t *payload) {
    unsigned packets = (unsigned)(DESCRIBE_MILLISECONDS * speaker->own / 1000 / speaker->frame);
    speaker->marker = true;
    if (speaker->quiet > QUIET_PACKETS + 1 && ++speaker->described < packets)
        return;
    speaker->described = 0;
    payload[0] = noise_level(speaker->samples, speaker->frame);
    send_one(speaker, payload, 1, speaker->comfort);
}

static void send_voice(struct speaker *speaker, uint8_t *payload) {
    struct stream *stream = speaker->stream;
    if (stream->report.loss != speaker->loss)
        encoder_loss(speaker->encoder, speaker->loss = stream->report.loss);
    size_t length = encoder_run(speaker->encoder, speaker->samples, speaker->frame, payload);
    bool dark = speaker->codec.discontinuous && length <= 2; /* RFC 7587 3.1.3: need not be sent */
    if (length > 0 && !dark && stream->sendable)
        send_one(speaker, payload, length, speaker->codec.payload_type);
    speaker->marker = speaker->marker || dark;
}

static void packet_full(struct speaker *speaker) {
    uint8_t data[RTP_HEADER + CODEC_OCTETS], *payload = data + RTP_HEADER;
    speaker->quiet = speaker->voice ? 0 : speaker->quiet + 1;
    if (speaker->comfort >= 0 && speaker->quiet > QUIET_PACKETS) {
        if (speaker->stream->sendable)
            describe_noise(speaker, payload);
    } else {
        send_voice(speaker, payload);
    }
    speaker->timestamp += speaker->step;
    speaker->filled = 0;
    speaker->voice = false;
}

static void fill(struct speaker *speaker, const int16_t *samples, size_t count, bool voice) {
    for (size_t some; count > 0; samples += some, count -= some) {
        some = speaker->frame - speaker->filled < count ? speaker->frame - speaker->filled : count;
        memcpy(speaker->samples + speaker->filled, samples, some * sizeof *samples);
        speaker->filled += some;
        speaker->voice = speaker->voice || voice;
        if (speaker->filled == speaker->frame)
            packet_full(speaker);
    }
}

void speaker_put(struct speaker *speaker, const int16_t *samples, size_t count, enum heard heard) {
    int16_t own[CODEC_SAMPLES];
    if (speaker->negotiation != speaker->stream->negotiation)
        renegotiate(speaker);
    if (!speaker->fits)
        return;
    if (speaker->resampler != NULL) {
        count = resampler_run(speaker->resampler, samples, count, own, CODEC_SAMPLES);
        samples = own;
    }
    fill(speaker, samples, count, heard > HEARD_NOISE);
}
