#include "convert.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "foreign.h"
#include "wav.h"

#ifdef HAVE_SNDFILE
#include <sndfile.h>

enum { BLOCK = 8000 }; /* frames */

static int format_of(enum engine_format format) {
    return format == ENGINE_FLAC ? SF_FORMAT_FLAC | SF_FORMAT_PCM_16 : SF_FORMAT_OGG | SF_FORMAT_OPUS;
}

/* Every frame, or what went wrong. */
static const char *copy(const struct tape *tape, SNDFILE *to, void (*alive)(void *), void *argument) {
    int16_t frames[BLOCK * 2];
    size_t size = 2 * tape->channels;
    for (int64_t at = 0; at < tape->length;) {
        size_t count = tape->length - at < BLOCK ? (size_t)(tape->length - at) : BLOCK;
        ssize_t got = pread(tape->fd, frames, count * size, WAV_HEADER + (off_t)at * (off_t)size);
        if (got != (ssize_t)(count * size))
            return got < 0 ? strerrordesc_np(errno) : "the WAV is shorter than it was";
        if (sf_writef_short(to, frames, (sf_count_t)count) != (sf_count_t)count)
            return sf_error(to) == SF_ERR_NO_ERROR ? "nothing could be written" : sf_strerror(to);
        at += (int64_t)count;
        alive(argument);
    }
    return NULL;
}

/* An encoder that could not write its last page does not say so: what counts is what can be read. */
static bool is_whole(const struct tape *tape, int fd, char *fault, size_t room) {
    uint32_t rate;
    unsigned channels;
    uint64_t samples;
    struct foreign *foreign = foreign_open(fd, &rate, &channels, &samples, fault, room);
    if (foreign == NULL)
        return false;
    foreign_close(foreign);
    if (samples == (uint64_t)tape->length && channels == tape->channels)
        return true;
    snprintf(fault, room, "not all of it could be converted");
    return false;
}

bool convert_wav(const struct tape *tape, int fd, void (*alive)(void *), void *argument, char *fault, size_t room) {
    SF_INFO info = {.samplerate = (int)tape->rate, .channels = (int)tape->channels, .format = format_of(tape->format)};
    SNDFILE *to = sf_open_fd(fd, SFM_WRITE, &info, SF_FALSE);
    if (to == NULL) {
        snprintf(fault, room, "%s", sf_strerror(NULL));
        return false;
    }
    const char *problem = copy(tape, to, alive, argument);
    if (problem != NULL)
        snprintf(fault, room, "%s", problem);
    return sf_close(to) == 0 && problem == NULL && is_whole(tape, fd, fault, room);
}

#else

bool convert_wav(const struct tape *tape, int fd, void (*alive)(void *), void *argument, char *fault, size_t room) {
    (void)tape, (void)fd, (void)alive, (void)argument;
    snprintf(fault, room, "this build has no libsndfile to write other formats than WAV");
    return false;
}

#endif
