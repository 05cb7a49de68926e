#include "processing.h"

#include <stdlib.h>
#include <string.h>

#include "leveller.h"
#include "resample.h"

#ifdef HAVE_SPEEXDSP

#include <speex/speex_echo.h>
#include <speex/speex_preprocess.h>

#define LEAD 20        /* ms that what was sent waits at the least: it may be told in pieces of another length */
#define MOST 160       /* ms that may wait; beyond it nobody listens */
#define ACTIVE_SUPPRESSION 6 /* dB, of the echo that is left, while the peer speaks too: more takes from its voice */
#define MOST_RATE 48000
#define MOST_SENT (MOST_RATE / 1000 * 60) /* samples told at once */

struct reference { /* what the peer was sent and has not been set against what it says */
    int16_t samples[MOST_RATE / 1000 * MOST];
    size_t count;
    bool dry;                    /* more was wanted than there was */
    uint32_t from;               /* Hz of `resampler` */
    struct resampler *resampler; /* NULL: it comes at the rate of the frames */
};

struct processing {
    struct engine_processing wish;
    uint32_t rate;               /* of what follows; 0: there is nothing yet */
    size_t frame;                /* samples */
    SpeexPreprocessState *preprocessor;
    SpeexEchoState *canceller;
    struct reference *reference; /* NULL: no echo is to be cancelled */
    struct leveller leveller;
    uint64_t milliseconds, voiced;
};

bool processing_available(void) {
    return true;
}

struct processing *processing_new(const struct engine_processing *wish) {
    struct processing *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->wish = *wish;
    leveller_start(&p->leveller);
    if (wish->echo > 0 && (p->reference = calloc(1, sizeof *p->reference)) == NULL) {
        free(p);
        return NULL;
    }
    return p;
}

static void end(struct processing *p) {
    if (p->preprocessor != NULL)
        speex_preprocess_state_destroy(p->preprocessor);
    if (p->canceller != NULL)
        speex_echo_state_destroy(p->canceller);
    if (p->reference != NULL) {
        resampler_free(p->reference->resampler);
        memset(p->reference, 0, sizeof *p->reference);
        p->reference->dry = true;
    }
    p->preprocessor = NULL;
    p->canceller = NULL;
    p->rate = 0;
}

void processing_free(struct processing *p) {
    if (p == NULL)
        return;
    end(p);
    free(p->reference);
    free(p);
}

static void set(struct processing *p, int request, int value) {
    spx_int32_t number = value;
    speex_preprocess_ctl(p->preprocessor, request, &number);
}

/* The suppression of what the canceller leaves goes with that of noise: where only echo is asked for, noise is suppressed by
   0 dB. */
static bool begin(struct processing *p, uint32_t rate, size_t frame) {
    end(p);
    p->rate = rate;
    p->frame = frame;
    if (p->wish.noise == 0 && p->wish.echo == 0)
        return true;
    int size = (int)frame, hertz = (int)rate;
    p->preprocessor = speex_preprocess_state_init(size, hertz);
    if (p->preprocessor == NULL) {
        end(p);
        return false;
    }
    if (p->wish.echo > 0) {
        p->canceller = speex_echo_state_init(size, (int)(rate / 1000) * p->wish.echo);
        if (p->canceller == NULL) {
            end(p);
            return false;
        }
        speex_echo_ctl(p->canceller, SPEEX_ECHO_SET_SAMPLING_RATE, &hertz);
        speex_preprocess_ctl(p->preprocessor, SPEEX_PREPROCESS_SET_ECHO_STATE, p->canceller);
    }
    set(p, SPEEX_PREPROCESS_SET_DENOISE, p->wish.noise > 0 || p->wish.echo > 0);
    set(p, SPEEX_PREPROCESS_SET_NOISE_SUPPRESS, -p->wish.noise);
    set(p, SPEEX_PREPROCESS_SET_ECHO_SUPPRESS_ACTIVE, -ACTIVE_SUPPRESSION);
    return true;
}

bool processing_wants_reference(const struct processing *p) {
    return p != NULL && p->reference != NULL;
}

static void append(struct reference *reference, const int16_t *samples, size_t count, uint32_t rate) {
    size_t lead = rate / 1000 * LEAD, most = rate / 1000 * MOST;
    if (reference->dry) {
        memset(reference->samples, 0, lead * sizeof *samples);
        reference->count = lead;
        reference->dry = false;
    }
    if (reference->count + count > most) { /* nobody listens */
        size_t kept = reference->count < lead ? reference->count : lead;
        memmove(reference->samples, reference->samples + reference->count - kept, kept * sizeof *samples);
        reference->count = kept;
    }
    memcpy(reference->samples + reference->count, samples, count * sizeof *samples);
    reference->count += count;
}

void processing_refer(struct processing *p, const int16_t *samples, size_t count, uint32_t rate) {
    struct reference *reference = p == NULL ? NULL : p->reference;
    if (reference == NULL || p->rate == 0)
        return;
    if (rate == p->rate) {
        append(reference, samples, count, rate);
        return;
    }
    if (reference->resampler == NULL || reference->from != rate) {
        resampler_free(reference->resampler);
        reference->resampler = resampler_new(rate, p->rate);
        reference->from = rate;
    }
    int16_t turned[MOST_SENT + 1];
    if (reference->resampler != NULL && count * p->rate / rate <= MOST_SENT) {
        size_t made = resampler_run(reference->resampler, samples, count, turned, sizeof turned / sizeof *turned);
        append(reference, turned, made, p->rate);
    }
}

static void cancel_echo(struct processing *p, int16_t *samples) {
    struct reference *reference = p->reference;
    int16_t sent[MOST_RATE / 1000 * PROCESSING_LONG] = {0}, heard[MOST_RATE / 1000 * PROCESSING_LONG];
    size_t count = reference->count < p->frame ? reference->count : p->frame;
    reference->dry = reference->dry || count < p->frame;
    memcpy(sent, reference->samples, count * sizeof *sent);
    reference->count -= count;
    memmove(reference->samples, reference->samples + count, reference->count * sizeof *sent);
    memcpy(heard, samples, p->frame * sizeof *heard);
    speex_echo_cancellation(p->canceller, heard, sent, samples);
}

void processing_run(struct processing *p, int16_t *samples, size_t count, uint32_t rate) {
    size_t frame = rate / 1000 * (count % (rate / 1000 * PROCESSING_LONG) == 0 ? PROCESSING_LONG : PROCESSING_SHORT);
    if ((p->rate != rate || p->frame != frame) && !begin(p, rate, frame))
        return;
    int milliseconds = (int)(frame * 1000 / rate);
    for (size_t at = 0; at + frame <= count; at += frame) {
        if (p->canceller != NULL)
            cancel_echo(p, samples + at);
        if (p->preprocessor != NULL)
            speex_preprocess_run(p->preprocessor, samples + at);
        leveller_run(&p->leveller, samples + at, frame, milliseconds, p->wish.level);
        p->milliseconds += (uint64_t)milliseconds;
        p->voiced += leveller_hears_speech(&p->leveller) ? (uint64_t)milliseconds : 0;
    }
}

void processing_count(const struct processing *p, struct engine_counts *counts) {
    if (p == NULL)
        return;
    counts->processed += p->milliseconds;
    counts->voiced += p->voiced;
}

#else

bool processing_available(void) {
    return false;
}

struct processing *processing_new(const struct engine_processing *wish) {
    (void)wish;
    return NULL;
}

void processing_free(struct processing *processing) {
    (void)processing;
}

bool processing_wants_reference(const struct processing *processing) {
    (void)processing;
    return false;
}

void processing_refer(struct processing *processing, const int16_t *samples, size_t count, uint32_t rate) {
    (void)processing, (void)samples, (void)count, (void)rate;
}

void processing_run(struct processing *processing, int16_t *samples, size_t count, uint32_t rate) {
    (void)processing, (void)samples, (void)count, (void)rate;
}

void processing_count(const struct processing *processing, struct engine_counts *counts) {
    (void)processing, (void)counts;
}

#endif
