#include "listener.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gap.h"
#include "listener_parts.h"

#define STEP_MILLISECONDS 10      /* made at a time while packets are missing */
#define READY_MILLISECONDS 320    /* room for sound that is decoded and not taken */
#define JUMP_MILLISECONDS 2000    /* a timestamp that is off by so much begins another line of time */
#define JOIN_MILLISECONDS 200     /* a line that begins so little before the end of what waits is put behind it */
#define WAITING_MILLISECONDS 1000 /* of sound may wait; what is older will not be played */
#define GIVE_UP_MILLISECONDS 400  /* nothing came for so long: whatever comes next is waited for as at the start */
#define SILENT_MILLISECONDS 2000  /* the same in a pause: Opus says that it goes on every 400 ms */
#define SLACK_MILLISECONDS 10     /* beyond what the delay must be, before it is shortened */
#define HURRY_MILLISECONDS 100    /* the same, before it is shortened at every occasion */
#define CALM 3                    /* occasions between two shortenings when there is no hurry */
#define QUIET 300                 /* greatest sample of sound that may be left out unnoticed, some -41 dBFS */

static int64_t time_of(const struct listener *l, uint64_t now) {
    return now <= l->start ? 0 : (int64_t)clock_units(now - l->start, l->rate);
}

struct listener *listener_new(uint32_t rate) {
    size_t past = (size_t)rate * WAVEFORM_PAST / 1000, room = (size_t)rate * READY_MILLISECONDS / 1000;
    size_t period = (size_t)rate * WAVEFORM_PERIOD / 1000;
    struct listener *l = calloc(1, sizeof *l + (past + room + period) * sizeof *l->sound);
    if (l == NULL)
        return NULL;
    l->rate = rate;
    l->past = past;
    l->room = room;
    l->concealment.period = l->sound + past + room;
    noise_start(&l->noise);
    return l;
}

void listener_free(struct listener *l) {
    if (l == NULL)
        return;
    backlog_clear(&l->backlog);
    decoder_free(l->decoder);
    free(l);
}

/* -- what comes in */

/* Another source, clock or jump: the line goes on behind what waits, or begins where the packet arrived. */
static void anchor(struct listener *l, const struct packet *packet, uint32_t clock, int64_t arrived) {
    struct line *line = &l->line;
    int64_t position = arrived - (l->arrival.known ? l->arrival.base : arrived);
    if (line->known && llabs(line->end - position) < samples_of(l, JOIN_MILLISECONDS))
        position = line->end;
    else
        backlog_clear(&l->backlog), l->playing = false;
    *line = (struct line){.known = true,
                          .ssrc = packet->ssrc,
                          .clock = clock,
                          .timestamp = packet->timestamp,
                          .position = position,
                          .end = position};
    l->sequence_known = l->joined = false;
}

static int64_t find_position(struct listener *l, const struct packet *packet, uint32_t clock, int64_t arrived) {
    struct line *line = &l->line;
    if (!line->known || line->ssrc != packet->ssrc || line->clock != clock)
        anchor(l, packet, clock, arrived);
    int32_t step = (int32_t)(packet->timestamp - line->timestamp);
    int64_t units = (int64_t)step * l->rate, position = line->position + units / clock;
    if (l->arrival.known && llabs(arrived - position - l->arrival.base) > samples_of(l, JUMP_MILLISECONDS)) {
        anchor(l, packet, clock, arrived);
        return line->position;
    }
    /* Keep the anchor near, but lose nothing by rounding. */
    if (step > 0 && units % clock == 0)
        line->position = position, line->timestamp = packet->timestamp;
    return position;
}

static bool is_newer(const struct listener *l, uint16_t sequence) {
    return !l->sequence_known || (int16_t)(sequence - l->newest) > 0;
}

/* Comfort noise, a key, or the codec's own sign of silence: what does not come from here on is not lost. */
static void note_pause(struct listener *l, const struct packet *packet, const struct codec_format *format) {
    if (format->kind == CODEC_COMFORT)
        noise_describe(&l->noise, packet->payload, packet->length, format->clock == l->rate);
    if (!is_newer(l, packet->sequence))
        return;
    l->paused = true;
    l->signs++;
    l->newest = packet->sequence;
    l->sequence_known = true;
}

/* What will never be played: the line of time goes on with what is left. */
static void drop_overdue(struct listener *l, int64_t newest) {
    int64_t oldest = newest - samples_of(l, WAITING_MILLISECONDS);
    for (struct waiting *first; (first = backlog_first(&l->backlog)) != NULL;) {
        if (first->position >= oldest && l->backlog.count < BACKLOG_ROOM)
            return;
        l->played = first->sequence;
        l->position = first->position + first->duration;
        free(backlog_take(&l->backlog));
        l->counts.overflowed++;
    }
}

static void keep(struct listener *l, const struct packet *packet, const struct codec_format *format, int64_t position,
                 int64_t duration) {
    struct waiting *copy = malloc(sizeof *copy + packet->length);
    if (copy == NULL)
        return; /* as good as lost, and counted so when its turn comes */
    *copy = (struct waiting){.position = position,
                             .format = *format,
                             .duration = (uint32_t)duration,
                             .sequence = packet->sequence,
                             .signs = l->signs,
                             .length = (uint16_t)packet->length};
    memcpy(copy->payload, packet->payload, packet->length);
    drop_overdue(l, position);
    if (backlog_put(&l->backlog, copy) != BACKLOG_TAKEN) {
        free(copy);
        l->counts.duplicates++;
    }
}

void listener_put(struct listener *l, const struct packet *packet, const struct codec_format *format, uint64_t now) {
    if (format->kind == CODEC_EVENT || format->kind == CODEC_COMFORT) {
        note_pause(l, packet, format);
        return;
    }
    int64_t duration = (int64_t)codec_duration(format, packet->payload, packet->length) * l->rate / (int64_t)format->clock;
    if (!codec_available(format->kind) || duration == 0) {
        l->counts.undecodable++;
        return;
    }
    if (!l->started) {
        l->started = true;
        l->start = now;
        arrival_start(&l->arrival, l->rate);
    }
    int64_t arrived = time_of(l, now), position = find_position(l, packet, format->clock, arrived);
    arrival_note(&l->arrival, arrived - position, arrived);
    if (l->playing && position + duration <= l->position) {
        if (packet->sequence == l->played)
            l->counts.duplicates++;
        else
            l->counts.late++;
        return;
    }
    if (position + duration > l->line.end)
        l->line.end = position + duration;
    keep(l, packet, format, position, duration);
    if (is_newer(l, packet->sequence)) {
        l->newest = packet->sequence;
        l->signs = 0;
        l->paused = format->kind == CODEC_OPUS && packet->length <= 2; /* RFC 7587 3.1.3: silence */
    }
    l->sequence_known = true;
}

/* -- what is made of it */

/* How much later than the quickest packet's the sound at `position` is, if it is the next to be made. */
static int64_t delay_of(const struct listener *l, int64_t position, int64_t now) {
    return now + (int64_t)l->ready - position - l->arrival.base;
}

static int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Sound is taken in pieces, and a piece is whole only when its last packet is there. If pieces and packets begin at the same
   time the delay need only be as long as jitter asks for, else longer by the most that a packet may begin within a piece. */
static void align(struct listener *l, size_t count) {
    if (l->duration == 0)
        return;
    int64_t grain = common_divisor((int64_t)count, l->duration);
    l->step = (int64_t)count - grain + (int64_t)l->ready % grain;
}

static int64_t needed_delay(const struct listener *l) {
    return l->arrival.target + l->step;
}

static bool use_decoder(struct listener *l, const struct codec_format *format) {
    if (l->decoder != NULL && codec_same(&l->format, format))
        return true;
    decoder_free(l->decoder);
    l->decoder = decoder_new(format, l->rate);
    l->format = *format;
    return l->decoder != NULL;
}

static bool is_quiet(const int16_t *samples, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (samples[i] > QUIET || samples[i] < -QUIET)
            return false;
    return true;
}

/* Decodes the first packet that waits. `now` is in samples. */
static enum heard play(struct listener *l, int64_t now) {
    struct waiting *packet = backlog_take(&l->backlog);
    int16_t samples[CODEC_SAMPLES];
    size_t count = use_decoder(l, &packet->format) ? decoder_run(l->decoder, packet->payload, packet->length, samples) : 0;
    int64_t begin = packet->position, excess = delay_of(l, begin, now) - needed_delay(l);
    int64_t skip = l->position > begin ? l->position - begin : 0;
    /* It was made up already, while it was on its way: there is no need to hear that time twice, if delay need not grow. */
    if (skip == 0 && l->made_up > 0 && !l->paused && begin == l->position && excess > 0)
        skip = l->made_up < excess ? l->made_up : excess;
    l->played = packet->sequence;
    l->joined = true;
    l->duration = packet->duration;
    l->position = begin + (int64_t)count;
    bool dark = packet->format.kind == CODEC_OPUS && packet->length <= 2;
    free(packet);
    if (count == 0) {
        l->counts.undecodable++;
        return HEARD_NOTHING;
    }
    l->counts.packets++;
    l->made_up = 0;
    size_t from = skip < (int64_t)count ? (size_t)skip : count, left = count - from, room = l->room - l->ready;
    if (left > 0 && excess > (int64_t)left && is_quiet(samples + from, left)) {
        l->counts.left_out += left;
        left = 0;
    }
    left = left < room ? left : room;
    memcpy(end_of_sound(l), samples + from, left * sizeof *samples);
    if (l->concealment.made > 0)
        conceal_end(&l->concealment, l->rate, end_of_sound(l), left);
    l->ready += left;
    return dark ? HEARD_NOISE : HEARD_VOICE;
}

/* Packets that are missing before this one. */
static unsigned missing_before(const struct listener *l, const struct waiting *next) {
    int missing = (int16_t)(next->sequence - l->played) - 1 - (int)next->signs;
    return !l->joined || missing < 0 ? 0 : (unsigned)missing;
}

/* The next packet is not the one whose turn it is. */
static enum heard bridge(struct listener *l, const struct waiting *next, int64_t now) {
    int64_t gap = next->position - l->position, left = gap - l->made_up, step = samples_of(l, STEP_MILLISECONDS);
    unsigned missing = missing_before(l, next);
    if (missing > 0 ? left <= 0 : delay_of(l, next->position, now) >= needed_delay(l)) {
        l->counts.lost += missing;
        l->position = next->position;
        l->made_up = missing > 0 ? -left : 0;
        return play(l, now);
    }
    if (missing == 0)
        return gap_pause(l, (size_t)step);
    if (gap_recover(l, next, left))
        return HEARD_CONCEALED;
    if (next->format.kind == CODEC_OPUS && left > next->duration)
        left -= next->duration; /* the rest can be recovered */
    return gap_loss(l, (size_t)(left < step ? left : step));
}

/* Nothing is there to be played. */
static enum heard wait(struct listener *l) {
    if (l->made_up > samples_of(l, l->paused ? SILENT_MILLISECONDS : GIVE_UP_MILLISECONDS))
        l->playing = false;
    size_t step = (size_t)samples_of(l, STEP_MILLISECONDS);
    return l->paused ? gap_pause(l, step) : gap_loss(l, step);
}

/* Makes some more sound. */
static enum heard make(struct listener *l, size_t count, int64_t now) {
    struct waiting *next = backlog_first(&l->backlog);
    if (!l->playing) {
        if (next != NULL && l->ready == 0) {
            l->duration = next->duration;
            align(l, count);
        }
        /* It begins where a piece begins, so that pieces and packets fit. */
        if (next == NULL || l->ready > 0 || delay_of(l, next->position, now) < needed_delay(l)) {
            gap_noise(l, count);
            return l->paused || l->noise.level != NOISE_SILENT ? HEARD_NOISE : HEARD_NOTHING;
        }
        l->playing = true;
        l->counts.lost += missing_before(l, next);
        l->position = next->position;
        l->made_up = 0;
        return play(l, now);
    }
    if (next == NULL)
        return wait(l);
    return next->position <= l->position ? play(l, now) : bridge(l, next, now);
}

/* Brings the delay back: at once where nobody speaks, period by period where somebody does. */
static void shorten(struct listener *l, size_t count, int64_t now) {
    int64_t excess = delay_of(l, l->position, now) - needed_delay(l) - (int64_t)count;
    if (excess < samples_of(l, SLACK_MILLISECONDS) || l->ready < count)
        return;
    if (excess < samples_of(l, HURRY_MILLISECONDS) && l->calm++ < CALM)
        return;
    l->calm = 0;
    size_t out = waveform_shorten(l->sound + l->past, l->ready, l->rate, (size_t)excess);
    l->ready -= out;
    l->counts.left_out += out;
}

/* Shortening has left packets that do not begin where pieces do; the rest of one in a moment of quiet need not be heard. */
static void realign(struct listener *l, int64_t now) {
    if (delay_of(l, l->position, now) < needed_delay(l) || !is_quiet(l->sound + l->past, l->ready))
        return;
    l->counts.left_out += l->ready;
    l->step -= (int64_t)l->ready;
    l->ready = 0;
}

static uint32_t level_of(const int16_t *samples, size_t count) {
    float energy = 0;
    for (size_t i = 0; i < count; i++)
        energy += (float)samples[i] * (float)samples[i];
    return count == 0 ? 0 : (uint32_t)sqrtf(energy / (float)count);
}

enum heard listener_take(struct listener *l, int16_t *samples, size_t count, uint64_t now) {
    int64_t time = time_of(l, now);
    enum heard heard = HEARD_NOTHING;
    size_t most = (size_t)samples_of(l, LISTENER_MOST_MILLISECONDS);
    count = count < most ? count : most;
    align(l, count);
    if (l->playing && l->ready > 0)
        realign(l, time);
    for (int round = 0; round < 2; round++) {
        while (l->ready < count) {
            enum heard part = make(l, count - l->ready, time);
            heard = part > heard ? part : heard;
        }
        if (l->playing && l->made_up == 0 && round == 0)
            shorten(l, count, time);
    }
    if (l->playing && l->made_up == 0) {
        int64_t delay = delay_of(l, l->position, time);
        l->counts.delay = delay < 0 ? 0 : (uint32_t)delay;
    }
    l->counts.target = (uint32_t)l->arrival.target;
    int16_t *sound = l->sound + l->past;
    memcpy(samples, sound, count * sizeof *samples);
    l->counts.level = level_of(samples, count);
    l->ready -= count;
    memmove(l->sound, l->sound + count, (l->past + l->ready) * sizeof *l->sound);
    return heard;
}

void listener_counts(const struct listener *l, struct listener_counts *counts) {
    *counts = l->counts;
}
