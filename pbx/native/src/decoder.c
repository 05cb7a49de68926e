/* Octets to sound. */
#include <stdlib.h>

#include "codec.h"

#ifdef HAVE_OPUS
#include <opus.h>
#endif
#ifdef HAVE_SPANDSP
#include <spandsp.h>
#endif
#ifdef HAVE_LIBBCG729
#include <bcg729/decoder.h>
#endif

#include "g711.h"
#include "resample.h"
#include "rtp.h"

enum { G729_SAMPLES = 80, G729_OCTETS = 10, G729_SILENCE_OCTETS = 2 };

struct decoder {
    struct codec_format format;
    uint32_t own, rate;          /* of the codec, and what is wished */
    struct resampler *resampler; /* NULL: they are the same */
#ifdef HAVE_SPANDSP
    g722_decode_state_t *g722;
#endif
#ifdef HAVE_OPUS
    OpusDecoder *opus;
#endif
#ifdef HAVE_LIBBCG729
    bcg729DecoderChannelContextStruct *g729;
#endif
};

struct decoder *decoder_new(const struct codec_format *format, uint32_t rate) {
    if (!codec_available(format->kind))
        return NULL;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    g711_fill_tables();
    decoder->format = *format;
    decoder->rate = rate;
    uint32_t own = decoder->own = codec_own_rate(format, rate);
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
#ifdef HAVE_LIBBCG729
    if (format->kind == CODEC_G729)
        good = good && (decoder->g729 = initBcg729DecoderChannel()) != NULL;
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

#ifdef HAVE_LIBBCG729
/* RFC 3551 4.5.6: frames of ten octets; the last may be of two, which describes silence. */
static size_t from_g729(bcg729DecoderChannelContextStruct *g729, const uint8_t *payload, size_t length, int16_t *samples) {
    size_t count = 0;
    while (length >= G729_SILENCE_OCTETS && count + G729_SAMPLES <= CODEC_SAMPLES) {
        bool silence = length < G729_OCTETS;
        size_t octets = silence ? G729_SILENCE_OCTETS : G729_OCTETS;
        bcg729Decoder(g729, payload, (uint8_t)octets, 0, silence, 0, samples + count);
        payload += octets;
        length -= octets;
        count += G729_SAMPLES;
    }
    return count;
}
#endif

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
#ifdef HAVE_LIBBCG729
    case CODEC_G729:
        return from_g729(decoder->g729, payload, length, samples);
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

#ifdef HAVE_OPUS
/* Opus makes multiples of 2.5 ms only; `payload` NULL for concealment. */
static size_t repair(struct decoder *decoder, const uint8_t *payload, size_t length, int16_t *samples, size_t count) {
    size_t unit = decoder->own / 400;
    count = count / unit * unit;
    if (decoder->opus == NULL || count == 0 || count > CODEC_SAMPLES || decoder->resampler != NULL)
        return 0;
    int made = opus_decode(decoder->opus, payload, (opus_int32)length, samples, (int)count, payload != NULL);
    return made < 0 ? 0 : (size_t)made;
}
#endif

size_t decoder_conceal(struct decoder *decoder, int16_t *samples, size_t count) {
#ifdef HAVE_OPUS
    if (decoder->opus != NULL)
        return repair(decoder, NULL, 0, samples, count);
#endif
#ifdef HAVE_LIBBCG729
    if (decoder->g729 != NULL && decoder->resampler == NULL && count >= G729_SAMPLES) {
        bcg729Decoder(decoder->g729, NULL, 0, 1, 0, 0, samples);
        return G729_SAMPLES;
    }
#endif
    (void)decoder, (void)samples, (void)count;
    return 0;
}

size_t decoder_recover(struct decoder *decoder, const uint8_t *payload, size_t length, int16_t *samples, size_t count) {
#ifdef HAVE_OPUS
    if (decoder->opus != NULL && length > 2)
        return repair(decoder, payload, length, samples, count);
#endif
    (void)decoder, (void)payload, (void)length, (void)samples, (void)count;
    return 0;
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
#ifdef HAVE_LIBBCG729
    if (decoder->g729 != NULL)
        closeBcg729DecoderChannel(decoder->g729);
#endif
    free(decoder);
}
