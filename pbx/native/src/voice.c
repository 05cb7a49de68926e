#include "voice.h"

#include <stdlib.h>
#include <string.h>

#include "noise.h"
#include "resample.h"
#include "rtp.h"

#define QUIET_PACKETS 3           /* of silence are sent before comfort noise takes their place */
#define DESCRIBE_MILLISECONDS 400 /* between two packets of comfort noise */

struct voice *voice_new(const struct codec_offer *codec, bool comfort, int packet_time, uint32_t rate) {
    struct voice *voice = calloc(1, sizeof *voice);
    if (voice == NULL)
        return NULL;
    voice->codec = *codec;
    voice->comfort = comfort;
    voice->packet_time = packet_time;
    voice->rate = rate;
    voice->own = codec_own_rate(&codec->format, rate);
    voice->frame = voice->own * (size_t)packet_time / 1000;
    voice->encoder = encoder_new(&codec->format, &(struct encoder_options){.rate = voice->own,
                                                                          .band = rate,
                                                                          .live = true,
                                                                          .repair = codec->repair,
                                                                          .discontinuous = codec->discontinuous,
                                                                          .bit_rate = codec->bit_rate});
    if (voice->own != rate)
        voice->resampler = resampler_new(rate, voice->own);
    voice->samples = malloc(voice->frame * sizeof *voice->samples);
    if (voice->frame <= CODEC_SAMPLES && voice->samples != NULL && voice->encoder != NULL &&
        (voice->own == rate || voice->resampler != NULL))
        return voice;
    voice_free(voice);
    return NULL;
}

void voice_free(struct voice *voice) {
    if (voice == NULL)
        return;
    encoder_free(voice->encoder);
    resampler_free(voice->resampler);
    free(voice->samples);
    free(voice);
}

bool voice_is(const struct voice *voice, const struct codec_offer *codec, bool comfort, int packet_time) {
    return codec_same(&codec->format, &voice->codec.format) && codec->repair == voice->codec.repair &&
           codec->discontinuous == voice->codec.discontinuous && codec->bit_rate == voice->codec.bit_rate &&
           comfort == voice->comfort && packet_time == voice->packet_time;
}

void voice_expect_loss(struct voice *voice, int percent) {
    if (percent != voice->loss)
        encoder_loss(voice->encoder, voice->loss = percent);
}

static void describe_noise(struct voice *voice, uint8_t *payload, voice_listener *tell, void *listener) {
    unsigned packets = (unsigned)(DESCRIBE_MILLISECONDS / voice->packet_time);
    if (voice->quiet > QUIET_PACKETS + 1 && ++voice->described < packets) {
        tell(listener, UTTERED_NOTHING, payload, 0);
        return;
    }
    voice->described = 0;
    payload[0] = noise_level(voice->samples, voice->frame);
    tell(listener, UTTERED_COMFORT, payload, 1);
}

static void packet_full(struct voice *voice, voice_listener *tell, void *listener) {
    uint8_t data[RTP_HEADER + VOICE_ROOM], *payload = data + RTP_HEADER;
    voice->quiet = voice->speaks ? 0 : voice->quiet + 1;
    if (voice->comfort && voice->quiet > QUIET_PACKETS) {
        describe_noise(voice, payload, tell, listener);
    } else {
        size_t length = encoder_run(voice->encoder, voice->samples, voice->frame, payload);
        bool dark = voice->codec.discontinuous && length <= 2; /* RFC 7587 3.1.3: need not be sent */
        tell(listener, length == 0 || dark ? UTTERED_NOTHING : UTTERED_VOICE, payload, length);
    }
    voice->filled = 0;
    voice->speaks = false;
}

static void fill(struct voice *voice, const int16_t *samples, size_t count, bool speaks, voice_listener *tell, void *listener) {
    for (size_t some; count > 0; samples += some, count -= some) {
        some = voice->frame - voice->filled < count ? voice->frame - voice->filled : count;
        memcpy(voice->samples + voice->filled, samples, some * sizeof *samples);
        voice->filled += some;
        voice->speaks = voice->speaks || speaks;
        if (voice->filled == voice->frame)
            packet_full(voice, tell, listener);
    }
}

void voice_put(struct voice *voice, const int16_t *samples, size_t count, enum heard heard, voice_listener *tell,
               void *listener) {
    int16_t own[CODEC_SAMPLES];
    if (voice->resampler != NULL) {
        count = resampler_run(voice->resampler, samples, count, own, CODEC_SAMPLES);
        samples = own;
    }
    fill(voice, samples, count, heard > HEARD_NOISE, tell, listener);
}
