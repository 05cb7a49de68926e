#include "speaker.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "packet.h"

#define NARROW 8000

struct speaker {
    struct stream *stream;
    uint32_t rate;               /* of what is put */
    unsigned negotiation;        /* of the stream, that what follows comes from */
    bool fits;
    bool interrupts;             /* it takes the place of what is relayed */
    struct codec_offer codec;
    int packet_time;
    int16_t comfort;             /* payload type of comfort noise; -1: not negotiated */
    struct voice *voice;         /* NULL until something is put */
    uint32_t step;               /* of the timestamps */
    bool marker;                 /* the next packet comes after a silence */
    uint64_t feed;
    uint16_t sequence;
    uint32_t timestamp;
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

void speaker_interrupt(struct speaker *speaker) {
    speaker->interrupts = true;
}

void speaker_free(struct speaker *speaker) {
    if (speaker == NULL)
        return;
    voice_free(speaker->voice);
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

static bool is_like(const struct speaker *speaker, const struct voice *voice) {
    return voice->rate == speaker->rate &&
           voice_is(voice, &speaker->codec, speaker->comfort >= 0, speaker->packet_time);
}

/* What is negotiated now. Sound that waits for its packet to be full is let go when the codec changes. False if there is
   nothing that can be spoken. */
static bool negotiate(struct speaker *speaker) {
    struct stream *stream = speaker->stream;
    if (speaker->negotiation == stream->negotiation)
        return speaker->fits;
    const struct codec_offer *codec = choose(stream);
    speaker->negotiation = stream->negotiation;
    uint32_t clock = speaker->codec.format.clock;
    bool spoke = speaker->fits;
    speaker->fits = codec != NULL;
    if (codec == NULL)
        return false;
    speaker->codec = *codec;
    speaker->packet_time = codec_packet_time(&codec->format, stream->packet_time);
    speaker->comfort = comfort_type(stream, &codec->format);
    speaker->step = (uint32_t)(codec->format.clock * (uint32_t)speaker->packet_time / 1000);
    if (!spoke || clock != codec->format.clock)
        speaker->feed = ++stream->worker->feeds;
    if (speaker->voice != NULL && !is_like(speaker, speaker->voice)) {
        voice_free(speaker->voice);
        speaker->voice = NULL;
    }
    return true;
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
}

static void say(void *listener, enum uttered uttered, uint8_t *payload, size_t length) {
    struct speaker *speaker = listener;
    bool free = speaker->interrupts ? speaker->stream->can_send : speaker->stream->sendable;
    if (uttered != UTTERED_NOTHING && free)
        send_one(speaker, payload, length,
                 uttered == UTTERED_COMFORT ? speaker->comfort : speaker->codec.payload_type);
    speaker->marker = uttered != UTTERED_VOICE;
    speaker->timestamp += speaker->step;
}

void speaker_put(struct speaker *speaker, const int16_t *samples, size_t count, enum heard heard) {
    if (!negotiate(speaker))
        return;
    if (speaker->voice == NULL)
        speaker->voice = voice_new(&speaker->codec, speaker->comfort >= 0, speaker->packet_time, speaker->rate);
    if (speaker->voice == NULL)
        return;
    voice_expect_loss(speaker->voice, speaker->stream->report.loss);
    voice_put(speaker->voice, samples, count, heard, say, speaker);
}

struct voice *speaker_voice(struct speaker *speaker) {
    return negotiate(speaker) ? voice_new(&speaker->codec, speaker->comfort >= 0, speaker->packet_time, speaker->rate) : NULL;
}

bool speaker_has(struct speaker *speaker, const struct voice *voice) {
    return negotiate(speaker) && is_like(speaker, voice);
}

void speaker_say(struct speaker *speaker, enum uttered uttered, const uint8_t *payload, size_t length) {
    uint8_t data[RTP_HEADER + VOICE_ROOM];
    memcpy(data + RTP_HEADER, payload, length);
    say(speaker, uttered, data + RTP_HEADER, length);
}
