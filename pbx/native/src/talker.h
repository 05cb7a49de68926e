/*
 * Who talks: whether a member of a mix does, by its loudness against its own background, and which of them has the floor.
 * Pure. Time goes by ticks of a length that the caller says.
 */
#ifndef TANDEM_TALKER_H
#define TANDEM_TALKER_H

#include <stdbool.h>
#include <stdint.h>

struct talker { /* one member */
    float background;            /* mean square of what it sends when it doesn't talk */
    float loudness;              /* mean square, smoothed over some 60 ms */
    int onset;                   /* ms of sound without a pause */
    int speech;                  /* ms for which it still counts as talking */
    int heard;                   /* ms for which it still is worth mixing */
};

struct floor { /* of a mix */
    uint64_t holder;             /* 0: nobody talks */
    uint64_t rival;
    int rival_for, silent_for;   /* ms */
    int told_before;             /* ms since the holder changed */
};

/* A tick of a member's sound, by its mean square. */
void talker_hear(struct talker *talker, uint32_t power, int milliseconds);
static inline bool talker_talks(const struct talker *talker) { return talker->speech > 0; }
/* Whether the member is to be mixed: it is not silent, or was not a moment ago. Lower than talking by far: the end of a word
   counts. */
static inline bool talker_counts(const struct talker *talker) { return talker->heard > 0; }
/* In dBov (RFC 6464): 0 as loud as can be, -127 silence. */
int talker_level(const struct talker *talker);

/* A tick of the floor: the loudest of those who talk is `loudest` (0: nobody does), `holder` the talker who has it (NULL: it
   left). True when the holder changed. */
bool floor_judge(struct floor *floor, const struct talker *holder, uint64_t loudest_id, const struct talker *loudest,
                 int milliseconds);

#endif
