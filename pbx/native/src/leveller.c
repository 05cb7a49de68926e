#include "leveller.h"

#include <math.h>
#include <stdlib.h>

#define FLOOR_AT_FIRST (-50.0)
#define LOWEST (-75.0)
#define RISE 3.0       /* dB a second that the floor rises by while all is louder */
#define STANDS_OUT 9.0 /* dB above the floor: speech */
#define FAINTEST (-60.0)
#define HOLD 200       /* ms: pauses within speech */
#define MEMORY 1000.0  /* ms of speech that its loudness is of */
#define SOFTER (-24.0)
#define LOUDER 24.0
#define UP 12.0        /* dB a second */
#define DOWN 40.0
#define CEILING 29000.0

void leveller_start(struct leveller *l) {
    *l = (struct leveller){.floor = FLOOR_AT_FIRST, .applied = 1};
}

bool leveller_hears_speech(const struct leveller *l) {
    return l->hold > 0;
}

static double between(double value, double least, double most) {
    return value < least ? least : value > most ? most : value;
}

/* Whether the frame itself stands out. */
static bool judge(struct leveller *l, double power, int milliseconds) {
    double loud = power > 0 ? 10 * log10(power) : -120;
    if (loud < l->floor)
        l->floor = fmax(LOWEST, (l->floor + loud) / 2);
    else
        l->floor = fmin(loud, l->floor + RISE * milliseconds / 1000);
    bool speech = loud > FAINTEST && loud > l->floor + STANDS_OUT;
    l->hold = speech ? HOLD : l->hold > milliseconds ? l->hold - milliseconds : 0;
    return speech;
}

static void follow(struct leveller *l, double power, int milliseconds, int level) {
    l->heard = fmin(MEMORY, l->heard + milliseconds);
    l->loudness += (power - l->loudness) * milliseconds / l->heard;
    double wanted = between(level - 10 * log10(l->loudness), SOFTER, LOUDER);
    l->gain += between(wanted - l->gain, -DOWN * milliseconds / 1000, UP * milliseconds / 1000);
}

void leveller_run(struct leveller *l, int16_t *samples, size_t count, int milliseconds, int level) {
    double power = 0, peak = 1;
    for (size_t i = 0; i < count; i++) {
        power += (double)samples[i] * samples[i];
        peak = fmax(peak, abs(samples[i]));
    }
    power /= (double)count * 32768 * 32768;
    if (judge(l, power, milliseconds) && level != 0)
        follow(l, power, milliseconds, level);
    if (level == 0)
        return;
    /* Softer at once where it would be too loud, else without a step. */
    double most = CEILING / peak, to = fmin(most, pow(10, l->gain / 20)), from = fmin(most, l->applied);
    for (size_t i = 0; i < count; i++)
        samples[i] = (int16_t)lrint(samples[i] * (from + (to - from) * (double)i / (double)count));
    l->applied = to;
}
