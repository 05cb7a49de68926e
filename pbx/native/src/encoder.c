/* Sound to octets. */
#include <stdlib.h>

#include "codec.h"

#ifdef HAVE_OPUS
#include <opus.h>
#endif
#ifdef HAVE_SPANDSP
#include <spandsp.h>
#endif
#ifdef HAVE_LIBBCG729
#include <bcg729/encoder.h>
#endif

#include "g711.h"
#include "rtp.h"

#ifdef HAVE_LIBBCG729
enum { G729_SAMPLES = 80 };
#endif

struct encoder {
    struct codec_format format;
#ifdef HAVE_SPANDSP
    g722_encode_state_t *g722;
#endif
#ifdef HAVE_OPUS
    OpusEncoder *opus;
    bool repair;
#endif
#ifdef HAVE_LIBBCG729
    bcg729EncoderChannelContextStruct *g729;
#endif
};

#ifdef HAVE_OPUS
static opus_int32 opus_bit_rate(uint32_t band, const struct encoder_options *options) {
    uint32_t wished = band <= 8000 ? 16000 : band <= 16000 ? 28000 : 48000;
    if (options->repair)
        wished += wished / 4;
    if (options->bit_rate >= 6000 && options->bit_rate < wished) /* RFC 7587 6.1: 6000 is the least there is */
        wished = options->bit_rate;
    return (opus_int32)wished;
}

static OpusEncoder *opus_encoder(const struct encoder_options *options) {
    int fault, application = options->live ? OPUS_APPLICATION_VOIP : OPUS_APPLICATION_AUDIO;
    uint32_t band = options->band == 0 ? options->rate : options->band;
    OpusEncoder *opus = opus_encoder_create((opus_int32)options->rate, 1, application, &fault);
    if (opus == NULL)
        return NULL;
    opus_encoder_ctl(opus, OPUS_SET_BITRATE(opus_bit_rate(band, options)));
    opus_encoder_ctl(opus, OPUS_SET_MAX_BANDWIDTH(band <= 8000    ? OPUS_BANDWIDTH_NARROWBAND
                                                  : band <= 16000 ? OPUS_BANDWIDTH_WIDEBAND
                                                  : band <= 24000 ? OPUS_BANDWIDTH_SUPERWIDEBAND
                                                                  : OPUS_BANDWIDTH_FULLBAND));
    opus_encoder_ctl(opus, OPUS_SET_COMPLEXITY(options->live ? 2 : 5));
    opus_encoder_ctl(opus, OPUS_SET_INBAND_FEC(options->repair));
    opus_encoder_ctl(opus, OPUS_SET_DTX(options->discontinuous));
    return opus;
}
#endif

struct encoder *encoder_new(const struct codec_format *format, const struct encoder_options *options) {
    if (!codec_available(format->kind) || options->rate != codec_own_rate(format, options->rate))
        return NULL;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NULL;
    encoder->format = *format;
    bool good = true;
#ifdef HAVE_SPANDSP
    if (format->kind == CODEC_G722)
        good = (encoder->g722 = g722_encode_init(NULL, 64000, options->rate == 8000 ? G722_SAMPLE_RATE_8000 : 0)) != NULL;
#endif
#ifdef HAVE_OPUS
    if (format->kind == CODEC_OPUS)
        good = (encoder->opus = opus_encoder(options)) != NULL;
    encoder->repair = options->repair;
#endif
#ifdef HAVE_LIBBCG729
    if (format->kind == CODEC_G729)
        good = (encoder->g729 = initBcg729EncoderChannel(0)) != NULL;
#endif
    if (good)
        return encoder;
    encoder_free(encoder);
    return NULL;
}

#ifdef HAVE_LIBBCG729
static size_t to_g729(bcg729EncoderChannelContextStruct *g729, const int16_t *samples, size_t count, uint8_t *payload) {
    size_t made = 0;
    for (; count >= G729_SAMPLES && made + 10 <= CODEC_OCTETS; count -= G729_SAMPLES, samples += G729_SAMPLES) {
        uint8_t octets = 0;
        bcg729Encoder(g729, samples, payload + made, &octets);
        made += octets;
    }
    return made;
}
#endif

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
#ifdef HAVE_LIBBCG729
    case CODEC_G729:
        return to_g729(encoder->g729, samples, count, payload);
#endif
    default:
        return 0;
    }
}

void encoder_loss(struct encoder *encoder, int percent) {
#ifdef HAVE_OPUS
    if (encoder->opus != NULL && encoder->repair)
        opus_encoder_ctl(encoder->opus, OPUS_SET_PACKET_LOSS_PERC(percent < 0 ? 0 : percent > 30 ? 30 : percent));
#endif
    (void)encoder, (void)percent;
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
#ifdef HAVE_LIBBCG729
    if (encoder->g729 != NULL)
        closeBcg729EncoderChannel(encoder->g729);
#endif
    free(encoder);
}
