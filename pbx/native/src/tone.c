#include "tone.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 16, TONES = 4, SHORTEST = 10, LONGEST = 60000, MOST_HERTZ = 3400 };

/* A sine of the greatest level that 16 bits hold is +3.17 dBm0 (G.711). ITU-T E.180 wants tones at -10 dBm0; of several
   together each is so much weaker that their sum has that level. */
#define LEVEL 7194.0
#define RAMP_MILLISECONDS 2

struct part {
    int hertz[TONES];
    int count;
    bool modulated;              /* the first by the second */
    uint64_t samples;
};

struct tone {
    struct part parts[PARTS];
    int count, at;
    uint32_t rate;
    uint64_t place;              /* in the part */
};

bool tone_named(const char *name) {
    return strncmp(name, "tone:", 5) == 0;
}

/* A number of at most six digits; -1 for none. */
static long number(const char **text) {
    long value = 0;
    int digits = 0;
    for (; **text >= '0' && **text <= '9' && digits < 6; (*text)++, digits++)
        value = 10 * value + (**text - '0');
    return digits == 0 || (**text >= '0' && **text <= '9') ? -1 : value;
}

static bool read_part(struct part *part, const char **text, uint32_t rate) {
    do {
        if (part->count == TONES || (part->count > 0 && part->modulated))
            return false;
        if (part->count > 0)
            (*text)++;
        long hertz = number(text);
        if (hertz < 0 || hertz > MOST_HERTZ || (hertz == 0 && (part->count > 0 || **text != '/')))
            return false;
        part->hertz[part->count++] = (int)hertz;
        if (**text == '*' && part->count == 1) {
            (*text)++;
            long by = number(text);
            if (by < 1 || by > MOST_HERTZ)
                return false;
            part->hertz[part->count++] = (int)by;
            part->modulated = true;
        }
    } while (**text == '+');
    if (*(*text)++ != '/')
        return false;
    long milliseconds = number(text);
    part->samples = (uint64_t)milliseconds * rate / 1000;
    return milliseconds >= SHORTEST && milliseconds <= LONGEST;
}

struct tone *tone_new(const char *name, uint32_t rate, char *fault, size_t room) {
    struct tone *tone = calloc(1, sizeof *tone);
    if (tone == NULL) {
        snprintf(fault, room, "out of memory");
        return NULL;
    }
    tone->rate = rate;
    const char *text = name + strlen("tone:");
    bool good;
    do
        good = tone->count < PARTS && read_part(&tone->parts[tone->count++], &text, rate);
    while (good && *text == ',' && text++);
    if (good && *text == '\0')
        return tone;
    snprintf(fault, room, "no tone; parts are as 440+480/2000, with commas between: hertz and milliseconds");
    free(tone);
    return NULL;
}

uint64_t tone_samples(const struct tone *tone) {
    uint64_t samples = 0;
    for (int i = 0; i < tone->count; i++)
        samples += tone->parts[i].samples;
    return samples;
}

static double wave(const struct part *part, double seconds) {
    if (part->modulated) {
        double depth = 0.5 * (1 + sin(2 * M_PI * part->hertz[1] * seconds));
        return LEVEL * depth * sin(2 * M_PI * part->hertz[0] * seconds);
    }
    double sum = 0;
    for (int i = 0; i < part->count; i++)
        sum += sin(2 * M_PI * part->hertz[i] * seconds);
    return LEVEL / sqrt(part->count) * sum;
}

/* Tones that begin and end at once click. */
static double ramp(const struct tone *tone, const struct part *part) {
    uint64_t length = (uint64_t)tone->rate * RAMP_MILLISECONDS / 1000, left = part->samples - tone->place;
    uint64_t edge = tone->place < left ? tone->place : left;
    return tone->count == 1 || edge >= length ? 1 : (double)edge / (double)length;
}

size_t tone_run(struct tone *tone, int16_t *samples, size_t room) {
    size_t made = 0;
    while (made < room && tone->at < tone->count) {
        const struct part *part = &tone->parts[tone->at];
        double value = part->hertz[0] == 0 ? 0 : wave(part, (double)tone->place / tone->rate) * ramp(tone, part);
        samples[made++] = (int16_t)lrint(value);
        if (++tone->place >= part->samples) {
            tone->place = 0;
            tone->at++;
        }
    }
    return made;
}

void tone_free(struct tone *tone) {
    free(tone);
}
