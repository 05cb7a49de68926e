/* The caller's side of the commands: what is said is checked, copied and put into the inbox of the group's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include "ear.h"
#include "engine_private.h"
#include "processing.h"

static int submit(struct engine *engine, uint64_t group, struct command *command) {
    if (command == NULL)
        return -ENOMEM;
    if (engine->stopped) {
        command_free(command);
        return -EPIPE;
    }
    command->group = group;
    inbox_put(&engine->workers[group % (uint64_t)engine->worker_count].inbox, command);
    return 0;
}

static struct command *with_text(enum command_kind kind, uint64_t stream, const char *text) {
    struct command *command = command_new(kind, stream);
    if (command != NULL && (command->text = strdup(text)) == NULL) {
        command_free(command);
        command = NULL;
    }
    return command;
}

static void tell_opened(struct engine *engine, uint64_t stream, const struct pair *pair, const char *fault) {
    struct event_node *node = event_new(fault == NULL ? ENGINE_OPENED : ENGINE_CLOSED, stream, 0);
    if (node != NULL) {
        struct engine_event *event = &node->event;
        event->counts = (struct engine_counts){.round_trip = -1, .payload_type = -1, .level = -128};
        if (fault != NULL) {
            snprintf(event->text, sizeof event->text, "%s", fault);
        } else {
            address_host(&pair->local, event->address, sizeof event->address);
            event->port = address_port(&pair->local);
            event->rtcp_port = event->port + 1;
        }
    }
    outlet_put(&engine->outlet, node);
}

/* NULL, or why there is no pair. */
static const char *have_pair(struct engine *engine, const struct address *address, struct pair *pair) {
    if (spares_take(&engine->spares, address, pair))
        return NULL;
    int error = pair_bind(pair, &engine->ports, address, engine->options.traffic_class);
    /* What is kept at other addresses may hold the last ports or descriptors that there are. */
    while ((error == ENOSPC || error == EMFILE || error == ENFILE) && spares_give_up(&engine->spares))
        error = pair_bind(pair, &engine->ports, address, engine->options.traffic_class);
    return error == 0 ? NULL : pair_fault(error);
}

/* The sockets are bound before this, or here: the caller waits for nothing but their ports, and two threads would have to
   wake up for these. What arrives before the packet thread has them waits in them. */
int engine_open(struct engine *engine, uint64_t group, uint64_t stream, const char *address) {
    struct address parsed;
    if (stream == 0 || !address_parse(&parsed, address, 0))
        return -EINVAL;
    if (engine->stopped)
        return -EPIPE;
    struct command *command = command_new(COMMAND_OPEN, stream);
    struct pair *pair = malloc(sizeof *pair);
    if (command == NULL || pair == NULL) {
        command_free(command);
        free(pair);
        return -ENOMEM;
    }
    const char *fault = have_pair(engine, &parsed, pair);
    tell_opened(engine, stream, pair, fault);
    if (fault == NULL) {
        command->pair = pair;
        return submit(engine, group, command);
    }
    free(pair);
    command_free(command);
    return 0;
}

static bool copy_codecs(struct remote *to, const struct engine_remote *from) {
    if (from->codec_count < 0 || from->codec_count > ENGINE_CODECS)
        return false;
    to->codec_count = from->codec_count;
    for (int i = 0; i < from->codec_count; i++) {
        const struct engine_codec *codec = &from->codecs[i];
        if (codec->payload_type < 0 || codec->payload_type > 127 || codec->rate < 1 || codec->rate > 192000 ||
            codec->channels < 1 || codec->channels > 8 || codec->bit_rate < 0)
            return false;
        to->codecs[i] = (struct codec_offer){.payload_type = (uint8_t)codec->payload_type,
                                             .repair = codec->repair,
                                             .discontinuous = codec->discontinuous,
                                             .bit_rate = (uint32_t)codec->bit_rate,
                                             .format = {.kind = (uint8_t)codec_named(codec->name),
                                                        .channels = (uint8_t)codec->channels,
                                                        .clock = (uint32_t)codec->rate}};
        snprintf(to->codecs[i].name, sizeof to->codecs[i].name, "%s", codec->name);
    }
    return true;
}

/* An address with port 0 is none. */
static bool copy_address(struct address *to, const char *text, int port) {
    if (port == 0) {
        to->length = 0;
        return true;
    }
    return address_parse(to, text, port);
}

int engine_set_remote(struct engine *engine, uint64_t group, uint64_t stream, const struct engine_remote *remote) {
    struct command *command = command_new(COMMAND_SET_REMOTE, stream);
    if (command == NULL)
        return -ENOMEM;
    struct remote *copy = command->remote = calloc(1, sizeof *copy);
    if (copy == NULL) {
        command_free(command);
        return -ENOMEM;
    }
    copy->mux = remote->rtcp_mux;
    copy->send = remote->send;
    copy->receive = remote->receive;
    copy->latch = remote->latch;
    copy->opaque = remote->opaque;
    copy->packet_time = remote->packet_time;
    copy->no_media_timeout = remote->no_media_timeout;
    if (!copy_address(&copy->rtp, remote->address, remote->port) ||
        !copy_address(&copy->rtcp, remote->rtcp_address, remote->rtcp_port) || !copy_codecs(copy, remote) ||
        remote->packet_time < 1 || remote->packet_time > 1000 || remote->no_media_timeout < 0) {
        command_free(command);
        return -EINVAL;
    }
    return submit(engine, group, command);
}

int engine_set_keys(struct engine *engine, uint64_t group, uint64_t stream, int secured, const struct engine_key *receive,
                    const struct engine_key *send, int after_peer) {
    struct command *command = command_new(COMMAND_SET_KEYS, stream);
    if (command == NULL || (command->keys = calloc(1, sizeof *command->keys)) == NULL) {
        command_free(command);
        return -ENOMEM;
    }
    command->keys->secured = secured;
    command->keys->after_peer = after_peer;
    if ((secured && engine->options.srtp == NULL) || !srtp_copy_key(&command->keys->receive, receive) ||
        !srtp_copy_key(&command->keys->send, send)) {
        command_free(command);
        return -EINVAL;
    }
    return submit(engine, group, command);
}

static int submit_simple(struct engine *engine, uint64_t group, enum command_kind kind, uint64_t stream, uint64_t object) {
    struct command *command = command_new(kind, stream);
    if (command != NULL)
        command->object = object;
    return submit(engine, group, command);
}

int engine_connect(struct engine *engine, uint64_t group, uint64_t left, uint64_t right) {
    return submit_simple(engine, group, COMMAND_CONNECT, left, right);
}

int engine_disconnect(struct engine *engine, uint64_t group, uint64_t stream) {
    return submit_simple(engine, group, COMMAND_DISCONNECT, stream, 0);
}

int engine_query(struct engine *engine, uint64_t group, uint64_t stream) {
    return submit_simple(engine, group, COMMAND_QUERY, stream, 0);
}

int engine_close(struct engine *engine, uint64_t group, uint64_t stream) {
    return submit_simple(engine, group, COMMAND_CLOSE, stream, 0);
}

int engine_mute(struct engine *engine, uint64_t group, uint64_t stream, int receive, int send) {
    struct command *command = command_new(COMMAND_MUTE, stream);
    if (command != NULL) {
        command->first = receive;
        command->second = send;
    }
    return submit(engine, group, command);
}

static bool lies_between(int value, int least, int most) {
    return value == 0 || (value >= least && value <= most);
}

int engine_process(struct engine *engine, uint64_t group, uint64_t stream, const struct engine_processing *processing) {
    if (!lies_between(processing->level, ENGINE_QUIETEST, ENGINE_FULLEST) ||
        !lies_between(processing->noise, 1, ENGINE_SUPPRESSION) ||
        !lies_between(processing->echo, ENGINE_SHORTEST_ECHO, ENGINE_LONGEST_ECHO))
        return -EINVAL;
    if (!processing_available())
        return -ENOTSUP;
    struct command *command = command_new(COMMAND_PROCESS, stream);
    if (command != NULL)
        command->processing = *processing;
    return submit(engine, group, command);
}

/* A path or digits, for which an object number is given. */
static int submit_text(struct engine *engine, uint64_t group, struct command *command, uint64_t object, uint64_t right,
                       int first) {
    if (command != NULL) {
        command->object = object;
        command->right = right;
        command->first = first;
    }
    return submit(engine, group, command);
}

int engine_send_digits(struct engine *engine, uint64_t group, uint64_t stream, const char *digits, int duration) {
    if (digits[strspn(digits, DIGITS)] != '\0' || duration < 40 || duration > 8000)
        return -EINVAL;
    return submit_text(engine, group, with_text(COMMAND_SEND_DIGITS, stream, digits), 0, 0, duration);
}

int engine_hear_digits(struct engine *engine, uint64_t group, uint64_t stream, int on, int clamp) {
    if (clamp < ENGINE_CLAMP_NEVER || clamp > ENGINE_CLAMP_ALWAYS)
        return -EINVAL;
    struct command *command = ear_available() ? command_new(COMMAND_HEAR_DIGITS, stream) : NULL;
    if (!ear_available())
        return on ? -ENOTSUP : 0;
    if (command != NULL) {
        command->first = on;
        command->second = clamp;
    }
    return submit(engine, group, command);
}

int engine_take_digit(struct engine *engine, uint64_t group, uint64_t stream, char digit) {
    int event = digit_event(digit);
    if (event < 0)
        return -EINVAL;
    struct command *command = command_new(COMMAND_TAKE_DIGIT, stream);
    if (command != NULL)
        command->first = event;
    return submit(engine, group, command);
}

static struct sounds *copy_sounds(const struct engine_sounds *from) {
    struct sounds *copy = calloc(1, sizeof *copy + (size_t)from->count * sizeof copy->names[0]);
    if (copy == NULL)
        return NULL;
    for (; copy->count < from->count; copy->count++)
        if ((copy->names[copy->count] = strdup(from->sounds[copy->count])) == NULL) {
            sounds_free(copy);
            return NULL;
        }
    copy->loop = from->loop || from->shared;
    copy->shared = from->shared;
    copy->start = from->start;
    copy->volume = from->volume;
    for (const char *digit = from->stopped_by; digit != NULL && *digit != '\0'; digit++)
        copy->stopped_by = (uint16_t)(copy->stopped_by | 1u << digit_event(*digit));
    return copy;
}

static bool is_volume(int decibels) {
    return decibels >= ENGINE_SOFTEST && decibels <= ENGINE_LOUDEST;
}

int engine_play(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, const struct engine_sounds *sounds) {
    const char *digits = sounds->stopped_by == NULL ? "" : sounds->stopped_by;
    if (play == 0 || sounds->count < 1 || sounds->count > ENGINE_SOUNDS || sounds->start < 0 || !is_volume(sounds->volume) ||
        digits[strspn(digits, DIGITS)] != '\0')
        return -EINVAL;
    struct command *command = command_new(COMMAND_PLAY, stream);
    if (command != NULL && (command->sounds = copy_sounds(sounds)) == NULL) {
        command_free(command);
        command = NULL;
    }
    if (command != NULL)
        command->object = play;
    return submit(engine, group, command);
}

static int submit_to_play(struct engine *engine, uint64_t group, enum command_kind kind, uint64_t stream, uint64_t play,
                          int number) {
    struct command *command = command_new(kind, stream);
    if (command != NULL) {
        command->object = play;
        command->first = number;
    }
    return submit(engine, group, command);
}

int engine_pause_playing(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, int paused) {
    return submit_to_play(engine, group, COMMAND_PAUSE_PLAYING, stream, play, paused);
}

int engine_seek_playing(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, int milliseconds) {
    return submit_to_play(engine, group, COMMAND_SEEK_PLAYING, stream, play, milliseconds);
}

int engine_set_volume(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play, int decibels) {
    return is_volume(decibels) ? submit_to_play(engine, group, COMMAND_SET_VOLUME, stream, play, decibels) : -EINVAL;
}

int engine_stop_playing(struct engine *engine, uint64_t group, uint64_t stream, uint64_t play) {
    return submit_simple(engine, group, COMMAND_STOP_PLAYING, stream, play);
}

int engine_record(struct engine *engine, uint64_t group, uint64_t recording, uint64_t left, uint64_t right, const char *path,
                  const struct engine_tape *tape) {
    if (recording == 0 || tape->maximum < 0 || tape->format < ENGINE_WAV || tape->format > ENGINE_OGG_OPUS)
        return -EINVAL;
    struct command *command = with_text(COMMAND_RECORD, left, path);
    if (command != NULL)
        command->tape = *tape;
    return submit_text(engine, group, command, recording, right, 0);
}

int engine_pause_recording(struct engine *engine, uint64_t group, uint64_t recording, int paused) {
    return submit_text(engine, group, command_new(COMMAND_PAUSE_RECORDING, 0), recording, 0, paused);
}

int engine_stop_recording(struct engine *engine, uint64_t group, uint64_t recording) {
    return submit_simple(engine, group, COMMAND_STOP_RECORDING, 0, recording);
}

/* Owned by the command; NULL if it is not as the contract has it, or memory is exhausted, which `fault` tells. */
static struct role *copy_role(const struct engine_role *role, int *fault) {
    *fault = -EINVAL;
    if (role->hearer_count < 0 || role->hearer_count > ENGINE_HEARERS)
        return NULL;
    *fault = -ENOMEM;
    struct role *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    copy->mute = role->mute;
    copy->deaf = role->deaf;
    copy->hearer_count = (uint8_t)role->hearer_count;
    for (int i = 0; i < role->hearer_count; i++)
        copy->hearers[i] = role->hearers[i];
    return copy;
}

static int submit_role(struct engine *engine, uint64_t group, enum command_kind kind, uint64_t stream, uint64_t mix, int rate,
                       const struct engine_role *role) {
    int fault;
    struct role *copy = copy_role(role, &fault);
    if (copy == NULL)
        return fault;
    struct command *command = command_new(kind, stream);
    if (command == NULL) {
        free(copy);
        return -ENOMEM;
    }
    command->role = copy;
    command->object = mix;
    command->first = rate;
    return submit(engine, group, command);
}

int engine_join(struct engine *engine, uint64_t group, uint64_t stream, uint64_t mix, int rate,
                const struct engine_role *role) {
    if (mix == 0 || (rate != 8000 && rate != 16000 && rate != 48000))
        return -EINVAL;
    return submit_role(engine, group, COMMAND_JOIN, stream, mix, rate, role);
}

int engine_set_role(struct engine *engine, uint64_t group, uint64_t stream, const struct engine_role *role) {
    return submit_role(engine, group, COMMAND_SET_ROLE, stream, 0, 0, role);
}

int engine_leave(struct engine *engine, uint64_t group, uint64_t stream) {
    return submit_simple(engine, group, COMMAND_LEAVE, stream, 0);
}

int engine_move(struct engine *engine, uint64_t group, uint64_t to) {
    return submit_simple(engine, group, COMMAND_MOVE, 0, to);
}
