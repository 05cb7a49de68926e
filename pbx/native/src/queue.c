#include "queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "library.h"

/* Beyond this many waiting events, those that a peer can cause at will are dropped: a caller that stands still must not
   make the engine grow. */
#define EVENTS_WAITING 100000

struct command *command_new(enum command_kind kind, uint64_t stream) {
    struct command *command = calloc(1, sizeof *command);
    if (command != NULL) {
        command->kind = kind;
        command->stream = stream;
    }
    return command;
}

void sounds_free(struct sounds *sounds) {
    for (int i = 0; sounds != NULL && i < sounds->count; i++)
        free(sounds->names[i]);
    free(sounds);
}

void command_free(struct command *command) {
    if (command == NULL)
        return;
    if (command->kind == COMMAND_SOUND)
        sound_release(command->pointer);
    if (command->kind == COMMAND_OPEN && command->pair != NULL)
        pair_close(command->pair);
    if (command->kind == COMMAND_SET_KEYS && command->keys != NULL)
        explicit_bzero(command->keys, sizeof *command->keys);
    if (command->kind == COMMAND_PLAY)
        sounds_free(command->sounds);
    else
        free(command->text); /* whichever of the union it is */
    free(command);
}

static void ring(int fd) {
    eventfd_write(fd, 1); /* fails only when the counter is full, and then it is readable */
}

bool inbox_init(struct inbox *inbox) {
    *inbox = (struct inbox){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    inbox->tail = &inbox->head;
    pthread_mutex_init(&inbox->lock, NULL);
    return inbox->fd >= 0;
}

void inbox_destroy(struct inbox *inbox) {
    for (struct command *command = inbox->head, *next; command != NULL; command = next) {
        next = command->next;
        command_free(command);
    }
    if (inbox->fd >= 0)
        close(inbox->fd);
    pthread_mutex_destroy(&inbox->lock);
}

void inbox_put(struct inbox *inbox, struct command *command) {
    command->next = NULL;
    pthread_mutex_lock(&inbox->lock);
    bool first = inbox->head == NULL;
    *inbox->tail = command;
    inbox->tail = &command->next;
    pthread_mutex_unlock(&inbox->lock);
    if (first)
        ring(inbox->fd);
}

struct command *inbox_take(struct inbox *inbox) {
    eventfd_t count;
    eventfd_read(inbox->fd, &count);
    pthread_mutex_lock(&inbox->lock);
    struct command *list = inbox->head;
    inbox->head = NULL;
    inbox->tail = &inbox->head;
    pthread_mutex_unlock(&inbox->lock);
    return list;
}

bool outlet_init(struct outlet *outlet) {
    *outlet = (struct outlet){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    outlet->tail = &outlet->head;
    pthread_mutex_init(&outlet->lock, NULL);
    return outlet->fd >= 0;
}

static void free_nodes(struct event_node *list) {
    for (struct event_node *node = list, *next; node != NULL; node = next) {
        next = node->next;
        free(node);
    }
}

void outlet_destroy(struct outlet *outlet) {
    free_nodes(outlet->head);
    free_nodes(outlet->taken);
    if (outlet->fd >= 0)
        close(outlet->fd);
    pthread_mutex_destroy(&outlet->lock);
}

struct event_node *event_new(enum engine_event_kind kind, uint64_t stream, uint64_t object) {
    struct event_node *node = calloc(1, sizeof *node);
    if (node != NULL) {
        node->event.kind = kind;
        node->event.stream = stream;
        node->event.object = object;
    }
    return node;
}

static bool may_be_dropped(const struct event_node *node) {
    enum engine_event_kind kind = node->event.kind;
    return kind == ENGINE_DIGIT || kind == ENGINE_LATCHED || kind == ENGINE_NO_MEDIA || kind == ENGINE_ACTIVE_SPEAKER;
}

void outlet_put(struct outlet *outlet, struct event_node *node) {
    pthread_mutex_lock(&outlet->lock);
    bool first = false;
    if (node == NULL || (outlet->count >= EVENTS_WAITING && may_be_dropped(node))) {
        outlet->dropped++;
        free(node);
    } else {
        first = outlet->head == NULL;
        node->next = NULL;
        *outlet->tail = node;
        outlet->tail = &node->next;
        outlet->count++;
    }
    pthread_mutex_unlock(&outlet->lock);
    if (first)
        ring(outlet->fd);
}

/* The whole queue is taken at once, since packet threads wait for its lock. */
static void take_all(struct outlet *outlet) {
    pthread_mutex_lock(&outlet->lock);
    outlet->taken = outlet->head;
    outlet->head = NULL;
    outlet->tail = &outlet->head;
    pthread_mutex_unlock(&outlet->lock);
}

int outlet_drain(struct outlet *outlet, struct engine_event *events, int room) {
    int count = 0;
    eventfd_t rung;
    eventfd_read(outlet->fd, &rung);
    if (outlet->taken == NULL)
        take_all(outlet);
    while (count < room && outlet->taken != NULL) {
        struct event_node *node = outlet->taken;
        outlet->taken = node->next;
        events[count++] = node->event;
        free(node);
    }
    pthread_mutex_lock(&outlet->lock);
    outlet->count -= (uint64_t)count;
    bool more = outlet->taken != NULL || outlet->head != NULL;
    pthread_mutex_unlock(&outlet->lock);
    if (more)
        ring(outlet->fd);
    return count;
}

uint64_t outlet_dropped(struct outlet *outlet) {
    pthread_mutex_lock(&outlet->lock);
    uint64_t dropped = outlet->dropped;
    pthread_mutex_unlock(&outlet->lock);
    return dropped;
}
