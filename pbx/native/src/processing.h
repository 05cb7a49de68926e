/*
 * What is done to the sound that a peer sends, where it was asked for: noise suppression, level, echo cancellation, and telling
 * speech from the rest (speexdsp).
 *
 * It stands behind a listener and works in frames of 20 or 10 ms, at the rate and in the frames of whoever takes the sound; when
 * these change it learns anew. What comes out is later by a frame. It belongs to its stream's packet thread.
 *
 * The echo is of what the peer is sent: that is told by processing_refer as it leaves. The two threads of time, what is sent and
 * what is heard, go at one pace, so that the oldest of what was sent stands beside what is heard; the filter finds how much later
 * the echo is, as long as it comes within the tail that was asked for.
 */
#ifndef TANDEM_PROCESSING_H
#define TANDEM_PROCESSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/engine.h"

enum {
    PROCESSING_LONG = 20,        /* ms of the frames, where what is taken at a time is a multiple of them */
    PROCESSING_SHORT = 10        /* ms, else */
};

struct processing;

/* Whether this build has what it takes. */
bool processing_available(void);
/* NULL when memory is exhausted, or this build can't. */
struct processing *processing_new(const struct engine_processing *wish);
void processing_free(struct processing *processing);
/* Whether it wants to be told what the peer is sent. */
bool processing_wants_reference(const struct processing *processing);
/* Sound that the peer is sent, or silence where it is sent something else. */
void processing_refer(struct processing *processing, const int16_t *samples, size_t count, uint32_t rate);
/* Changes sound in place; `count` is of a multiple of 10 ms, at 8000, 16000 or 48000 Hz. Left as it is when memory is exhausted. */
void processing_run(struct processing *processing, int16_t *samples, size_t count, uint32_t rate);
/* Milliseconds that were processed, and of these what was speech. */
void processing_count(const struct processing *processing, struct engine_counts *counts);

#endif
