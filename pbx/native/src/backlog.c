#include "backlog.h"

#include <stdlib.h>

enum backlog_result backlog_put(struct backlog *backlog, struct waiting *packet) {
    unsigned place = backlog->count;
    while (place > 0) {
        const struct waiting *before = backlog->ring[(backlog->first + place - 1) % BACKLOG_ROOM];
        if (before->position == packet->position && before->sequence == packet->sequence)
            return BACKLOG_DUPLICATE;
        if (before->position <= packet->position)
            break;
        place--;
    }
    if (backlog->count == BACKLOG_ROOM)
        return BACKLOG_NO_ROOM;
    for (unsigned i = backlog->count; i > place; i--)
        backlog->ring[(backlog->first + i) % BACKLOG_ROOM] = backlog->ring[(backlog->first + i - 1) % BACKLOG_ROOM];
    backlog->ring[(backlog->first + place) % BACKLOG_ROOM] = packet;
    backlog->count++;
    return BACKLOG_TAKEN;
}

struct waiting *backlog_take(struct backlog *backlog) {
    struct waiting *packet = backlog_first(backlog);
    if (packet != NULL) {
        backlog->first = (backlog->first + 1) % BACKLOG_ROOM;
        backlog->count--;
    }
    return packet;
}

void backlog_clear(struct backlog *backlog) {
    while (backlog->count > 0)
        free(backlog_take(backlog));
}
