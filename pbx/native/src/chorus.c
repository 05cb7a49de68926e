#include "chorus.h"

#include <stdlib.h>

#define IDLE_ROUNDS 500 /* 10 s, after which a part that nobody sings is let go */

static struct part *part_of(struct chorus *chorus, struct speaker *speaker) {
    for (struct part *part = chorus->parts; part != NULL; part = part->next)
        if (speaker_has(speaker, part->voice))
            return part;
    struct part *part = calloc(1, sizeof *part);
    if (part == NULL || (part->voice = speaker_voice(speaker)) == NULL) {
        free(part);
        return NULL;
    }
    part->next = chorus->parts;
    chorus->parts = part;
    return part;
}

bool chorus_join(struct chorus *chorus, struct speaker *speaker) {
    struct part *part = part_of(chorus, speaker);
    if (part == NULL)
        return false;
    if (part->count == part->room) {
        size_t room = part->room == 0 ? 8 : 2 * part->room;
        struct speaker **singers = realloc(part->singers, room * sizeof *singers);
        if (singers == NULL)
            return false;
        part->singers = singers;
        part->room = room;
    }
    part->singers[part->count++] = speaker;
    return true;
}

static void spoken(void *listener, enum uttered uttered, uint8_t *payload, size_t length) {
    const struct part *part = listener;
    for (size_t i = 0; i < part->count; i++)
        speaker_say(part->singers[i], uttered, payload, length);
}

static void part_free(struct part *part) {
    voice_free(part->voice);
    free(part->singers);
    free(part);
}

void chorus_sing(struct chorus *chorus, const int16_t *samples, size_t count, enum heard heard) {
    for (struct part **place = &chorus->parts; *place != NULL;) {
        struct part *part = *place;
        if (part->count > 0) {
            part->idle = 0;
            voice_put(part->voice, samples, count, heard, spoken, part);
            part->count = 0;
        } else if (++part->idle > IDLE_ROUNDS) {
            *place = part->next;
            part_free(part);
            continue;
        }
        place = &part->next;
    }
}

void chorus_free(struct chorus *chorus) {
    for (struct part *part; (part = chorus->parts) != NULL;) {
        chorus->parts = part->next;
        part_free(part);
    }
}
