#include "spares.h"

#include <errno.h>
#include <sys/socket.h>

/* Datagrams that are read away from a socket before it is given to a stream. Where that many wait, somebody goes on sending. */
#define STRAY 16

void spares_init(struct spares *spares, int wanted, int traffic_class) {
    *spares = (struct spares){.wanted = wanted > ENGINE_SPARES ? ENGINE_SPARES : wanted, .traffic_class = traffic_class};
    pthread_mutex_init(&spares->lock, NULL);
}

static void empty(struct spare_shelf *shelf) {
    while (shelf->count > 0)
        pair_close(&shelf->pairs[--shelf->count]);
    shelf->address.length = 0;
}

void spares_clear(struct spares *spares) {
    pthread_mutex_lock(&spares->lock);
    spares->wanted = 0;
    for (int i = 0; i < SPARE_ADDRESSES; i++)
        empty(&spares->shelves[i]);
    pthread_mutex_unlock(&spares->lock);
}

/* The shelf of an address, or that which was not asked for longest, emptied for it. */
static struct spare_shelf *shelf_of(struct spares *spares, const struct address *address) {
    struct spare_shelf *oldest = &spares->shelves[0];
    for (int i = 0; i < SPARE_ADDRESSES; i++) {
        struct spare_shelf *shelf = &spares->shelves[i];
        if (address_same_host(&shelf->address, address))
            return shelf;
        if (shelf->asked < oldest->asked)
            oldest = shelf;
    }
    empty(oldest);
    oldest->address = *address;
    return oldest;
}

static bool read_away(int fd) {
    for (int i = 0; i < STRAY; i++)
        if (recv(fd, NULL, 0, MSG_TRUNC) < 0)
            return errno == EAGAIN;
    return false;
}

bool spares_take(struct spares *spares, const struct address *address, struct pair *pair) {
    if (spares->wanted == 0)
        return false;
    bool found = false;
    pthread_mutex_lock(&spares->lock);
    struct spare_shelf *shelf = shelf_of(spares, address);
    shelf->asked = ++spares->asked;
    while (!found && shelf->count > 0) {
        *pair = shelf->pairs[--shelf->count];
        found = read_away(pair->rtp) && read_away(pair->rtcp);
        if (!found)
            pair_close(pair);
    }
    pthread_mutex_unlock(&spares->lock);
    return found;
}

/* An address at which pairs are missing; false if there is none. */
static bool missing(struct spares *spares, struct address *address) {
    bool found = false;
    pthread_mutex_lock(&spares->lock);
    for (int i = 0; i < SPARE_ADDRESSES && !found; i++) {
        const struct spare_shelf *shelf = &spares->shelves[i];
        found = shelf->address.length != 0 && shelf->count < spares->wanted;
        if (found)
            *address = shelf->address;
    }
    pthread_mutex_unlock(&spares->lock);
    return found;
}

/* False if it is not wanted any more. */
static bool keep(struct spares *spares, const struct address *address, const struct pair *pair) {
    bool kept = false;
    pthread_mutex_lock(&spares->lock);
    for (int i = 0; i < SPARE_ADDRESSES && !kept; i++) {
        struct spare_shelf *shelf = &spares->shelves[i];
        kept = address_same_host(&shelf->address, address) && shelf->count < spares->wanted;
        if (kept)
            shelf->pairs[shelf->count++] = *pair;
    }
    pthread_mutex_unlock(&spares->lock);
    return kept;
}

/* Nothing could be bound at an address; why is told to whoever asks for it next. Until then it is forgotten, unless some
   are left and it is only that the range has no more. True if there may be others to look after. */
static bool forgotten(struct spares *spares, const struct address *address) {
    bool found = false;
    pthread_mutex_lock(&spares->lock);
    for (int i = 0; i < SPARE_ADDRESSES && !found; i++) {
        struct spare_shelf *shelf = &spares->shelves[i];
        found = address_same_host(&shelf->address, address) && shelf->count == 0;
        if (found)
            shelf->address.length = 0;
    }
    pthread_mutex_unlock(&spares->lock);
    return found;
}

void spares_fill(struct spares *spares, struct ports *ports) {
    struct address address;
    struct pair pair;
    for (int i = 0; i < SPARE_ADDRESSES * ENGINE_SPARES && missing(spares, &address); i++) {
        if (pair_bind(&pair, ports, &address, spares->traffic_class) == 0) {
            if (!keep(spares, &address, &pair))
                pair_return(&pair);
        } else if (!forgotten(spares, &address)) {
            return;
        }
    }
}

bool spares_give_up(struct spares *spares) {
    bool given = false;
    pthread_mutex_lock(&spares->lock);
    for (int i = 0; i < SPARE_ADDRESSES && !given; i++) {
        struct spare_shelf *shelf = &spares->shelves[i];
        given = shelf->count > 0;
        if (given)
            pair_return(&shelf->pairs[--shelf->count]);
    }
    pthread_mutex_unlock(&spares->lock);
    return given;
}

uint64_t spares_count(struct spares *spares) {
    uint64_t count = 0;
    pthread_mutex_lock(&spares->lock);
    for (int i = 0; i < SPARE_ADDRESSES; i++)
        count += (uint64_t)spares->shelves[i].count;
    pthread_mutex_unlock(&spares->lock);
    return count;
}
