/*
 * One sound to many peers: what several speakers are to say alike is encoded once for each codec.
 */
#ifndef TANDEM_CHORUS_H
#define TANDEM_CHORUS_H

#include "speaker.h"

struct part { /* what is spoken in one codec, and by whom this time */
    struct part *next;
    struct voice *voice;
    unsigned idle;               /* rounds without a singer */
    size_t count, room;
    struct speaker **singers;
};

struct chorus {
    struct part *parts;
};

/* Lets a speaker say what is sung next; false if it can't be (it speaks nothing, or memory is exhausted). */
bool chorus_join(struct chorus *chorus, struct speaker *speaker);
/* Speaks for all who have joined since the last time. */
void chorus_sing(struct chorus *chorus, const int16_t *samples, size_t count, enum heard heard);
void chorus_free(struct chorus *chorus);

#endif
