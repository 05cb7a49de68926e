/*
 * Recorded packets on their way from a packet thread to a file.
 *
 * The packet thread copies payloads into blocks; a writer thread decodes them, lays each side out on the recording's line of
 * time and writes. A tape is made by the packet thread and from then on belongs to its writer; the last block tells the
 * writer to finish it. Blocks of one tape arrive in order.
 */
#ifndef TANDEM_TAPE_H
#define TANDEM_TAPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../include/engine.h"
#include "clock.h"
#include "codec.h"

struct engine;
struct worker;

enum { TAPE_BLOCK = 4352 - 64 }; /* octets of packets in a block: 192 ms of G.711, both sides, and the largest packet */

struct tape_packet { /* followed by the payload, and padded to eight octets */
    uint64_t arrival;            /* ns */
    uint32_t timestamp;
    uint32_t feed;               /* changes when the source or its line of timestamps does */
    struct codec_format format;  /* of an event or comfort noise: no payload, and silence */
    uint16_t sequence, length;
    uint8_t side;
    bool marker;
    bool fresh;                  /* the first after the start or a pause: what is missing before it was not lost */
};

enum tape_end { TAPE_GOES_ON, TAPE_ENDS };

struct tape_block {
    struct tape_block *next;
    struct tape *tape;
    uint64_t until;              /* ns: everything that arrived before is in this block or earlier ones */
    enum tape_end end;
    const char *failure;         /* with TAPE_ENDS: why it must end early; NULL if it need not. A constant. */
    uint64_t missing;            /* with TAPE_ENDS: ns in which nothing came though it was due, both sides */
    uint32_t used;
    _Alignas(8) uint8_t data[TAPE_BLOCK];
};

struct line { /* one side on the line of time; positions are samples of the file since its start */
    bool anchored;
    struct codec_format format;
    struct decoder *decoder;
    uint32_t feed;
    uint32_t timestamp;          /* which lies at ... */
    int64_t position;
    uint16_t next_sequence;      /* behind the newest packet's */
    uint64_t came;               /* a bit for each of the numbers before: the lowest is the newest */
    uint64_t arrival;            /* of the last packet, ns */
    int64_t end;                 /* behind the last sample */
    int64_t least, most;         /* lateness seen lately */
    unsigned counted;            /* packets that this was seen over */
};

struct tape_window { /* a writer's, lent to one tape after the other; a sample of each side a frame */
    int16_t *frames;
    size_t length, room;
};

struct tape {
    /* Fixed. */
    struct engine *engine;
    uint64_t id;
    char *path, *part;           /* the name in the end, and until then */
    char *wav;                   /* the name in the end if it is a WAV; that of `path`, or the same with another suffix */
    enum engine_format format;
    uint32_t rate;               /* Hz */
    unsigned sides, channels;    /* of one channel for two sides, it is their sum */
    uint64_t start;              /* ns */

    /* Of the writer. */
    int fd;                      /* -1 before it is opened and after it failed */
    bool failed;
    struct line lines[2];
    int64_t written;             /* what lies before is in the file or is silence */
    int64_t length;              /* of the sound in the file */
    int16_t *kept;               /* what lies from `written` on, interleaved: what may still change between two blocks */
    size_t kept_length, kept_room;
    struct tape_window *window;  /* the same while a block is worked on */
    int64_t gaps;                /* samples of silence where packets were missing, both sides */

    /* Of the finisher. */
    struct tape *next;
};

/* Where a moment lies. A packet may have arrived before the start: it was held back until its source had proven itself. */
static inline int64_t tape_position(const struct tape *tape, uint64_t time) {
    return time <= tape->start ? 0 : (int64_t)clock_units(time - tape->start, tape->rate);
}

/* NULL when memory is exhausted. */
struct tape *tape_new(struct worker *worker, uint64_t id, const char *path, uint32_t rate, unsigned sides,
                      const struct engine_tape *wanted);
void tape_free(struct tape *tape);

/* The writer's part: carries a block out. True when the tape is over, and the file shall be finished. */
bool tape_take(struct tape *tape, const struct tape_block *block, struct tape_window *window);
/* The finisher's part: on disk for certain. A WAV gets its own name, the caller is told, and the tape is freed; true for
   one that is to be converted first. */
bool tape_finish(struct tape *tape);
/* The converter's part: written in its own format, or else left as the WAV that it is; as above. Converting a long one takes
   time, in which `alive` is called every now and then. */
void tape_convert(struct tape *tape, void (*alive)(void *), void *argument);

/* Gives a file another name, never over another file; false and errno when it can't. */
bool file_name(const char *from, const char *to);

/* align.c: decodes a packet and puts its samples where they belong. */
void line_place(struct tape *tape, struct line *line, const struct tape_packet *packet);
/* tape.c: samples of a side at a position, which may be in the past. */
void tape_lay(struct tape *tape, unsigned side, int64_t position, const int16_t *samples, size_t count);

#endif
