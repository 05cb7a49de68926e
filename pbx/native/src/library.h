/*
 * Sounds prepared for playing: read, resampled and encoded by a thread of their own, kept for whoever plays them next.
 *
 * A long file can be played as soon as its first second is ready; several are prepared in turn, a second of each.
 */
#ifndef TANDEM_LIBRARY_H
#define TANDEM_LIBRARY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "../include/engine.h"
#include "codec.h"

struct engine;
struct worker;

enum { SOUND_FRAMES = 50 }; /* packets kept together */

struct sound_chunk {
    uint32_t offsets[SOUND_FRAMES + 1];
    uint8_t data[];
};

struct sound {
    atomic_uint references;
    /* What it is. */
    struct sound *next;
    char *name;                  /* as it was asked for */
    char *path;                  /* its file, or a tone */
    int volume;                  /* dB */
    struct timespec modified;
    off_t size;
    ino_t inode;
    struct codec_format format;
    int packet_time;
    /* What is ready. Frames below `ready` don't change any more; `frames` is final once `complete`. */
    uint32_t frames;
    uint32_t timestamp_step;     /* RTP clock units a frame */
    atomic_uint ready;
    atomic_bool complete;
    char fault[ENGINE_TEXT_SIZE]; /* valid once complete; empty if all is well */
    struct sound_chunk **chunks;
    size_t octets;
    struct preparation *preparation; /* NULL: it is as complete as it will ever be */
    struct waiter *waiters;      /* for its beginning */
};

struct library {
    struct engine *engine;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stopping;
    struct sound_request *requests, **last_request;
    atomic_uint_fast64_t faults; /* sounds that could not be played, or not to their end */
    /* Of the thread alone. */
    struct sound *sounds;        /* the one used last first */
    size_t octets;
};

struct sound_wish {
    const char *name;
    struct codec_format format;
    int packet_time;
    int volume;                  /* dB */
};

bool library_start(struct library *library, struct engine *engine);
void library_stop(struct library *library);

/* Asks for a sound; a COMMAND_SOUND for `stream`, `play` and `ticket` with the sound (one reference, to be released) comes to
   the worker. False when memory is exhausted. */
bool library_request(struct library *library, struct worker *worker, uint64_t stream, uint64_t play, uint64_t ticket,
                     const struct sound_wish *wish);

/* A frame below `ready`. */
static inline const uint8_t *sound_frame(const struct sound *sound, uint32_t frame, size_t *length) {
    const struct sound_chunk *chunk = sound->chunks[frame / SOUND_FRAMES];
    uint32_t start = chunk->offsets[frame % SOUND_FRAMES];
    *length = chunk->offsets[frame % SOUND_FRAMES + 1] - start;
    return chunk->data + start;
}
void sound_release(struct sound *sound);

#endif
