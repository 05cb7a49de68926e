#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "engine_private.h"
#include "thread.h"

/* Blocks kept for use again, at most: those of one turn of 256 recordings. */
#define SPARE_BLOCKS 32

static struct tape_block *take_spare(struct writers *writers) {
    pthread_mutex_lock(&writers->spare.lock);
    struct tape_block *block = writers->spare.blocks;
    if (block != NULL) {
        writers->spare.blocks = block->next;
        writers->spare.count--;
    }
    pthread_mutex_unlock(&writers->spare.lock);
    return block;
}

struct tape_block *block_new(struct writers *writers, struct tape *tape, bool must) {
    if (!must && atomic_load_explicit(&writers->backlog, memory_order_relaxed) > writers->backlog_limit)
        return NULL;
    struct tape_block *block = take_spare(writers);
    while (block == NULL && (block = malloc(sizeof *block)) == NULL && must)
        usleep(1000);
    if (block == NULL)
        return NULL;
    atomic_fetch_add_explicit(&writers->backlog, sizeof *block, memory_order_relaxed);
    block->next = NULL;
    block->tape = tape;
    block->end = TAPE_GOES_ON;
    block->failure = NULL;
    block->missing = 0;
    block->used = 0;
    return block;
}

static void block_free(struct writers *writers, struct tape_block *block) {
    atomic_fetch_sub_explicit(&writers->backlog, sizeof *block, memory_order_relaxed);
    pthread_mutex_lock(&writers->spare.lock);
    bool kept = writers->spare.count < SPARE_BLOCKS;
    if (kept) {
        block->next = writers->spare.blocks;
        writers->spare.blocks = block;
        writers->spare.count++;
    }
    pthread_mutex_unlock(&writers->spare.lock);
    if (!kept)
        free(block);
}

void block_put(struct writers *writers, struct tape_block *block) {
    struct writer *writer = &writers->writers[block->tape->id % (uint64_t)writers->count];
    pthread_mutex_lock(&writer->lock);
    bool first = writer->blocks == NULL;
    *writer->last = block;
    writer->last = &block->next;
    if (first)
        pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
}

static void give_to(struct finisher *finisher, struct tape *tape) {
    tape->next = NULL;
    pthread_mutex_lock(&finisher->lock);
    *finisher->last = tape;
    finisher->last = &tape->next;
    pthread_cond_signal(&finisher->wake);
    pthread_mutex_unlock(&finisher->lock);
}

static void *write_blocks(void *argument) {
    struct writer *writer = argument;
    struct tape_window window = {0};
    thread_lower_priority();
    pthread_mutex_lock(&writer->lock);
    while (writer->blocks != NULL || !writer->stopping) {
        if (writer->blocks == NULL) {
            pthread_cond_wait(&writer->wake, &writer->lock);
            continue;
        }
        struct tape_block *block = writer->blocks;
        writer->blocks = NULL;
        writer->last = &writer->blocks;
        pthread_mutex_unlock(&writer->lock);
        for (struct tape_block *next; block != NULL; block = next) {
            next = block->next;
            struct tape *tape = block->tape;
            bool over = tape_take(tape, block, &window);
            block_free(writer->all, block);
            if (over)
                give_to(&writer->all->finisher, tape);
        }
        pthread_mutex_lock(&writer->lock);
    }
    pthread_mutex_unlock(&writer->lock);
    free(window.frames);
    return NULL;
}

static void *finish_tapes(void *argument) {
    struct finisher *finisher = argument;
    thread_lower_priority();
    pthread_mutex_lock(&finisher->lock);
    while (finisher->tapes != NULL || !finisher->stopping) {
        struct tape *tape = finisher->tapes;
        if (tape == NULL) {
            pthread_cond_wait(&finisher->wake, &finisher->lock);
            continue;
        }
        finisher->tapes = tape->next;
        if (tape->next == NULL)
            finisher->last = &finisher->tapes;
        finisher->current = tape;
        pthread_mutex_unlock(&finisher->lock);
        finisher->finish(finisher, tape);
        pthread_mutex_lock(&finisher->lock);
    }
    pthread_mutex_unlock(&finisher->lock);
    return NULL;
}

static void tell_finishing(const struct tape *tape) {
    outlet_put(&tape->engine->outlet, event_new(ENGINE_RECORDING_FINISHING, 0, tape->id));
}

/* Those who wait for their files shall know that these come. */
static void tell_alive(void *argument) {
    struct finisher *finisher = argument;
    uint64_t now = clock_now();
    if (now < finisher->told + SECOND)
        return;
    finisher->told = now;
    tell_finishing(finisher->current);
    pthread_mutex_lock(&finisher->lock);
    for (struct tape *tape = finisher->tapes; tape != NULL; tape = tape->next)
        tell_finishing(tape);
    pthread_mutex_unlock(&finisher->lock);
}

static void finish(struct finisher *finisher, struct tape *tape) {
    if (!tape_finish(tape))
        return;
    tell_finishing(tape);
    give_to(&finisher->all->converter, tape);
}

static void convert(struct finisher *finisher, struct tape *tape) {
    tape_convert(tape, tell_alive, finisher);
}

static bool start_finisher(struct writers *writers, struct finisher *finisher, const char *name,
                           void (*carry_out)(struct finisher *, struct tape *)) {
    *finisher = (struct finisher){.all = writers, .finish = carry_out, .last = &finisher->tapes};
    pthread_mutex_init(&finisher->lock, NULL);
    pthread_cond_init(&finisher->wake, NULL);
    errno = thread_start(&finisher->thread, name, finish_tapes, finisher);
    return finisher->started = errno == 0;
}

static bool start_writer(struct writers *writers, struct writer *writer) {
    writer->all = writers;
    writer->last = &writer->blocks;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->wake, NULL);
    errno = thread_start(&writer->thread, "pbx-recordings", write_blocks, writer);
    return errno == 0;
}

bool writers_start(struct writers *writers, int count, uint64_t backlog_limit) {
    *writers = (struct writers){.backlog_limit = backlog_limit};
    writers->writers = calloc((size_t)count, sizeof *writers->writers);
    if (writers->writers == NULL)
        return false;
    pthread_mutex_init(&writers->spare.lock, NULL);
    if (!start_finisher(writers, &writers->finisher, "pbx-finished", finish) ||
        !start_finisher(writers, &writers->converter, "pbx-converted", convert))
        return false;
    while (writers->count < count) {
        if (!start_writer(writers, &writers->writers[writers->count]))
            return false;
        writers->count++;
    }
    return true;
}

static void stop(pthread_t thread, pthread_mutex_t *lock, pthread_cond_t *wake, bool *stopping) {
    pthread_mutex_lock(lock);
    *stopping = true;
    pthread_cond_signal(wake);
    pthread_mutex_unlock(lock);
    pthread_join(thread, NULL);
    pthread_mutex_destroy(lock);
    pthread_cond_destroy(wake);
}

void writers_stop(struct writers *writers) {
    for (int i = 0; i < writers->count; i++) {
        struct writer *writer = &writers->writers[i];
        stop(writer->thread, &writer->lock, &writer->wake, &writer->stopping);
    }
    struct finisher *finishers[] = {&writers->finisher, &writers->converter};
    for (int i = 0; i < 2; i++)
        if (finishers[i]->started)
            stop(finishers[i]->thread, &finishers[i]->lock, &finishers[i]->wake, &finishers[i]->stopping);
    for (struct tape_block *block; writers->writers != NULL && (block = take_spare(writers)) != NULL;)
        free(block);
    free(writers->writers);
    *writers = (struct writers){0};
}
