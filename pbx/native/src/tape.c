#include "tape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_private.h"
#include "wav.h"

/* Sound is written once it is this old: until then a packet that comes late still finds its place in memory. One that comes
   later is put into the file, which takes two system calls; to wait longer takes 3 KiB of a recording for each 100 ms. */
#define HOLD_MILLISECONDS 100
/* Of packets of 20 ms with some jitter. What is kept gets its room at once: one that grew would leave a hole in the heap. */
#define USUAL_MILLISECONDS 50

/* A path with the suffix .wav in place of its own. */
static char *wav_path(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t stem = dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - path) : strlen(path);
    char *made = malloc(stem + sizeof ".wav");
    if (made != NULL)
        sprintf(made, "%.*s.wav", (int)stem, path);
    return made;
}

struct tape *tape_new(struct worker *worker, uint64_t id, const char *path, uint32_t rate, unsigned sides,
                      const struct engine_tape *wanted) {
    struct tape *tape = calloc(1, sizeof *tape);
    if (tape == NULL)
        return NULL;
    size_t length = strlen(path);
    tape->path = strdup(path);
    tape->part = malloc(length + sizeof ".part");
    tape->wav = wanted->format == ENGINE_WAV ? strdup(path) : wav_path(path);
    if (tape->path == NULL || tape->part == NULL || tape->wav == NULL) {
        tape_free(tape);
        return NULL;
    }
    sprintf(tape->part, "%s.part", path);
    tape->engine = worker->engine;
    tape->id = id;
    tape->rate = rate;
    tape->format = wanted->format;
    tape->sides = sides;
    tape->channels = wanted->mixed ? 1 : sides;
    tape->start = worker->now;
    tape->fd = -1;
    return tape;
}

void tape_free(struct tape *tape) {
    for (int i = 0; i < 2; i++)
        decoder_free(tape->lines[i].decoder);
    if (tape->fd >= 0)
        close(tape->fd);
    free(tape->kept);
    free(tape->path);
    free(tape->part);
    free(tape->wav);
    free(tape);
}

/* -- the file */

/* Of a frame in the file, and in memory, where the sides are still apart. */
static size_t frame_size(const struct tape *tape) { return 2 * tape->channels; }
static size_t window_size(const struct tape *tape) { return 2 * tape->sides; }

static off_t offset_of(const struct tape *tape, int64_t position) {
    return WAV_HEADER + (off_t)position * (off_t)frame_size(tape);
}

/* The tape ends here: the caller is told, the packet thread sends no more but the last block. What was written stays. */
static void fail(struct tape *tape, const char *reason) {
    if (tape->failed)
        return;
    tape->failed = true;
    if (tape->fd >= 0) { /* else the file, if there is one, is not ours */
        if (tape->length > 0 && ftruncate(tape->fd, offset_of(tape, tape->length)) == 0)
            file_name(tape->part, tape->wav);
        else
            unlink(tape->part);
        close(tape->fd);
        tape->fd = -1;
    }
    struct event_node *node = event_new(ENGINE_RECORDING_FAILED, 0, tape->id);
    if (node != NULL)
        snprintf(node->event.text, sizeof node->event.text, "%s", reason);
    outlet_put(&tape->engine->outlet, node);
    /* To every packet thread: the recording may have gone to another one. */
    for (int i = 0; i < tape->engine->worker_count; i++) {
        struct command *command = command_new(COMMAND_TAPE_ENDED, 0);
        if (command == NULL)
            continue;
        command->object = tape->id;
        inbox_put(&tape->engine->workers[i].inbox, command);
    }
}

static bool write_at(struct tape *tape, const void *data, size_t length, off_t at) {
    const char *from = data;
    while (length > 0) {
        ssize_t written = pwrite(tape->fd, from, length, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            fail(tape, written < 0 ? strerrordesc_np(errno) : "nothing could be written");
            return false;
        }
        from += written;
        length -= (size_t)written;
        at += written;
    }
    return true;
}

static bool write_header(struct tape *tape) {
    uint8_t header[WAV_HEADER];
    wav_header(header, tape->rate, tape->channels, (uint32_t)((uint64_t)tape->length * frame_size(tape)));
    return write_at(tape, header, sizeof header, 0);
}

/* Makes the folders that a path lies in. */
static void make_folders(const char *path) {
    char *copy = strdup(path);
    for (char *at = copy; at != NULL && (at = strchr(at + 1, '/')) != NULL; *at = '/') {
        *at = '\0';
        mkdir(copy, 0750); /* what goes wrong here shows when the file is opened */
    }
    free(copy);
}

static bool open_file(struct tape *tape) {
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    tape->fd = open(tape->part, flags, 0640);
    if (tape->fd < 0 && errno == ENOENT) {
        make_folders(tape->part);
        tape->fd = open(tape->part, flags, 0640);
    }
    if (tape->fd >= 0)
        return write_header(tape);
    fail(tape, strerrordesc_np(errno));
    return false;
}

/* -- the window between what is written and what may still come */

static int16_t sum(int left, int right) {
    int both = left + right;
    return (int16_t)(both > 32767 ? 32767 : both < -32768 ? -32768 : both);
}

/* Two sides become one, in place: what is behind is not needed any more. */
static void mix(int16_t *frames, size_t count) {
    for (size_t i = 0; i < count; i++)
        frames[i] = sum(frames[2 * i], frames[2 * i + 1]);
}

/* First the sound, then the header that tells of it: whenever the program dies, the header is true. */
static void write_window(struct tape *tape, size_t count) {
    if (((uint64_t)tape->written + count) * frame_size(tape) > WAV_MOST) {
        fail(tape, "the file has reached the length that a WAV file can have");
        return;
    }
    if (tape->channels < tape->sides)
        mix(tape->window->frames, count);
    if (!write_at(tape, tape->window->frames, count * frame_size(tape), offset_of(tape, tape->written)))
        return;
    if (tape->written + (int64_t)count > tape->length) {
        tape->length = tape->written + (int64_t)count;
        write_header(tape);
    }
}

/* Writes what lies before a position; silence that no sample was laid on needs no writing. */
static void advance(struct tape *tape, int64_t to) {
    struct tape_window *window = tape->window;
    if (to <= tape->written)
        return;
    size_t count = window->length;
    if ((int64_t)count > to - tape->written)
        count = (size_t)(to - tape->written);
    if (count > 0) {
        write_window(tape, count);
        window->length -= count;
        memmove(window->frames, window->frames + count * tape->sides, window->length * window_size(tape));
    }
    tape->written = to;
}

/* Makes the window at least so long, with silence. */
static bool widen(struct tape *tape, size_t length) {
    struct tape_window *window = tape->window;
    if (length > window->room) {
        int16_t *frames = realloc(window->frames, 2 * length * 2 * sizeof *frames);
        if (frames == NULL) {
            fail(tape, "out of memory");
            return false;
        }
        window->frames = frames;
        window->room = 2 * length;
    }
    if (length > window->length) {
        memset(window->frames + window->length * tape->sides, 0, (length - window->length) * window_size(tape));
        window->length = length;
    }
    return true;
}

/* Borrows a writer's window: there are many recordings, and each keeps only what may still change. */
static void borrow(struct tape *tape, struct tape_window *window) {
    tape->window = window;
    window->length = 0;
    if (!tape->failed && tape->kept_length > 0 && widen(tape, tape->kept_length))
        memcpy(window->frames, tape->kept, tape->kept_length * window_size(tape));
}

static void give_back(struct tape *tape) {
    size_t length = tape->failed ? 0 : tape->window->length;
    if (length > tape->kept_room) {
        size_t usual = (HOLD_MILLISECONDS + USUAL_MILLISECONDS) * (size_t)tape->rate / 1000;
        free(tape->kept);
        tape->kept_room = length < usual ? usual : length;
        tape->kept = malloc(tape->kept_room * window_size(tape));
        if (tape->kept == NULL) {
            tape->kept_room = 0;
            fail(tape, "out of memory");
            length = 0;
        }
    }
    if (length > 0)
        memcpy(tape->kept, tape->window->frames, length * window_size(tape));
    tape->kept_length = length;
    tape->window = NULL;
}

/* A packet that came too late for the window: its side is changed in the file. */
static void patch(struct tape *tape, unsigned side, int64_t position, const int16_t *samples, size_t count) {
    int16_t frames[2 * 512];
    for (size_t done = 0, some; done < count && !tape->failed; done += some) {
        some = count - done < 512 ? count - done : 512;
        off_t at = offset_of(tape, position + (int64_t)done);
        memset(frames, 0, sizeof frames);
        if (pread(tape->fd, frames, some * frame_size(tape), at) < 0)
            fail(tape, strerrordesc_np(errno));
        for (size_t i = 0; i < some; i++)
            if (tape->channels < tape->sides)
                frames[i] = sum(frames[i], samples[done + i]);
            else
                frames[i * tape->channels + side] = samples[done + i];
        if (!tape->failed)
            write_at(tape, frames, some * frame_size(tape), at);
    }
    if (!tape->failed && position + (int64_t)count > tape->length) {
        tape->length = position + (int64_t)count;
        write_header(tape);
    }
}

void tape_lay(struct tape *tape, unsigned side, int64_t position, const int16_t *samples, size_t count) {
    if (position < 0) { /* from before the start */
        size_t before = (uint64_t)-position < count ? (size_t)-position : count;
        samples += before;
        count -= before;
        position = 0;
    }
    if (position < tape->written && count > 0) {
        size_t late = (size_t)(tape->written - position) < count ? (size_t)(tape->written - position) : count;
        patch(tape, side, position, samples, late);
        samples += late;
        count -= late;
        position += (int64_t)late;
    }
    if (tape->failed || count == 0)
        return;
    size_t from = (size_t)(position - tape->written);
    if (!widen(tape, from + count))
        return;
    int16_t *to = tape->window->frames + from * tape->sides + side;
    for (size_t i = 0; i < count; i++, to += tape->sides)
        *to = samples[i];
}

/* -- blocks */

static size_t size_of(const struct tape_packet *packet) {
    return (sizeof *packet + packet->length + 7) & ~(size_t)7;
}

/* The packets of one side in the order they were sent in; what is out of order is so by a few places only. */
static size_t sort_side(const struct tape_block *block, unsigned side, const struct tape_packet **sorted, size_t room) {
    size_t count = 0;
    for (uint32_t at = 0; at < block->used && count < room;) {
        const struct tape_packet *packet = (const struct tape_packet *)(const void *)(block->data + at);
        at += (uint32_t)size_of(packet);
        if (packet->side != side)
            continue;
        size_t place = count++;
        while (place > 0 && sorted[place - 1]->feed == packet->feed &&
               (int16_t)(packet->sequence - sorted[place - 1]->sequence) < 0) {
            sorted[place] = sorted[place - 1];
            place--;
        }
        sorted[place] = packet;
    }
    return count;
}

static void end(struct tape *tape, uint64_t at) {
    int64_t last = tape_position(tape, at);
    for (unsigned side = 0; side < tape->sides; side++)
        if (tape->lines[side].end > last)
            last = tape->lines[side].end;
    advance(tape, last);
    if (tape->failed || tape->length == last)
        return;
    /* Silence to the end, without writing it. */
    if ((uint64_t)last * frame_size(tape) <= WAV_MOST && ftruncate(tape->fd, offset_of(tape, last)) == 0) {
        tape->length = last;
        write_header(tape);
    }
}

static void lay_out(struct tape *tape, const struct tape_block *block, int64_t hold) {
    const struct tape_packet *sorted[TAPE_BLOCK / sizeof(struct tape_packet)];
    /* A long silence before this block must not widen the window; without one, all is written at once behind the block. */
    const struct tape_packet *first = (const struct tape_packet *)(const void *)block->data;
    int64_t from = tape_position(tape, first->arrival) - hold;
    if (from > tape->written + (int64_t)tape->window->length)
        advance(tape, from);
    for (unsigned side = 0; side < tape->sides; side++) {
        size_t count = sort_side(block, side, sorted, sizeof sorted / sizeof *sorted);
        for (size_t i = 0; i < count && !tape->failed; i++)
            line_place(tape, &tape->lines[side], sorted[i]);
    }
}

bool tape_take(struct tape *tape, const struct tape_block *block, struct tape_window *window) {
    int64_t hold = (int64_t)HOLD_MILLISECONDS * tape->rate / 1000;
    borrow(tape, window);
    if (!tape->failed && (tape->fd >= 0 || open_file(tape)) && block->used > 0)
        lay_out(tape, block, hold);
    if (!tape->failed)
        advance(tape, tape_position(tape, block->until) - hold);
    if (!tape->failed && block->end == TAPE_ENDS) {
        tape->gaps += (int64_t)clock_units(block->missing, tape->rate);
        end(tape, block->until);
    }
    if (!tape->failed && block->failure != NULL)
        fail(tape, block->failure);
    give_back(tape);
    return block->end == TAPE_ENDS;
}
