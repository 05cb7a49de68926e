#include "codec.h"

#include <strings.h>

#ifdef HAVE_OPUS
#include <opus.h>
#endif

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
#ifdef HAVE_LIBBCG729
    [CODEC_G729] = {"G729", true},
#else
    [CODEC_G729] = {"G729", false},
#endif
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
#ifdef HAVE_LIBBCG729
                                " G729"
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

uint32_t codec_own_rate(const struct codec_format *format, uint32_t wished) {
    if (format->kind == CODEC_G722)
        return wished == 8000 ? 8000 : 16000;
    if (format->kind == CODEC_OPUS)
        return wished == 8000 || wished == 12000 || wished == 16000 || wished == 24000 ? wished : 48000;
    return codec_rate(format);
}

uint32_t codec_duration(const struct codec_format *format, const uint8_t *payload, size_t length) {
    switch (format->kind) {
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722: /* two samples an octet, and a clock of half the rate */
        return (uint32_t)length;
    case CODEC_L16:
        return (uint32_t)(length / (2 * (size_t)format->channels));
    case CODEC_G729: /* frames of ten octets and ten milliseconds; one of two octets tells of silence */
        return (uint32_t)((length + 8) / 10 * 80);
#ifdef HAVE_OPUS
    case CODEC_OPUS: {
        int samples = length == 0 ? 0 : opus_packet_get_nb_samples(payload, (opus_int32)length, 48000);
        return samples < 0 ? 0 : (uint32_t)samples;
    }
#endif
    default:
        (void)payload;
        return 0;
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
    if (format->kind == CODEC_G729)
        return wished < 10 ? 10 : wished > most ? most : wished / 10 * 10;
    if (format->kind == CODEC_L16) /* what an Ethernet frame takes */
        most = (int)(1400u * 1000u / (2u * format->channels * format->clock));
    wished = wished > most ? most : wished;
    return wished < 10 ? (most < 10 ? 5 : 10) : wished / 5 * 5;
}
