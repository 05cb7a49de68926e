#include "preparation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"
#include "resample.h"
#include "soundfile.h"

#define LONGEST_SECONDS 14400u

struct preparation { /* a sound that is not ready yet */
    struct soundfile file;
    struct resampler *resampler;
    struct encoder *encoder;
    uint32_t rate;               /* of the encoder */
    int32_t gain;                /* of 65536 */
    size_t delay;                /* samples of the resampler's that are still to be thrown away */
    size_t frame_samples;
    int16_t *pending;            /* resampled, not yet encoded */
    size_t pending_count, pending_room;
    bool ended;                  /* of the file */
};

struct preparation *preparation_new(void) {
    return calloc(1, sizeof(struct preparation));
}

void preparation_free(struct preparation *preparation) {
    if (preparation == NULL)
        return;
    soundfile_close(&preparation->file);
    resampler_free(preparation->resampler);
    encoder_free(preparation->encoder);
    free(preparation->pending);
    free(preparation);
}

/* What a sound will take, as octets a second. */
static uint64_t rate_of(const struct codec_format *format) {
    switch (format->kind) {
    case CODEC_OPUS:
        return 6000;
    case CODEC_L16:
        return 2u * format->channels * format->clock;
    default:
        return 8000;
    }
}

/* Sounds that are played stay in memory whatever the limit: each has to fit into it, and all together four times. */
static const char *check_size(const struct sound *sound, const struct sound_memory *memory, char *fault, size_t room) {
    const struct soundfile *file = &sound->preparation->file;
    uint64_t seconds = file->samples / file->rate, limit = (uint64_t)memory->mebibytes << 20;
    if (seconds > LONGEST_SECONDS)
        return "longer than four hours";
    if (seconds * rate_of(&sound->format) > limit) {
        snprintf(fault, room, "too long: its %llu s would take %llu MiB of the %d that sounds may have",
                 (unsigned long long)seconds, (unsigned long long)(seconds * rate_of(&sound->format) >> 20),
                 memory->mebibytes);
        return fault;
    }
    return memory->octets > 4 * limit ? "too many sounds are played at once for the memory that they may have" : NULL;
}

const char *preparation_begin(struct sound *sound, const struct sound_memory *memory, char *fault, size_t room) {
    struct preparation *preparation = sound->preparation;
    struct soundfile *file = &preparation->file;
    preparation->rate = codec_rate(&sound->format);
    preparation->gain = (int32_t)lrint(65536 * pow(10, sound->volume / 20.0));
    if (!soundfile_open(file, sound->path, preparation->rate, fault, room))
        return fault;
    const char *too_large = check_size(sound, memory, fault, room);
    if (too_large != NULL)
        return too_large;
    preparation->frame_samples = (size_t)preparation->rate * (unsigned)sound->packet_time / 1000;
    preparation->encoder = encoder_new(&sound->format, &(struct encoder_options){.rate = preparation->rate, .band = file->rate});
    if (file->rate != preparation->rate) {
        preparation->resampler = resampler_new(file->rate, preparation->rate);
        if (preparation->resampler == NULL)
            return "out of memory";
        preparation->delay = resampler_delay(preparation->resampler);
    }
    uint64_t samples = file->samples * preparation->rate / file->rate;
    sound->frames = (uint32_t)((samples + preparation->frame_samples - 1) / preparation->frame_samples);
    sound->timestamp_step = (uint32_t)((uint64_t)sound->format.clock * (unsigned)sound->packet_time / 1000);
    sound->chunks = calloc(sound->frames / SOUND_FRAMES + 1, sizeof *sound->chunks);
    preparation->pending_room = preparation->frame_samples + (size_t)SOUNDFILE_BLOCK * preparation->rate / file->rate + 64 +
                                preparation->delay;
    preparation->pending = malloc(preparation->pending_room * sizeof *preparation->pending);
    if (sound->chunks == NULL || preparation->pending == NULL || preparation->encoder == NULL || sound->frames == 0)
        return "out of memory";
    return NULL;
}

/* Adds samples of the file, or after its end silence, to what waits to be encoded. */
static void fill_pending(struct preparation *p) {
    int16_t samples[SOUNDFILE_BLOCK];
    int16_t *end = p->pending + p->pending_count;
    size_t count = p->ended ? 0 : soundfile_read(&p->file, samples), room = p->pending_room - p->pending_count;
    if (count == 0) {
        p->ended = true;
        memset(samples, 0, sizeof samples);
        count = SOUNDFILE_BLOCK;
    } else if (p->gain != 65536) {
        for (size_t i = 0; i < count; i++) {
            int64_t value = (int64_t)samples[i] * p->gain / 65536;
            samples[i] = value > 32767 ? 32767 : value < -32768 ? -32768 : (int16_t)value;
        }
    }
    if (p->resampler == NULL) {
        memcpy(end, samples, count * sizeof *samples);
        p->pending_count += count;
        return;
    }
    size_t made = resampler_run(p->resampler, samples, count, end, room);
    size_t wasted = made < p->delay ? made : p->delay;
    memmove(end, end + wasted, (made - wasted) * sizeof *end);
    p->delay -= wasted;
    p->pending_count += made - wasted;
}

const char *preparation_chunk(struct sound *sound) {
    struct preparation *p = sound->preparation;
    uint32_t ready = atomic_load_explicit(&sound->ready, memory_order_relaxed);
    uint32_t count = sound->frames - ready < SOUND_FRAMES ? sound->frames - ready : SOUND_FRAMES;
    uint8_t payload[CODEC_OCTETS];
    struct sound_chunk *chunk = NULL;
    size_t used = 0, room = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (p->ended && p->file.approximate) { /* sooner than it said */
            uint32_t left = (uint32_t)((p->pending_count + p->frame_samples - 1) / p->frame_samples);
            count = i + left < count ? i + left : count;
            sound->frames = ready + i + left < sound->frames ? ready + i + left : sound->frames;
            if (i >= count)
                break;
        }
        while (p->pending_count < p->frame_samples)
            fill_pending(p);
        size_t length = encoder_run(p->encoder, p->pending, p->frame_samples, payload);
        if (p->file.broken != NULL) {
            free(chunk);
            return p->file.broken;
        }
        p->pending_count -= p->frame_samples;
        memmove(p->pending, p->pending + p->frame_samples, p->pending_count * sizeof *p->pending);
        if (used + length > room || chunk == NULL) {
            room = (used + length) * (i == 0 ? count : 2);
            struct sound_chunk *larger = realloc(chunk, sizeof *chunk + room);
            if (larger == NULL) {
                free(chunk);
                return "out of memory";
            }
            chunk = larger;
        }
        chunk->offsets[i] = (uint32_t)used;
        memcpy(chunk->data + used, payload, length);
        used += length;
        chunk->offsets[i + 1] = (uint32_t)used;
    }
    if (chunk == NULL)
        return NULL;
    sound->chunks[ready / SOUND_FRAMES] = chunk;
    sound->octets += sizeof *chunk + room;
    atomic_store_explicit(&sound->ready, ready + count, memory_order_release);
    return NULL;
}
