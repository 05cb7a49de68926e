/* The packet thread's side of a recording: copies what its streams receive into blocks for the writer. */
#ifndef TANDEM_RECORDER_H
#define TANDEM_RECORDER_H

#include "stream.h"
#include "tape.h"
#include "worker.h"

struct tap { /* a recording of a stream */
    struct tap *next;
    struct recording *recording;
    uint8_t side;
    uint32_t feed;               /* of the last packet */
    bool fresh;
    bool awaited;                /* packets are to come: neither is the peer on hold nor muted */
    bool dropped;                /* what came since the last packet in the file had no room in memory */
    uint64_t due;                /* since when a packet is due: the last one, or the beginning */
};

struct recording {
    struct worker *worker;
    uint64_t id;
    struct tape *tape;
    struct tap **lists[2];       /* of what is recorded; NULL: none, or closed */
    struct tap taps[2];
    struct tape_block *block;    /* being filled; NULL: none */
    bool paused;
    bool behind;                 /* the disk's being so was told */
    uint64_t missing;            /* ns in which nothing came though it was due, both sides */
    bool unsettled;              /* the writer still holds back what is youngest */
    struct recording *next, **place; /* in one of the worker's turns */
    struct timer maximum;
};

/* `right` NULL: of `left` alone. Told by an event when it can't be. */
void recorder_start(struct worker *worker, uint64_t id, struct stream *left, struct stream *right, const char *path,
                    const struct engine_tape *wanted);
/* Of what is given to `taps` by recorder_take, at a rate that suits `rate`. */
void recorder_start_on(struct worker *worker, uint64_t id, struct tap **taps, uint32_t rate, const char *path,
                       const struct engine_tape *wanted);
void recorder_pause(struct worker *worker, uint64_t id, bool paused);
void recorder_stop(struct worker *worker, uint64_t id);
/* A packet of what is recorded; `feed` changes when its source or that one's line of timestamps does. */
void recorder_take(struct worker *worker, struct tap *const *taps, uint64_t feed, const struct packet *packet,
                   const struct codec_format *format);
/* Whether packets are to come from here on; when none does though it should, that is a gap. */
void recorder_expect(struct tap *taps, bool awaited);
/* What is recorded is closed: a recording ends with the last of it. */
void recorder_lose(struct tap **taps);
/* Takes a recording out of its packet thread's hands, and gives it to another. */
void recorder_lift(struct recording *recording);
void recorder_land(struct worker *worker, struct recording *recording);
void recorder_refuse(struct worker *worker, uint64_t id, const char *failure);

#endif
