/* The end of a recording: on disk for certain, hashed, under its own name, and told. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_private.h"
#include "sha256.h"
#include "tape.h"
#include "wav.h"

static bool hash_file(int fd, char text[65], uint64_t *octets) {
    static const size_t room = 1 << 16;
    struct sha256 hash;
    char *data = malloc(room);
    ssize_t count = -1;
    sha256_start(&hash);
    *octets = 0;
    while (data != NULL && (count = pread(fd, data, room, (off_t)*octets)) > 0) {
        sha256_add(&hash, data, (size_t)count);
        *octets += (uint64_t)count;
    }
    free(data);
    sha256_end(&hash, text);
    return count == 0;
}

/* The file's name is a part of its folder, which must be on disk as well. */
static bool sync_folder(const char *path) {
    char *copy = strdup(path);
    int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* some file systems have no such thing */
    if (fd >= 0)
        close(fd);
    free(copy);
    return good;
}

bool tape_name(const struct tape *tape) {
    if (renameat2(AT_FDCWD, tape->part, AT_FDCWD, tape->path, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS) /* what the file system says that can't do this */
        return false;
    return link(tape->part, tape->path) == 0 && unlink(tape->part) == 0;
}

void tape_finish(struct tape *tape) {
    struct event_node *node = event_new(ENGINE_RECORDING_ENDED, 0, tape->id);
    char hash[65];
    uint64_t octets;
    if (tape->failed) { /* and told already */
        free(node);
        tape_free(tape);
        return;
    }
    bool good = fsync(tape->fd) == 0 && hash_file(tape->fd, hash, &octets) && tape_name(tape) && sync_folder(tape->path);
    int fault = errno;
    if (node != NULL && good) {
        struct engine_event *event = &node->event;
        event->milliseconds = (uint64_t)tape->length * 1000 / tape->rate;
        event->gaps = (uint64_t)tape->gaps * 1000 / tape->rate;
        event->octets = octets;
        memcpy(event->sha256, hash, sizeof hash);
    } else if (node != NULL) {
        node->event.kind = ENGINE_RECORDING_FAILED;
        snprintf(node->event.text, sizeof node->event.text, "%s", strerrordesc_np(fault));
    }
    outlet_put(&tape->engine->outlet, node);
    tape_free(tape);
}
