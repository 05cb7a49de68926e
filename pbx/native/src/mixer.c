#include "mixer.h"

#include <string.h>

/* Plain loops over arrays that don't overlap: the compiler turns each into vector instructions. */

static void add(int32_t *restrict sum, const int16_t *restrict samples, size_t count) {
    for (size_t i = 0; i < count; i++)
        sum[i] += samples[i];
}

static int16_t cut(int32_t value) {
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

static void finish(int16_t *restrict out, const int32_t *restrict sum, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = cut(sum[i]);
}

static void finish_without(int16_t *restrict out, const int32_t *restrict sum, const int16_t *restrict own, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = cut(sum[i] - own[i]);
}

uint32_t mixer_power(const int16_t *samples, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (uint64_t)((int32_t)samples[i] * samples[i]);
    return count == 0 ? 0 : (uint32_t)(sum / count);
}

void mixer_init(struct mixer *mixer, size_t count) {
    memset(mixer, 0, sizeof *mixer);
    mixer->count = count < MIXER_SAMPLES ? count : MIXER_SAMPLES;
}

void mixer_begin(struct mixer *mixer) {
    memset(mixer->sum, 0, mixer->count * sizeof *mixer->sum);
}

void mixer_add(struct mixer *mixer, const int16_t *samples) {
    add(mixer->sum, samples, mixer->count);
}

static bool is_for_all(const struct mixer_seat *seat) {
    return seat->says && !seat->muted && seat->hearer_count == 0;
}

/* Whether a seat says something to a few only, and `hearer` is one of them. */
static bool whispers_to(const struct mixer_seat *seat, const struct mixer_seat *hearer) {
    if (!seat->says || seat->muted || seat == hearer)
        return false;
    for (size_t i = 0; i < seat->hearer_count; i++)
        if (seat->hearers[i] == hearer->id)
            return true;
    return false;
}

/* What one seat hears, where that is not what all hear. */
static void make_apart(const struct mixer *mixer, struct mixer_seat *seat, struct mixer_seat *const *seats,
                       size_t seat_count) {
    int32_t sum[MIXER_SAMPLES];
    memcpy(sum, mixer->sum, mixer->count * sizeof *sum);
    for (size_t i = 0; i < seat_count; i++)
        if (whispers_to(seats[i], seat))
            add(sum, seats[i]->said, mixer->count);
    if (is_for_all(seat))
        finish_without(seat->own, sum, seat->said, mixer->count);
    else
        finish(seat->own, sum, mixer->count);
    seat->heard = seat->own;
    seat->apart = true;
}

void mixer_run(struct mixer *mixer, struct mixer_seat *const *seats, size_t seat_count) {
    bool whispered = false;
    for (size_t i = 0; i < seat_count; i++) {
        if (is_for_all(seats[i]))
            add(mixer->sum, seats[i]->said, mixer->count);
        whispered = whispered || (seats[i]->says && !seats[i]->muted && seats[i]->hearer_count > 0);
    }
    finish(mixer->common, mixer->sum, mixer->count);
    for (size_t i = 0; i < seat_count; i++) {
        struct mixer_seat *seat = seats[i];
        bool apart = is_for_all(seat);
        for (size_t other = 0; whispered && !apart && other < seat_count; other++)
            apart = whispers_to(seats[other], seat);
        seat->apart = false;
        seat->heard = seat->deaf ? mixer->silence : mixer->common;
        if (apart && !seat->deaf)
            make_apart(mixer, seat, seats, seat_count);
    }
}
