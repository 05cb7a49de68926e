#include "talker.h"

#include <math.h>
#include <stddef.h>

#define FULL (32768.0f * 32768.0f)
#define FAINT 1000.0f        /* mean square, -60 dBov: what is below is silence on any line */
#define QUIET 10000.0f       /* -50 dBov: nobody talks that softly */
#define ABOVE_BACKGROUND 8.0f /* 9 dB */
#define ONSET 60             /* ms: a click is no speech */
#define SPEECH_LASTS 300     /* ms: the pauses within a sentence */
#define MIXED_FOR 500        /* ms */

#define LOUDER 4.0f          /* 6 dB: so much louder takes the floor from one who talks on ... */
#define TAKES 400            /* ... after so many ms */
#define BEGINS 100           /* ms: what an empty floor takes */
#define EMPTY 1500           /* ms of silence until nobody has it */
#define AT_LEAST 400         /* ms between two changes */

void talker_hear(struct talker *talker, uint32_t power, int milliseconds) {
    float now = (float)power;
    talker->loudness += (now - talker->loudness) * fminf(1.0f, (float)milliseconds / 60.0f);
    /* The background falls at once to what is quieter and rises by 6 dB in ten seconds: a fan becomes background, a sentence,
       which has its pauses, doesn't. */
    if (talker->background == 0)
        talker->background = FAINT;
    if (now < talker->background)
        talker->background = fmaxf(now, 1.0f);
    else
        talker->background *= 1.0f + 0.00014f * (float)milliseconds;
    bool loud = now > QUIET && now > ABOVE_BACKGROUND * fminf(talker->background, FULL / 1000);
    talker->onset = loud ? talker->onset + milliseconds : 0;
    if (loud && (talker->onset >= ONSET || talker->speech > 0))
        talker->speech = SPEECH_LASTS;
    else
        talker->speech = talker->speech > milliseconds ? talker->speech - milliseconds : 0;
    talker->heard = now > FAINT ? MIXED_FOR : talker->heard > milliseconds ? talker->heard - milliseconds : 0;
}

int talker_level(const struct talker *talker) {
    if (talker->loudness < 1.0f)
        return -127;
    int level = (int)lroundf(10.0f * log10f(talker->loudness / FULL));
    return level < -127 ? -127 : level > 0 ? 0 : level;
}

static bool give(struct floor *floor, uint64_t id) {
    floor->holder = id;
    floor->rival = 0;
    floor->rival_for = floor->silent_for = floor->told_before = 0;
    return true;
}

bool floor_judge(struct floor *floor, const struct talker *holder, uint64_t loudest_id, const struct talker *loudest,
                 int milliseconds) {
    bool held = holder != NULL && talker_talks(holder);
    floor->told_before += floor->told_before < AT_LEAST ? milliseconds : 0;
    floor->silent_for = held || loudest_id != 0 ? 0 : floor->silent_for + milliseconds;
    if (floor->holder != 0 && holder == NULL)
        return give(floor, 0);
    if (floor->silent_for >= EMPTY && floor->holder != 0)
        return give(floor, 0);
    bool challenged = loudest_id != 0 && loudest_id != floor->holder &&
                      (!held || loudest->loudness > LOUDER * holder->loudness);
    if (!challenged) {
        floor->rival = 0;
        floor->rival_for = 0;
        return false;
    }
    if (floor->rival != loudest_id) {
        floor->rival = loudest_id;
        floor->rival_for = 0;
    }
    floor->rival_for += milliseconds;
    return floor->rival_for >= (held ? TAKES : BEGINS) && floor->told_before >= AT_LEAST && give(floor, loudest_id);
}
