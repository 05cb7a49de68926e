#include "codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifdef HAVE_OPUS
#include <opus.h>
#endif
#ifdef HAVE_SPANDSP
#include <spandsp.h>
#endif

#include "g711.h"
#include "resample.h"
#include "rtp.h"

static const struct {
    const char *name;
    bool available;
} codecs[CODEC_KINDS] = {
    [CODEC_PCMU] = {"PCMU", true},
    [CODEC_PCMA] = {"PCMA", true},
#ifdef HAVE_SPANDSP
    [CODEC_G722] = {"G722", true},
#else
    [CODEC_G722] = {"G722", false},
#endif
#ifdef HAVE_OPUS
    [CODEC_OPUS] = {"opus", true},
#else
    [CODEC_OPUS] = {"opus", false},
#endif
    [CODEC_L16] = {"L16", true},
    [CODEC_EVENT] = {"telephone-event", false},
    [CODEC_COMFORT] = {"CN", false},
};

enum codec_kind codec_named(const char *name) {
    for (int kind = CODEC_OTHER + 1; kind < CODEC_KINDS; kind++)
        if (strcasecmp(name, codecs[kind].name) == 0)
            return (enum codec_kind)kind;
    return CODEC_OTHER;
}

bool codec_available(enum codec_kind kind) {
    return codecs[kind].available;
}

const char *codec_names(void) {
    static const char names[] = "PCMU PCMA L16"
#ifdef HAVE_SPANDSP
                                " G722"
#endif
#ifdef HAVE_OPUS
                                " opus"
#endif
        ;
    return names;
}

uint32_t codec_rate(const struct codec_format *format) {
    switch (format->kind) {
    case CODEC_G722:
        return 16000; /* its RTP clock is 8000 all the same, RFC 3551 4.5.2 */
    case CODEC_OPUS:
        return 48000;
    case CODEC_L16:
        return format->clock;
    default:
        return 8000;
    }
}

int codec_packet_time(const struct codec_format *format, int wished) {
    static const int of_opus[] = {10, 20, 40, 60};
    if (format->kind == CODEC_OPUS) {
        int best = of_opus[0];
        for (size_t i = 1; i < sizeof of_opus / sizeof *of_opus; i++)
            if (of_opus[i] <= wished)
                best = of_opus[i];
        return best;
    }
    int most = 60;
    if (format->kind == CODEC_L16) /* what an Ethernet frame takes */
        most = (int)(1400u * 1000u / (2u * format->channels * format->clock));
    wished = wished > most ? most : wished;
    return wished < 10 ? (most < 10 ? 5 : 10) : wished / 5 * 5;
}

struct decoder {
    struct codec_format format;
    uint32_t rate;
    struct resampler *resampler; /* NULL: the codec gives the rate wished */
#ifdef HAVE_SPANDSP
    g722_decode_state_t *g722;
#endif
#ifdef HAVE_OPUS
    OpusDecoder *opus;
#endif
};

/* The rate nearest to the one wished that the codec itself gives. */
static uint32_t own_rate(const struct codec_format *format, uint32_t wished) {
    if (format->kind == CODEC_G722)
        return wished == 8000 ? 8000 : 16000;
    if (format->kind == CODEC_OPUS)
        return wished == 8000 || wished == 12000 || wished == 16000 || wished == 24000 ? wished : 48000;
    return codec_rate(format);
}

struct decoder *decoder_new(const struct codec_format *format, uint32_t rate) {
    if (!codec_available(format->kind))
        return NULL;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    g711_fill_tables();
    decoder->format = *format;
    decoder->rate = rate;
    uint32_t own = own_rate(format, rate);
    bool good = own == rate || (decoder->resampler = resampler_new(own, rate)) != NULL;
#ifdef HAVE_SPANDSP
    if (format->kind == CODEC_G722)
        good = good && (decoder->g722 = g722_decode_init(NULL, 64000, own == 8000 ? G722_SAMPLE_RATE_8000 : 0)) != NULL;
#endif
#ifdef HAVE_OPUS
    int fault;
    if (format->kind == CODEC_OPUS)
        good = good && (decoder->opus = opus_decoder_create((opus_int32)own, 1, &fault)) != NULL;
#endif
    if (good)
        return decoder;
    decoder_free(decoder);
    return NULL;
}

static size_t from_l16(const struct codec_format *format, const uint8_t *payload, size_t length, int16_t *samples) {
    size_t channels = format->channels, count = length / (2 * channels);
    if (count > CODEC_SAMPLES)
        count = CODEC_SAMPLES;
    for (size_t i = 0; i < count; i++) {
        int sum = 0;
        for (size_t channel = 0; channel < channels; channel++)
            sum += (int16_t)get_16(payload + 2 * (i * channels + channel));
        samples[i] = (int16_t)(sum / (int)channels);
    }
    return count;
}

static size_t decode(struct decoder *decoder, const uint8_t *payload, size_t length, int16_t *samples) {
    switch (decoder->format.kind) {
    case CODEC_PCMU:
    case CODEC_PCMA: {
        const int16_t *table = decoder->format.kind == CODEC_PCMU ? g711_ulaw_samples : g711_alaw_samples;
        size_t count = length < CODEC_SAMPLES ? length : CODEC_SAMPLES;
        for (size_t i = 0; i < count; i++)
            samples[i] = table[payload[i]];
        return count;
    }
    case CODEC_L16:
        return from_l16(&decoder->format, payload, length, samples);
#ifdef HAVE_SPANDSP
    case CODEC_G722: {
        size_t most = CODEC_SAMPLES / 2;
        return (size_t)g722_decode(decoder->g722, samples, payload, (int)(length < most ? length : most));
    }
#endif
#ifdef HAVE_OPUS
    case CODEC_OPUS: {
        int count = opus_decode(decoder->opus, payload, (opus_int32)length, samples, CODEC_SAMPLES, 0);
        return count < 0 ? 0 : (size_t)count;
    }
#endif
    default:
        return 0;
    }
}

size_t decoder_run(struct decoder *decoder, const uint8_t *payload, size_t length, int16_t *samples) {
    if (length == 0)
        return 0;
    if (decoder->resampler == NULL)
        return decode(decoder, payload, length, samples);
    int16_t own[CODEC_SAMPLES];
    size_t count = decode(decoder, payload, length, own);
    return resampler_run(decoder->resampler, own, count, samples, CODEC_SAMPLES);
}

void decoder_free(struct decoder *decoder) {
    if (decoder == NULL)
        return;
    resampler_free(decoder->resampler);
#ifdef HAVE_SPANDSP
    if (decoder->g722 != NULL)
        g722_decode_free(decoder->g722);
#endif
#ifdef HAVE_OPUS
    if (decoder->opus != NULL)
        opus_decoder_destroy(decoder->opus);
#endif
    free(decoder);
}

struct encoder {
    struct codec_format format;
#ifdef HAVE_SPANDSP
    g722_encode_state_t *g722;
#endif
#ifdef HAVE_OPUS
    OpusEncoder *opus;
#endif
};

#ifdef HAVE_OPUS
static OpusEncoder *opus_encoder(uint32_t band) {
    int fault;
    OpusEncoder *opus = opus_encoder_create(48000, 1, OPUS_APPLICATION_AUDIO, &fault);
    if (opus == NULL)
        return NULL;
    opus_encoder_ctl(opus, OPUS_SET_BITRATE(band <= 8000 ? 16000 : band <= 16000 ? 28000 : 48000));
    opus_encoder_ctl(opus, OPUS_SET_MAX_BANDWIDTH(band <= 8000    ? OPUS_BANDWIDTH_NARROWBAND
                                                  : band <= 16000 ? OPUS_BANDWIDTH_WIDEBAND
                                                  : band <= 24000 ? OPUS_BANDWIDTH_SUPERWIDEBAND
                                                                  : OPUS_BANDWIDTH_FULLBAND));
    opus_encoder_ctl(opus, OPUS_SET_COMPLEXITY(5));
    return opus;
}
#endif

struct encoder *encoder_new(const struct codec_format *format, uint32_t band) {
    if (!codec_available(format->kind))
        return NULL;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NULL;
    encoder->format = *format;
    bool good = true;
    (void)band;
#ifdef HAVE_SPANDSP
    if (format->kind == CODEC_G722)
        good = (encoder->g722 = g722_encode_init(NULL, 64000, 0)) != NULL;
#endif
#ifdef HAVE_OPUS
    if (format->kind == CODEC_OPUS)
        good = (encoder->opus = opus_encoder(band)) != NULL;
#endif
    if (good)
        return encoder;
    encoder_free(encoder);
    return NULL;
}

size_t encoder_run(struct encoder *encoder, const int16_t *samples, size_t count, uint8_t *payload) {
    size_t channels = encoder->format.channels;
    switch (encoder->format.kind) {
    case CODEC_PCMU:
        for (size_t i = 0; i < count; i++)
            payload[i] = g711_to_ulaw(samples[i]);
        return count;
    case CODEC_PCMA:
        for (size_t i = 0; i < count; i++)
            payload[i] = g711_to_alaw(samples[i]);
        return count;
    case CODEC_L16:
        if (2 * channels * count > CODEC_OCTETS)
            return 0;
        for (size_t i = 0; i < count * channels; i++)
            put_16(payload + 2 * i, (uint16_t)samples[i / channels]);
        return 2 * channels * count;
#ifdef HAVE_SPANDSP
    case CODEC_G722:
        return (size_t)g722_encode(encoder->g722, payload, samples, (int)count);
#endif
#ifdef HAVE_OPUS
    case CODEC_OPUS: {
        opus_int32 length = opus_encode(encoder->opus, samples, (int)count, payload, 1400);
        return length < 0 ? 0 : (size_t)length;
    }
#endif
    default:
        return 0;
    }
}

void encoder_free(struct encoder *encoder) {
    if (encoder == NULL)
        return;
#ifdef HAVE_SPANDSP
    if (encoder->g722 != NULL)
        g722_encode_free(encoder->g722);
#endif
#ifdef HAVE_OPUS
    if (encoder->opus != NULL)
        opus_encoder_destroy(encoder->opus);
#endif
    free(encoder);
}
