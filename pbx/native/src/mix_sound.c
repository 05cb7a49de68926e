#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "mix.h"
#include "player.h"

struct mix_sound { /* a play that all members of a mix hear: frames of linear samples at the mix's rate, one a tick */
    struct mix_sound *next;
    uint64_t id;
    bool loop;
    struct sound *sound;         /* NULL while it is being prepared */
    uint32_t frame;
    uint64_t played;             /* ms */
};

static void stop(struct mix *mix, struct mix_sound **place, const char *failure) {
    struct mix_sound *playing = *place;
    *place = playing->next;
    sound_release(playing->sound);
    player_tell_ended(mix->worker, mix->id, playing->id, playing->played, failure);
    atomic_fetch_sub_explicit(&mix->worker->play_count, 1, memory_order_relaxed);
    free(playing);
}

static struct mix_sound **find(struct mix *mix, uint64_t play) {
    struct mix_sound **place = &mix->sounds;
    while (*place != NULL && (*place)->id != play)
        place = &(*place)->next;
    return place;
}

void mix_play(struct mix *mix, uint64_t play, const char *path, bool loop) {
    const struct codec_format format = {.kind = CODEC_L16, .channels = 1, .clock = mix->rate};
    struct mix_sound *playing = calloc(1, sizeof *playing);
    if (playing == NULL ||
        !library_request(&mix->worker->engine->library, mix->worker, mix->id, play, path, &format, MIX_TICK)) {
        free(playing);
        player_refuse(mix->worker, mix->id, play, "out of memory");
        return;
    }
    playing->id = play;
    playing->loop = loop;
    playing->next = mix->sounds;
    mix->sounds = playing;
    atomic_fetch_add_explicit(&mix->worker->play_count, 1, memory_order_relaxed);
}

void mix_stop_playing(struct mix *mix, uint64_t play) {
    struct mix_sound **place = find(mix, play);
    if (*place != NULL)
        stop(mix, place, "");
}

void mix_give_sound(struct mix *mix, uint64_t play, struct sound *sound) {
    struct mix_sound **place = find(mix, play);
    if (*place == NULL || (*place)->sound != NULL) {
        sound_release(sound);
        return;
    }
    (*place)->sound = sound;
    if (atomic_load_explicit(&sound->ready, memory_order_acquire) == 0) /* it is complete, and nothing came of it */
        stop(mix, place, sound->fault);
}

/* False when the play is over. */
static bool add(struct mix *mix, struct mix_sound *playing) {
    struct sound *sound = playing->sound;
    bool complete = atomic_load_explicit(&sound->complete, memory_order_acquire);
    uint32_t ready = atomic_load_explicit(&sound->ready, memory_order_acquire);
    if (playing->loop && complete && sound->fault[0] == '\0' && playing->frame >= ready)
        playing->frame = 0;
    if (playing->frame >= ready)
        return !complete;
    size_t length;
    const uint8_t *octets = sound_frame(sound, playing->frame++, &length);
    int16_t samples[MIXER_SAMPLES] = {0};
    for (size_t i = 0; i < mix->mixer.count && 2 * i + 1 < length; i++)
        samples[i] = (int16_t)get_16(octets + 2 * i);
    mixer_add(&mix->mixer, samples);
    playing->played += MIX_TICK;
    return true;
}

void mix_add_sounds(struct mix *mix) {
    for (struct mix_sound **place = &mix->sounds; *place != NULL;) {
        if ((*place)->sound == NULL || add(mix, *place))
            place = &(*place)->next;
        else
            stop(mix, place, (*place)->sound->fault);
    }
}

void mix_end_sounds(struct mix *mix) {
    while (mix->sounds != NULL)
        stop(mix, &mix->sounds, "");
}
