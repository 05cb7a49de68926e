#include "gap.h"

void gap_noise(struct listener *l, size_t count) {
    noise_run(&l->noise, end_of_sound(l), count);
    if (l->concealment.made > 0)
        conceal_end(&l->concealment, l->rate, end_of_sound(l), count);
    l->ready += count;
    l->made_up += (int64_t)count;
}

/* By the codec, if it can, else from the past. */
static void make_up(struct listener *l, size_t count) {
    size_t made = l->decoder == NULL ? 0 : decoder_conceal(l->decoder, end_of_sound(l), count);
    if (made == 0) {
        conceal(&l->concealment, end_of_sound(l), l->rate, end_of_sound(l), count);
        made = count;
    }
    l->ready += made;
    l->made_up += (int64_t)made;
}

enum heard gap_loss(struct listener *l, size_t count) {
    size_t before = l->ready;
    make_up(l, count);
    l->counts.concealed += l->ready - before;
    return HEARD_CONCEALED;
}

/* Opus makes comfort noise itself. */
enum heard gap_pause(struct listener *l, size_t count) {
    if (l->format.kind == CODEC_OPUS)
        make_up(l, count);
    else
        gap_noise(l, count);
    return HEARD_NOISE;
}

bool gap_recover(struct listener *l, const struct waiting *next, int64_t missing) {
    if (next->format.kind != CODEC_OPUS || missing > next->duration || l->decoder == NULL ||
        !codec_same(&l->format, &next->format))
        return false;
    size_t made = decoder_recover(l->decoder, next->payload, next->length, end_of_sound(l), (size_t)missing);
    l->ready += made;
    l->made_up += (int64_t)made;
    l->counts.recovered += made;
    return made > 0;
}
