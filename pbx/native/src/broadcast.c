#include "broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Lists that nobody hears are remembered up to so many. */
#define REMEMBERED 64

struct broadcast {
    struct broadcast *next;
    int count, item, listeners;
    uint64_t since;              /* ns: when the sound began, or how far into it the list stands still */
    char *names[];
};

void broadcasts_init(struct broadcasts *broadcasts) {
    *broadcasts = (struct broadcasts){0};
    pthread_mutex_init(&broadcasts->lock, NULL);
}

static void forget(struct broadcasts *broadcasts, struct broadcast **place) {
    struct broadcast *broadcast = *place;
    *place = broadcast->next;
    for (int i = 0; i < broadcast->count; i++)
        free(broadcast->names[i]);
    free(broadcast);
    broadcasts->count--;
}

void broadcasts_destroy(struct broadcasts *broadcasts) {
    while (broadcasts->list != NULL)
        forget(broadcasts, &broadcasts->list);
    pthread_mutex_destroy(&broadcasts->lock);
}

static bool is_of(const struct broadcast *broadcast, const struct sounds *sounds) {
    if (broadcast->count != sounds->count)
        return false;
    for (int i = 0; i < sounds->count; i++)
        if (strcmp(broadcast->names[i], sounds->names[i]) != 0)
            return false;
    return true;
}

static struct broadcast *add(struct broadcasts *broadcasts, const struct sounds *sounds) {
    struct broadcast *broadcast = calloc(1, sizeof *broadcast + (size_t)sounds->count * sizeof broadcast->names[0]);
    if (broadcast == NULL)
        return NULL;
    broadcast->next = broadcasts->list;
    broadcasts->list = broadcast;
    broadcasts->count++;
    for (; broadcast->count < sounds->count; broadcast->count++)
        if ((broadcast->names[broadcast->count] = strdup(sounds->names[broadcast->count])) == NULL) {
            forget(broadcasts, &broadcasts->list);
            return NULL;
        }
    for (struct broadcast **place = &broadcast->next; *place != NULL && broadcasts->count > REMEMBERED;) {
        if ((*place)->listeners == 0)
            forget(broadcasts, place);
        else
            place = &(*place)->next;
    }
    return broadcast;
}

struct broadcast *broadcast_join(struct broadcasts *broadcasts, const struct sounds *sounds, uint64_t now) {
    pthread_mutex_lock(&broadcasts->lock);
    struct broadcast *broadcast = broadcasts->list;
    while (broadcast != NULL && !is_of(broadcast, sounds))
        broadcast = broadcast->next;
    if (broadcast == NULL)
        broadcast = add(broadcasts, sounds);
    if (broadcast != NULL && broadcast->listeners++ == 0)
        broadcast->since = now - broadcast->since;
    pthread_mutex_unlock(&broadcasts->lock);
    return broadcast;
}

/* Threads have their own idea of now, a few milliseconds apart. */
static uint64_t passed(const struct broadcast *broadcast, uint64_t now) {
    return now > broadcast->since ? now - broadcast->since : 0;
}

void broadcast_leave(struct broadcasts *broadcasts, struct broadcast *broadcast, uint64_t now) {
    pthread_mutex_lock(&broadcasts->lock);
    if (--broadcast->listeners == 0)
        broadcast->since = passed(broadcast, now);
    pthread_mutex_unlock(&broadcasts->lock);
}

static struct broadcast_place place_of(const struct broadcast *broadcast, uint64_t now) {
    return (struct broadcast_place){.item = broadcast->item, .milliseconds = passed(broadcast, now) / MILLISECOND};
}

struct broadcast_place broadcast_place(struct broadcasts *broadcasts, struct broadcast *broadcast, uint64_t now) {
    pthread_mutex_lock(&broadcasts->lock);
    struct broadcast_place place = place_of(broadcast, now);
    pthread_mutex_unlock(&broadcasts->lock);
    return place;
}

struct broadcast_place broadcast_next(struct broadcasts *broadcasts, struct broadcast *broadcast, int item, uint64_t now) {
    pthread_mutex_lock(&broadcasts->lock);
    if (broadcast->item == item) {
        broadcast->item = (item + 1) % broadcast->count;
        broadcast->since = now;
    }
    struct broadcast_place place = place_of(broadcast, now);
    pthread_mutex_unlock(&broadcasts->lock);
    return place;
}
