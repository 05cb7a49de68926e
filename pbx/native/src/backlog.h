/* Packets that wait for their turn, in the order of their place on the line of time. */
#ifndef TANDEM_BACKLOG_H
#define TANDEM_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"

enum { BACKLOG_ROOM = 64 };

struct waiting { /* a packet, followed by its payload */
    int64_t position;            /* of its first sample */
    struct codec_format format;
    uint32_t duration;           /* samples, as the payload says */
    uint16_t sequence, length;
    uint16_t signs;              /* packets between the one before and this that were no sound */
    uint8_t payload[];
};

struct backlog { /* a ring */
    struct waiting *ring[BACKLOG_ROOM];
    unsigned first, count;
};

enum backlog_result { BACKLOG_TAKEN, BACKLOG_DUPLICATE, BACKLOG_NO_ROOM };

/* Takes the packet over unless it says otherwise. */
enum backlog_result backlog_put(struct backlog *backlog, struct waiting *packet);
/* The first one, or NULL; it stays. */
static inline struct waiting *backlog_first(const struct backlog *backlog) {
    return backlog->count == 0 ? NULL : backlog->ring[backlog->first];
}
static inline struct waiting *backlog_last(const struct backlog *backlog) {
    return backlog->count == 0 ? NULL : backlog->ring[(backlog->first + backlog->count - 1) % BACKLOG_ROOM];
}
/* Removes the first one and hands it over. */
struct waiting *backlog_take(struct backlog *backlog);
void backlog_clear(struct backlog *backlog);

#endif
