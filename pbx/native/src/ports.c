#include "ports.h"

#include <stdlib.h>

#include "random.h"

bool ports_init(struct ports *ports, int first, int last, uint64_t drain) {
    if (first < 1 || last > 65535 || last - (first + first % 2) < 1)
        return false;
    *ports = (struct ports){.first = (uint16_t)(first + first % 2), .drain = drain};
    ports->pairs = (uint32_t)(last - ports->first + 1) / 2;
    ports->free = calloc(ports->pairs, sizeof *ports->free);
    ports->resting = calloc(ports->pairs, sizeof *ports->resting);
    if (ports->free == NULL || ports->resting == NULL) {
        free(ports->free);
        free(ports->resting);
        *ports = (struct ports){0};
        return false;
    }
    for (uint32_t i = 0; i < ports->pairs; i++)
        ports->free[i] = (uint16_t)(ports->first + 2 * i);
    ports->free_count = ports->pairs;
    pthread_mutex_init(&ports->lock, NULL);
    return true;
}

void ports_destroy(struct ports *ports) {
    pthread_mutex_destroy(&ports->lock);
    free(ports->free);
    free(ports->resting);
}

uint16_t ports_take(struct ports *ports, uint64_t now) {
    uint16_t port = 0;
    pthread_mutex_lock(&ports->lock);
    while (ports->resting_count > 0 && ports->resting[ports->resting_head].until <= now) {
        ports->free[ports->free_count++] = ports->resting[ports->resting_head].port;
        ports->resting_head = (ports->resting_head + 1) % ports->pairs;
        ports->resting_count--;
    }
    if (ports->free_count > 0) {
        uint32_t chosen = random_32() % ports->free_count;
        port = ports->free[chosen];
        ports->free[chosen] = ports->free[--ports->free_count];
    }
    pthread_mutex_unlock(&ports->lock);
    return port;
}

void ports_give(struct ports *ports, uint16_t port, uint64_t now) {
    pthread_mutex_lock(&ports->lock);
    uint32_t tail = (ports->resting_head + ports->resting_count++) % ports->pairs;
    ports->resting[tail] = (struct resting){port, now + ports->drain};
    pthread_mutex_unlock(&ports->lock);
}

void ports_return(struct ports *ports, uint16_t port) {
    pthread_mutex_lock(&ports->lock);
    ports->free[ports->free_count++] = port;
    pthread_mutex_unlock(&ports->lock);
}

void ports_count(struct ports *ports, uint64_t *free, uint64_t *resting) {
    pthread_mutex_lock(&ports->lock);
    *free = ports->free_count;
    *resting = ports->resting_count;
    pthread_mutex_unlock(&ports->lock);
}
