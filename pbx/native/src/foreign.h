/* Sound files of every other format: FLAC, Ogg (Vorbis, Opus), MP3, AIFF, WAV of 24 bits …, read by libsndfile where this
   build has it. */
#ifndef TANDEM_FOREIGN_H
#define TANDEM_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct foreign;

/* From the beginning of the file, whose descriptor stays the caller's; NULL and a sentence in `fault`. */
struct foreign *foreign_open(int fd, uint32_t *rate, unsigned *channels, uint64_t *samples, char *fault, size_t room);
/* At most `most` samples of all channels together, mixed down; 0 at the end. */
size_t foreign_read(struct foreign *foreign, int16_t *samples, size_t most);
void foreign_close(struct foreign *foreign);

#endif
