/* What a listener is made of, for those of its parts that make sound (listener.c, gap.c). */
#ifndef TANDEM_LISTENER_PARTS_H
#define TANDEM_LISTENER_PARTS_H

#include "arrival.h"
#include "backlog.h"
#include "listener.h"
#include "noise.h"
#include "waveform.h"

struct line { /* which sample a timestamp stands for */
    bool known;
    uint32_t ssrc, clock, timestamp;
    int64_t position;            /* of `timestamp` */
    int64_t end;                 /* behind the latest packet */
};

struct listener {
    uint32_t rate;
    uint64_t start;              /* ns: time 0 of this listener */
    struct line line;
    struct arrival arrival;
    struct backlog backlog;
    struct decoder *decoder;
    struct codec_format format;  /* of the decoder */
    struct noise noise;
    struct concealment concealment;
    bool playing;                /* sound was heard lately: the line of time runs */
    bool paused;                 /* the peer said that it is silent, or presses a key */
    bool started, sequence_known;
    uint16_t newest;             /* sequence number put in */
    uint16_t played;             /* sequence number that became sound last */
    int64_t position;            /* of the next sample to be made */
    int64_t made_up;             /* samples made since the last packet, in place of what is missing or silent */
    int64_t duration;            /* of the packets that come */
    int64_t step;                /* see align */
    uint16_t signs;              /* packets since the newest one of sound that were none */
    bool joined;                 /* `played` is of this line */
    unsigned calm;
    struct listener_counts counts;
    size_t ready;                /* samples made and not taken, behind the past */
    size_t past, room;           /* samples of the past that are kept, and room for what is ready */
    int16_t sound[];
};

static inline int64_t samples_of(const struct listener *l, int64_t milliseconds) {
    return milliseconds * l->rate / 1000;
}

static inline int16_t *end_of_sound(struct listener *l) {
    return l->sound + l->past + l->ready;
}

#endif
