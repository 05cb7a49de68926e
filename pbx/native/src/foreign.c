#include "foreign.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_SNDFILE
#include <sndfile.h>

enum { MOST_CHANNELS = 8, BLOCK = 1024 };

struct foreign {
    SNDFILE *file;
    unsigned channels;
};

struct foreign *foreign_open(int fd, uint32_t *rate, unsigned *channels, uint64_t *samples, char *fault, size_t room) {
    SF_INFO info = {0};
    struct foreign *foreign = calloc(1, sizeof *foreign);
    if (foreign == NULL || lseek(fd, 0, SEEK_SET) != 0) {
        snprintf(fault, room, "out of memory");
        free(foreign);
        return NULL;
    }
    foreign->file = sf_open_fd(fd, SFM_READ, &info, SF_FALSE);
    if (foreign->file == NULL) {
        snprintf(fault, room, "neither a WAV file nor of a format that is known (%s)", sf_strerror(NULL));
        free(foreign);
        return NULL;
    }
    foreign->channels = (unsigned)info.channels;
    *rate = (uint32_t)info.samplerate;
    *channels = (unsigned)info.channels;
    *samples = info.frames > 0 ? (uint64_t)info.frames : 0;
    if (info.channels >= 1 && info.channels <= MOST_CHANNELS)
        return foreign;
    snprintf(fault, room, "a sound file of %d channels", info.channels);
    foreign_close(foreign);
    return NULL;
}

size_t foreign_read(struct foreign *foreign, int16_t *samples, size_t most) {
    float values[BLOCK * MOST_CHANNELS];
    sf_count_t count = sf_readf_float(foreign->file, values, (sf_count_t)(most < BLOCK ? most : BLOCK));
    for (sf_count_t i = 0; i < count; i++) {
        float sum = 0;
        for (unsigned channel = 0; channel < foreign->channels; channel++)
            sum += values[i * foreign->channels + channel];
        float value = sum * 32768 / (float)foreign->channels;
        samples[i] = value >= 32767 ? 32767 : value <= -32768 ? -32768 : isnan(value) ? 0 : (int16_t)lrintf(value);
    }
    return count > 0 ? (size_t)count : 0;
}

void foreign_close(struct foreign *foreign) {
    if (foreign == NULL)
        return;
    sf_close(foreign->file);
    free(foreign);
}

#else

struct foreign *foreign_open(int fd, uint32_t *rate, unsigned *channels, uint64_t *samples, char *fault, size_t room) {
    (void)fd, (void)rate, (void)channels, (void)samples;
    snprintf(fault, room, "neither a WAV file nor of a suffix that is known; this build has no libsndfile for others");
    return NULL;
}

size_t foreign_read(struct foreign *foreign, int16_t *samples, size_t most) {
    (void)foreign, (void)samples, (void)most;
    return 0;
}

void foreign_close(struct foreign *foreign) {
    (void)foreign;
}

#endif
