/* The end of a recording: on disk for certain, hashed, under its own name, and told. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert.h"
#include "engine_private.h"
#include "sha256.h"
#include "tape.h"

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

bool file_name(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS) /* what the file system says that can't do this */
        return false;
    return link(from, to) == 0 && unlink(from) == 0;
}

/* Hashes a file that is on disk, names it and tells; `note` is why it is a WAV after all. `spent` is then not needed any more;
   if naming fails, `from` is not. Frees the tape. */
static void tell(struct tape *tape, int fd, const char *from, const char *to, const char *spent, const char *note) {
    struct event_node *node = event_new(ENGINE_RECORDING_ENDED, 0, tape->id);
    char hash[65];
    uint64_t octets;
    bool good = fsync(fd) == 0 && hash_file(fd, hash, &octets) && file_name(from, to) && sync_folder(to);
    int fault = errno;
    if (spent != NULL)
        unlink(good ? spent : from);
    if (node != NULL && good) {
        struct engine_event *event = &node->event;
        event->milliseconds = (uint64_t)tape->length * 1000 / tape->rate;
        event->gaps = (uint64_t)tape->gaps * 1000 / tape->rate;
        event->octets = octets;
        memcpy(event->sha256, hash, sizeof hash);
        snprintf(event->text, sizeof event->text, "%s", note);
    } else if (node != NULL) {
        node->event.kind = ENGINE_RECORDING_FAILED;
        snprintf(node->event.text, sizeof node->event.text, "%s", strerrordesc_np(fault));
    }
    outlet_put(&tape->engine->outlet, node);
    tape_free(tape);
}

bool tape_finish(struct tape *tape) {
    if (tape->failed) { /* and told already */
        tape_free(tape);
        return false;
    }
    /* What can't be said to be on disk is not converted: the disk fails, and that has to be told. */
    if (tape->format != ENGINE_WAV && fsync(tape->fd) == 0)
        return true;
    tell(tape, tape->fd, tape->part, tape->wav, NULL, "");
    return false;
}

void tape_convert(struct tape *tape, void (*alive)(void *), void *argument) {
    char note[ENGINE_TEXT_SIZE], *draft = malloc(strlen(tape->part) + sizeof ".draft");
    int fd = -1;
    if (draft != NULL) {
        sprintf(draft, "%s.draft", tape->part);
        fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    }
    if (fd < 0)
        snprintf(note, sizeof note, "%s", strerrordesc_np(errno));
    if (fd >= 0 && convert_wav(tape, fd, alive, argument, note, sizeof note)) {
        tell(tape, fd, draft, tape->path, tape->part, "");
    } else {
        if (fd >= 0)
            unlink(draft);
        tell(tape, tape->fd, tape->part, tape->wav, NULL, note);
    }
    if (fd >= 0)
        close(fd);
    free(draft);
}
