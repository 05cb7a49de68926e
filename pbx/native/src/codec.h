/* What the engine knows of codecs: which there are, and sound to octets and back. */
#ifndef TANDEM_CODEC_H
#define TANDEM_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec_kind {
    CODEC_OTHER = 0, /* relayed, never decoded */
    CODEC_PCMU,
    CODEC_PCMA,
    CODEC_G722,
    CODEC_OPUS,
    CODEC_L16,
    CODEC_EVENT,   /* telephone-event, RFC 4733 */
    CODEC_COMFORT, /* comfort noise, RFC 3389 */
};

/* The kind that an encoding name of a=rtpmap stands for, CODEC_OTHER if none that we know. */
enum codec_kind codec_named(const char *name);
/* Of the sound codecs of this build, separated by spaces. */
const char *codec_names(void);

#endif
