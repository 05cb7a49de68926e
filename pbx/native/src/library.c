#include "library.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "queue.h"
#include "resample.h"
#include "soundfile.h"
#include "thread.h"
#include "tone.h"

#define LONGEST_SECONDS 14400u

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

struct preparation { /* a sound that is not ready yet */
    struct soundfile file;
    struct resampler *resampler;
    struct encoder *encoder;
    uint32_t rate;               /* of the encoder */
    int32_t gain;                /* of 65536 */
    size_t delay;                /* samples of the resampler's that are still to be thrown away */
    size_t frame_samples;
    int16_t *pending;            /* resampled, not yet encoded */
    size_t pending_count, pending_room;
    bool ended;                  /* of the file */
    struct waiter *waiters;
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
    struct preparation *preparation = sound->preparation;
    for (struct waiter *waiter = preparation->waiters, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        deliver(sound, waiter);
    }
    preparation->waiters = NULL;
}

/* The sound is as complete as it will ever be. */
static void finish(struct library *library, struct sound *sound, const char *fault) {
    struct preparation *preparation = sound->preparation;
    if (fault[0] != '\0')
        atomic_fetch_add_explicit(&library->faults, 1, memory_order_relaxed);
    snprintf(sound->fault, sizeof sound->fault, "%s", fault);
    atomic_store_explicit(&sound->complete, true, memory_order_release);
    deliver_all(sound);
    soundfile_close(&preparation->file);
    resampler_free(preparation->resampler);
    encoder_free(preparation->encoder);
    free(preparation->pending);
    free(preparation);
    sound->preparation = NULL;
}

/* What a sound will take, as octets a second. */
static uint64_t rate_of(const struct codec_format *format) {
    switch (format->kind) {
    case CODEC_OPUS:
        return 6000;
    case CODEC_L16:
        return 2u * format->channels * format->clock;
    default:
        return 8000;
    }
}

/* Sounds that are played stay in memory whatever the limit: each has to fit into it, and all together four times. */
static const char *check_size(const struct library *library, const struct sound *sound, char *fault, size_t room) {
    const struct soundfile *file = &sound->preparation->file;
    uint64_t seconds = file->samples / file->rate, limit = (uint64_t)library->engine->options.cache_mebibytes << 20;
    if (seconds > LONGEST_SECONDS)
        return "longer than four hours";
    if (seconds * rate_of(&sound->format) > limit) {
        snprintf(fault, room, "too long: its %llu s would take %llu MiB of the %d that sounds may have",
                 (unsigned long long)seconds, (unsigned long long)(seconds * rate_of(&sound->format) >> 20),
                 library->engine->options.cache_mebibytes);
        return fault;
    }
    return library->octets > 4 * limit ? "too many sounds are played at once for the memory that they may have" : NULL;
}

static const char *prepare(struct library *library, struct sound *sound, char *fault, size_t room) {
    struct preparation *preparation = sound->preparation;
    struct soundfile *file = &preparation->file;
    preparation->rate = codec_rate(&sound->format);
    preparation->gain = (int32_t)lrint(65536 * pow(10, sound->volume / 20.0));
    if (!soundfile_open(file, sound->path, preparation->rate, fault, room))
        return fault;
    const char *too_large = check_size(library, sound, fault, room);
    if (too_large != NULL)
        return too_large;
    preparation->frame_samples = (size_t)preparation->rate * (unsigned)sound->packet_time / 1000;
    preparation->encoder = encoder_new(&sound->format, &(struct encoder_options){.rate = preparation->rate, .band = file->rate});
    if (file->rate != preparation->rate) {
        preparation->resampler = resampler_new(file->rate, preparation->rate);
        if (preparation->resampler == NULL)
            return "out of memory";
        preparation->delay = resampler_delay(preparation->resampler);
    }
    uint64_t samples = file->samples * preparation->rate / file->rate;
    sound->frames = (uint32_t)((samples + preparation->frame_samples - 1) / preparation->frame_samples);
    sound->timestamp_step = (uint32_t)((uint64_t)sound->format.clock * (unsigned)sound->packet_time / 1000);
    sound->chunks = calloc(sound->frames / SOUND_FRAMES + 1, sizeof *sound->chunks);
    preparation->pending_room = preparation->frame_samples + (size_t)SOUNDFILE_BLOCK * preparation->rate / file->rate + 64 +
                                preparation->delay;
    preparation->pending = malloc(preparation->pending_room * sizeof *preparation->pending);
    if (sound->chunks == NULL || preparation->pending == NULL || preparation->encoder == NULL || sound->frames == 0)
        return "out of memory";
    return NULL;
}

/* Adds samples of the file, or after its end silence, to what waits to be encoded. */
static void fill_pending(struct preparation *p) {
    int16_t samples[SOUNDFILE_BLOCK];
    int16_t *end = p->pending + p->pending_count;
    size_t count = p->ended ? 0 : soundfile_read(&p->file, samples), room = p->pending_room - p->pending_count;
    if (count == 0) {
        p->ended = true;
        memset(samples, 0, sizeof samples);
        count = SOUNDFILE_BLOCK;
    } else if (p->gain != 65536) {
        for (size_t i = 0; i < count; i++) {
            int64_t value = (int64_t)samples[i] * p->gain / 65536;
            samples[i] = value > 32767 ? 32767 : value < -32768 ? -32768 : (int16_t)value;
        }
    }
    if (p->resampler == NULL) {
        memcpy(end, samples, count * sizeof *samples);
        p->pending_count += count;
        return;
    }
    size_t made = resampler_run(p->resampler, samples, count, end, room);
    size_t wasted = made < p->delay ? made : p->delay;
    memmove(end, end + wasted, (made - wasted) * sizeof *end);
    p->delay -= wasted;
    p->pending_count += made - wasted;
}

/* One more chunk of frames; NULL, or what went wrong. */
static const char *prepare_chunk(struct library *library, struct sound *sound) {
    struct preparation *p = sound->preparation;
    uint32_t ready = atomic_load_explicit(&sound->ready, memory_order_relaxed);
    uint32_t count = sound->frames - ready < SOUND_FRAMES ? sound->frames - ready : SOUND_FRAMES;
    uint8_t payload[CODEC_OCTETS];
    struct sound_chunk *chunk = NULL;
    size_t used = 0, room = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (p->ended && p->file.approximate) { /* sooner than it said */
            uint32_t left = (uint32_t)((p->pending_count + p->frame_samples - 1) / p->frame_samples);
            count = i + left < count ? i + left : count;
            sound->frames = ready + i + left < sound->frames ? ready + i + left : sound->frames;
            if (i >= count)
                break;
        }
        while (p->pending_count < p->frame_samples)
            fill_pending(p);
        size_t length = encoder_run(p->encoder, p->pending, p->frame_samples, payload);
        if (p->file.broken != NULL) {
            free(chunk);
            return p->file.broken;
        }
        p->pending_count -= p->frame_samples;
        memmove(p->pending, p->pending + p->frame_samples, p->pending_count * sizeof *p->pending);
        if (used + length > room || chunk == NULL) {
            room = (used + length) * (i == 0 ? count : 2);
            struct sound_chunk *larger = realloc(chunk, sizeof *chunk + room);
            if (larger == NULL) {
                free(chunk);
                return "out of memory";
            }
            chunk = larger;
        }
        chunk->offsets[i] = (uint32_t)used;
        memcpy(chunk->data + used, payload, length);
        used += length;
        chunk->offsets[i + 1] = (uint32_t)used;
    }
    if (chunk == NULL)
        return NULL;
    sound->chunks[ready / SOUND_FRAMES] = chunk;
    sound->octets += sizeof *chunk + room;
    library->octets += sizeof *chunk + room;
    atomic_store_explicit(&sound->ready, ready + count, memory_order_release);
    return NULL;
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
    struct preparation *preparation = calloc(1, sizeof *preparation);
    struct stat status = {0};
    const struct sound_wish *wish = &request->wish;
    char *path = soundfile_choose(request->name, (enum codec_kind)wish->format.kind, codec_rate(&wish->format));
    if (sound == NULL || preparation == NULL || path == NULL) {
        free(sound);
        free(preparation);
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
        request->waiter->next = sound->preparation->waiters;
        sound->preparation->waiters = request->waiter;
        char text[ENGINE_TEXT_SIZE];
        const char *fault = new ? prepare(library, sound, text, sizeof text) : NULL;
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
        const char *fault = prepare_chunk(library, sound);
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
            for (struct waiter *waiter = library->sounds->preparation->waiters, *next; waiter != NULL; waiter = next) {
                next = waiter->next;
                free(waiter);
            }
            library->sounds->preparation->waiters = NULL;
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
