#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "mix.h"
#include "player.h"

struct mix_sound { /* a play that all members of a mix hear: frames of linear samples at the mix's rate, one a tick */
    struct mix_sound *next;
    uint64_t id;
    struct sounds *sounds;
    int item;                    /* of the sounds */
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
    sounds_free(playing->sounds);
    free(playing);
}

static struct mix_sound **find(struct mix *mix, uint64_t play) {
    struct mix_sound **place = &mix->sounds;
    while (*place != NULL && (*place)->id != play)
        place = &(*place)->next;
    return place;
}

/* Asks the library for the sound that is due; the ticket is its place in the list. */
static bool request(struct mix *mix, struct mix_sound *playing) {
    const struct sound_wish wish = {.name = playing->sounds->names[playing->item],
                                    .format = {.kind = CODEC_L16, .channels = 1, .clock = mix->rate},
                                    .packet_time = MIX_TICK,
                                    .volume = playing->sounds->volume};
    uint64_t ticket = (uint64_t)playing->item;
    return library_request(&mix->worker->engine->library, mix->worker, mix->id, playing->id, ticket, &wish);
}

void mix_play(struct mix *mix, uint64_t play, struct sounds *sounds) {
    struct mix_sound *playing = calloc(1, sizeof *playing);
    if (playing != NULL)
        *playing = (struct mix_sound){.id = play, .sounds = sounds, .frame = (uint32_t)(sounds->start / MIX_TICK)};
    if (playing == NULL || !request(mix, playing)) {
        free(playing);
        sounds_free(sounds);
        player_refuse(mix->worker, mix->id, play, "out of memory");
        return;
    }
    playing->next = mix->sounds;
    mix->sounds = playing;
    atomic_fetch_add_explicit(&mix->worker->play_count, 1, memory_order_relaxed);
}

void mix_stop_playing(struct mix *mix, uint64_t play) {
    struct mix_sound **place = find(mix, play);
    if (*place != NULL)
        stop(mix, place, "");
}

void mix_give_sound(struct mix *mix, uint64_t play, uint64_t item, struct sound *sound) {
    struct mix_sound **place = find(mix, play);
    if (*place == NULL || (*place)->sound != NULL || (uint64_t)(*place)->item != item) {
        sound_release(sound);
        return;
    }
    (*place)->sound = sound;
    if (atomic_load_explicit(&sound->ready, memory_order_acquire) == 0) /* it is complete, and nothing came of it */
        stop(mix, place, sound->fault);
}

/* Goes on with the next sound; false when there is none. */
static bool go_on(struct mix *mix, struct mix_sound *playing) {
    const struct sounds *sounds = playing->sounds;
    playing->frame = 0;
    if (sounds->loop && sounds->count == 1)
        return true;
    if (playing->item + 1 == sounds->count && !sounds->loop)
        return false;
    playing->item = (playing->item + 1) % sounds->count;
    sound_release(playing->sound);
    playing->sound = NULL;
    return request(mix, playing);
}

/* False when the play is over. */
static bool add(struct mix *mix, struct mix_sound *playing) {
    struct sound *sound = playing->sound;
    bool complete = atomic_load_explicit(&sound->complete, memory_order_acquire);
    uint32_t ready = atomic_load_explicit(&sound->ready, memory_order_acquire);
    if (playing->frame >= ready)
        return !complete || (sound->fault[0] == '\0' && go_on(mix, playing));
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
            stop(mix, place, (*place)->sound == NULL ? "out of memory" : (*place)->sound->fault);
    }
}

void mix_end_sounds(struct mix *mix) {
    while (mix->sounds != NULL)
        stop(mix, &mix->sounds, "");
}
