#include "codec.h"

#include <strings.h>

static const struct {
    const char *name;
    enum codec_kind kind;
} names[] = {
    {"PCMU", CODEC_PCMU}, {"PCMA", CODEC_PCMA},           {"G722", CODEC_G722}, {"opus", CODEC_OPUS},
    {"L16", CODEC_L16},   {"telephone-event", CODEC_EVENT}, {"CN", CODEC_COMFORT},
};

enum codec_kind codec_named(const char *name) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0)
            return names[i].kind;
    return CODEC_OTHER;
}

const char *codec_names(void) {
    return "PCMU PCMA L16";
}
