#include "library.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "preparation.h"
#include "queue.h"
#include "soundfile.h"
#include "thread.h"
#include "tone.h"

struct waiter {
    struct worker *worker;
    uint64_t stream, play, ticket;
    struct waiter *next;
};

struct sound_request {
    struct sound_request *next;
    struct waiter *waiter;
    char *name;
    struct sound_wish wish;      /* its name is the one above */
};

void sound_release(struct sound *sound) {
    if (sound == NULL || atomic_fetch_sub_explicit(&sound->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; sound->chunks != NULL && i * SOUND_FRAMES < atomic_load(&sound->ready); i++)
        free(sound->chunks[i]);
    free(sound->chunks);
    free(sound->name);
    free(sound->path);
    free(sound);
}

static void deliver(struct sound *sound, struct waiter *waiter) {
    struct command *command = command_new(COMMAND_SOUND, waiter->stream);
    if (command != NULL) {
        atomic_fetch_add_explicit(&sound->references, 1, memory_order_relaxed);
        command->object = waiter->play;
        command->right = waiter->ticket;
        command->pointer = sound;
        inbox_put(&waiter->worker->inbox, command);
    }
    free(waiter);
}

static void deliver_all(struct sound *sound) {
    for (struct waiter *waiter = sound->waiters, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        deliver(sound, waiter);
    }
    sound->waiters = NULL;
}

/* The sound is as complete as it will ever be. */
static void finish(struct library *library, struct sound *sound, const char *fault) {
    if (fault[0] != '\0')
        atomic_fetch_add_explicit(&library->faults, 1, memory_order_relaxed);
    snprintf(sound->fault, sizeof sound->fault, "%s", fault);
    atomic_store_explicit(&sound->complete, true, memory_order_release);
    deliver_all(sound);
    preparation_free(sound->preparation);
    sound->preparation = NULL;
}

static bool is_current(const struct sound *sound) {
    struct stat status;
    if (tone_named(sound->path))
        return true;
    return stat(sound->path, &status) == 0 && status.st_size == sound->size && status.st_ino == sound->inode &&
           status.st_mtim.tv_sec == sound->modified.tv_sec && status.st_mtim.tv_nsec == sound->modified.tv_nsec;
}

static void unlink_sound(struct library *library, struct sound **place) {
    struct sound *sound = *place;
    *place = sound->next;
    library->octets -= sound->octets;
    sound_release(sound);
}

/* Sounds that nobody plays go, those unused longest first, until the rest is within the limit; faulty ones go at once, for
   the file may be mended. */
static void tidy(struct library *library) {
    size_t limit = (size_t)library->engine->options.cache_mebibytes << 20, seen = 0;
    for (struct sound **place = &library->sounds; *place != NULL;) {
        struct sound *sound = *place;
        seen += sound->octets;
        bool idle = sound->preparation == NULL && atomic_load(&sound->references) == 1;
        if (sound->preparation == NULL && (sound->fault[0] != '\0' || (idle && seen > limit))) {
            seen -= sound->octets;
            unlink_sound(library, place);
        } else {
            place = &sound->next;
        }
    }
}

static struct sound *find(struct library *library, const struct sound_request *request) {
    for (struct sound **place = &library->sounds; *place != NULL; place = &(*place)->next) {
        struct sound *sound = *place;
        const struct sound_wish *wish = &request->wish;
        if (strcmp(sound->name, request->name) != 0 || sound->packet_time != wish->packet_time ||
            sound->format.kind != wish->format.kind || sound->format.clock != wish->format.clock ||
            sound->format.channels != wish->format.channels || sound->volume != wish->volume)
            continue;
        if (sound->preparation == NULL && !is_current(sound)) {
            unlink_sound(library, place);
            return NULL;
        }
        *place = sound->next; /* to the front */
        sound->next = library->sounds;
        return library->sounds = sound;
    }
    return NULL;
}

static struct sound *add(struct library *library, struct sound_request *request) {
    struct sound *sound = calloc(1, sizeof *sound);
    struct preparation *preparation = preparation_new();
    struct stat status = {0};
    const struct sound_wish *wish = &request->wish;
    char *path = soundfile_choose(request->name, (enum codec_kind)wish->format.kind, codec_rate(&wish->format));
    if (sound == NULL || preparation == NULL || path == NULL) {
        free(sound);
        preparation_free(preparation);
        free(path);
        return NULL;
    }
    stat(path, &status); /* what it finds is compared only; opening tells what is wrong */
    atomic_store(&sound->references, 1);
    sound->path = path;
    sound->name = request->name;
    request->name = NULL;
    sound->volume = wish->volume;
    sound->modified = status.st_mtim;
    sound->size = status.st_size;
    sound->inode = status.st_ino;
    sound->format = wish->format;
    sound->packet_time = wish->packet_time;
    sound->preparation = preparation;
    sound->next = library->sounds;
    return library->sounds = sound;
}

static void answer(struct library *library, struct sound_request *request) {
    struct sound *sound = find(library, request);
    bool new = sound == NULL;
    if (new)
        sound = add(library, request);
    if (sound == NULL) {
        free(request->waiter); /* the player waits in vain until it is stopped: there is no memory to tell it */
    } else if (atomic_load(&sound->ready) > 0 || sound->preparation == NULL) {
        deliver(sound, request->waiter);
    } else {
        request->waiter->next = sound->waiters;
        sound->waiters = request->waiter;
        char text[ENGINE_TEXT_SIZE];
        struct sound_memory memory = {library->engine->options.cache_mebibytes, library->octets};
        const char *fault = new ? preparation_begin(sound, &memory, text, sizeof text) : NULL;
        if (fault != NULL)
            finish(library, sound, fault);
    }
    free(request->name);
    free(request);
}

/* A chunk of every sound in preparation; false when there is none. */
static bool work(struct library *library) {
    bool busy = false;
    for (struct sound *sound = library->sounds; sound != NULL; sound = sound->next) {
        if (sound->preparation == NULL)
            continue;
        size_t before = sound->octets;
        const char *fault = preparation_chunk(sound);
        library->octets += sound->octets - before;
        if (fault != NULL) {
            finish(library, sound, fault);
        } else if (atomic_load(&sound->ready) == sound->frames) {
            finish(library, sound, sound->frames > 0 ? "" : "a sound file without sound");
        } else {
            deliver_all(sound);
            busy = true;
        }
    }
    tidy(library);
    return busy;
}

static void *run(void *argument) {
    struct library *library = argument;
    bool busy = false;
    thread_lower_priority();
    pthread_mutex_lock(&library->lock);
    for (;;) {
        while (!busy && library->requests == NULL && !library->stopping)
            pthread_cond_wait(&library->wake, &library->lock);
        if (library->stopping)
            break;
        struct sound_request *requests = library->requests;
        library->requests = NULL;
        library->last_request = &library->requests;
        pthread_mutex_unlock(&library->lock);
        for (struct sound_request *next; requests != NULL; requests = next) {
            next = requests->next;
            answer(library, requests);
        }
        busy = work(library);
        pthread_mutex_lock(&library->lock);
    }
    pthread_mutex_unlock(&library->lock);
    return NULL;
}

bool library_start(struct library *library, struct engine *engine) {
    library->engine = engine;
    library->last_request = &library->requests;
    pthread_mutex_init(&library->lock, NULL);
    pthread_cond_init(&library->wake, NULL);
    int fault = thread_start(&library->thread, "pbx-sounds", run, library);
    library->started = fault == 0;
    errno = fault;
    return library->started;
}

void library_stop(struct library *library) {
    if (!library->started)
        return;
    library->started = false;
    pthread_mutex_lock(&library->lock);
    library->stopping = true;
    pthread_cond_signal(&library->wake);
    pthread_mutex_unlock(&library->lock);
    pthread_join(library->thread, NULL);
    for (struct sound_request *request = library->requests, *next; request != NULL; request = next) {
        next = request->next;
        free(request->waiter);
        free(request->name);
        free(request);
    }
    while (library->sounds != NULL) {
        if (library->sounds->preparation != NULL) {
            for (struct waiter *waiter = library->sounds->waiters, *next; waiter != NULL; waiter = next) {
                next = waiter->next;
                free(waiter);
            }
            library->sounds->waiters = NULL;
            finish(library, library->sounds, "the engine was stopped");
        }
        unlink_sound(library, &library->sounds);
    }
    pthread_mutex_destroy(&library->lock);
    pthread_cond_destroy(&library->wake);
}

bool library_request(struct library *library, struct worker *worker, uint64_t stream, uint64_t play, uint64_t ticket,
                     const struct sound_wish *wish) {
    struct sound_request *request = calloc(1, sizeof *request);
    struct waiter *waiter = calloc(1, sizeof *waiter);
    char *copy = strdup(wish->name);
    if (request == NULL || waiter == NULL || copy == NULL) {
        free(request);
        free(waiter);
        free(copy);
        return false;
    }
    *waiter = (struct waiter){.worker = worker, .stream = stream, .play = play, .ticket = ticket};
    *request = (struct sound_request){.waiter = waiter, .name = copy, .wish = *wish};
    pthread_mutex_lock(&library->lock);
    *library->last_request = request;
    library->last_request = &request->next;
    pthread_cond_signal(&library->wake);
    pthread_mutex_unlock(&library->lock);
    return true;
}
