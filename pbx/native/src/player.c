#include "player.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "digits.h"
#include "engine_private.h"
#include "packet.h"

#define UNDERRUN_WAIT (5 * MILLISECOND)
/* Later than this, as after the machine slept, frames are not hurried after. */
#define TOO_LATE (200 * MILLISECOND)

/* -- beginning and end */

static void tell_ended(struct worker *worker, uint64_t stream, uint64_t id, uint64_t played, char digit, const char *failure) {
    struct event_node *node = event_new(ENGINE_PLAY_ENDED, stream, id);
    if (node != NULL) {
        node->event.milliseconds = played;
        node->event.digit = digit;
        snprintf(node->event.text, sizeof node->event.text, "%s", failure);
    }
    outlet_put(&worker->engine->outlet, node);
}

void player_tell_ended(struct worker *worker, uint64_t stream, uint64_t id, uint64_t played, const char *failure) {
    tell_ended(worker, stream, id, played, '\0', failure);
}

void player_refuse(struct worker *worker, uint64_t stream, uint64_t id, const char *failure) {
    tell_ended(worker, stream, id, 0, '\0', failure);
}

static void end(struct player *player, char digit, const char *failure) {
    struct stream *stream = player->stream;
    struct worker *worker = stream->worker;
    stream->player = NULL;
    timer_cancel(&worker->timers, &player->timer);
    tell_ended(worker, stream->id, player->id, player->played, digit, failure);
    atomic_fetch_sub_explicit(&worker->play_count, 1, memory_order_relaxed);
    if (player->broadcast != NULL)
        broadcast_leave(&worker->engine->broadcasts, player->broadcast, worker->now);
    sound_release(player->sound);
    sound_release(player->next);
    sounds_free(player->sounds);
    free(player->lengths);
    free(player);
    stream_update(stream);
}

static struct player *find(struct stream *stream, uint64_t id) {
    struct player *player = stream->player;
    return player != NULL && (id == 0 || id == player->id) ? player : NULL;
}

void player_stop(struct stream *stream, uint64_t id, const char *failure) {
    struct player *player = find(stream, id);
    if (player != NULL)
        end(player, '\0', failure);
}

void player_key(struct stream *stream, unsigned event) {
    struct player *player = stream->player;
    if (player != NULL && event < 16 && player->sounds->stopped_by >> event & 1)
        end(player, DIGITS[event], "");
}

/* -- sounds from the library */

/* The first codec of the stream that sound can be turned into. */
static const struct codec_offer *choose_codec(const struct stream *stream) {
    for (int i = 0; i < stream->codec_count; i++)
        if (codec_available(stream->codecs[i].codec.format.kind))
            return &stream->codecs[i].codec;
    return NULL;
}

static bool fits(const struct player *player, const struct sound *sound) {
    const struct codec_offer *codec = choose_codec(player->stream);
    return codec != NULL && sound->format.kind == codec->format.kind && sound->format.clock == codec->format.clock &&
           sound->format.channels == codec->format.channels && sound->volume == player->volume &&
           sound->packet_time == codec_packet_time(&codec->format, player->stream->packet_time);
}

static uint64_t ask(struct player *player, int item, const struct codec_offer *codec) {
    struct stream *stream = player->stream;
    const struct sound_wish wish = {.name = player->sounds->names[item],
                                    .format = codec->format,
                                    .packet_time = codec_packet_time(&codec->format, stream->packet_time),
                                    .volume = player->volume};
    uint64_t ticket = ++stream->worker->feeds;
    return library_request(&stream->worker->engine->library, stream->worker, stream->id, player->id, ticket, &wish) ? ticket : 0;
}

/* Asks for the sound that is due; the play ends if nothing can come of it. Before the peer's codecs are known it waits for
   them. */
static void request(struct player *player) {
    struct stream *stream = player->stream;
    timer_cancel(&stream->worker->timers, &player->timer);
    sound_release(player->sound);
    sound_release(player->next);
    player->sound = player->next = NULL;
    player->ticket = player->next_ticket = 0;
    if (!stream->remote_known)
        return;
    const struct codec_offer *codec = choose_codec(stream);
    if (codec == NULL) {
        end(player, '\0', "the peer has no codec that sound can be turned into");
        return;
    }
    player->payload_type = codec->payload_type;
    player->ticket = ask(player, player->item, codec);
    if (player->ticket == 0)
        end(player, '\0', "out of memory");
}

/* The sound behind this one is prepared in time, so that nothing is heard of the seam. */
static void request_next(struct player *player) {
    int next = player->item + 1 < player->sounds->count ? player->item + 1 : 0;
    if (next != player->item && (next > 0 || player->sounds->loop))
        player->next_ticket = ask(player, next, choose_codec(player->stream));
}

/* -- one frame after the other */

static bool may_send(const struct stream *stream) {
    return stream->can_send && stream->dialer == NULL;
}

static void send_frame(struct worker *worker, struct player *player) {
    struct stream *stream = player->stream;
    struct sound *sound = player->sound;
    size_t length;
    const uint8_t *frame = sound_frame(sound, player->frame, &length);
    if (may_send(stream) && length > 0) {
        uint8_t data[RTP_HEADER + CODEC_OCTETS];
        memcpy(data + RTP_HEADER, frame, length);
        send_packet(worker, stream,
                    &(struct outgoing){.payload = data + RTP_HEADER,
                                       .length = length,
                                       .feed = player->feed,
                                       .timestamp = player->timestamp,
                                       .rate = sound->format.clock,
                                       .sequence = player->sequence++,
                                       .type = player->payload_type});
    }
    player->timestamp += sound->timestamp_step;
    player->played += (uint64_t)sound->packet_time;
    player->frame++;
    player->failures = 0;
}

static void begin(struct player *player);

static void go_to(struct player *player, int item, uint64_t milliseconds) {
    player->skip = milliseconds;
    if (item == player->item && player->sound != NULL) {
        begin(player);
        return;
    }
    bool prepared = item == player->item + 1 || (item == 0 && player->item == player->sounds->count - 1);
    player->item = item;
    if (prepared && player->next != NULL && fits(player, player->next)) {
        sound_release(player->sound);
        player->sound = player->next;
        player->next = NULL;
        begin(player);
    } else {
        request(player);
    }
}

/* Goes on behind a sound, `milliseconds` into what follows. */
static void go_on(struct player *player, uint64_t milliseconds) {
    struct worker *worker = player->stream->worker;
    if (player->broadcast != NULL) {
        struct broadcast_place place =
            broadcast_next(&worker->engine->broadcasts, player->broadcast, player->item, worker->now);
        go_to(player, place.item, place.milliseconds);
    } else if (player->item + 1 < player->sounds->count) {
        go_to(player, player->item + 1, milliseconds);
    } else if (player->sounds->loop) {
        uint64_t round = 0;
        for (int i = 0; i < player->sounds->count; i++)
            round += player->lengths[i];
        go_to(player, 0, round == 0 ? 0 : milliseconds % round);
    } else {
        end(player, '\0', "");
    }
}

/* One sound of several is named, for the path of a file is what somebody has to mend. */
static void fail(struct player *player, const char *fault) {
    char text[ENGINE_TEXT_SIZE];
    const char *name = player->sounds->names[player->item], *slash = strrchr(name, '/');
    if (player->broadcast != NULL && ++player->failures < player->sounds->count) {
        go_on(player, 0);
        return;
    }
    snprintf(text, sizeof text, "%.60s: %.90s", slash == NULL ? name : slash + 1, fault);
    end(player, '\0', player->sounds->count > 1 ? text : fault);
}

static void catch_up(struct player *player) {
    struct worker *worker = player->stream->worker;
    player->behind = false;
    if (player->broadcast != NULL)
        player->frame = (uint32_t)(broadcast_place(&worker->engine->broadcasts, player->broadcast, worker->now).milliseconds /
                                   (uint64_t)player->sound->packet_time);
}

static void next_frame(struct timer *timer, uint64_t now) {
    struct player *player = CONTAINER_OF(timer, struct player, timer);
    struct sound *sound = player->sound;
    struct timers *timers = &player->stream->worker->timers;
    bool complete = atomic_load_explicit(&sound->complete, memory_order_acquire);
    uint32_t ready = atomic_load_explicit(&sound->ready, memory_order_acquire);
    if (player->frame < ready && player->behind)
        catch_up(player);
    if (player->frame >= ready) {
        if (complete && sound->fault[0] != '\0') {
            fail(player, sound->fault);
        } else if (complete) {
            uint32_t length = ready * (uint32_t)sound->packet_time;
            player->lengths[player->item] = length;
            go_on(player, (uint64_t)(player->frame - ready) * (uint64_t)sound->packet_time);
        } else {
            player->behind = true;
            timer_set(timers, timer, player->due = now + UNDERRUN_WAIT);
        }
        return;
    }
    send_frame(player->stream->worker, player);
    player->due += (uint64_t)sound->packet_time * MILLISECOND;
    if (now > player->due + TOO_LATE)
        player->due = now;
    timer_set(timers, timer, player->due);
}

/* The sound is there: from `skip` on, when the frame before it has had its time. */
static void begin(struct player *player) {
    struct worker *worker = player->stream->worker;
    player->frame = (uint32_t)(player->skip / (uint64_t)player->sound->packet_time);
    player->skip = 0;
    if (player->due < worker->now)
        player->due = worker->now;
    if (player->next == NULL && player->next_ticket == 0)
        request_next(player);
    stream_update(player->stream);
    /* By the timer even if it is due, so that sounds without a frame in them can't call each other for ever. */
    if (!player->paused)
        timer_set(&worker->timers, &player->timer, player->due);
}

void player_sound(struct stream *stream, uint64_t id, uint64_t ticket, struct sound *sound) {
    struct player *player = stream == NULL ? NULL : find(stream, id);
    if (player == NULL || id == 0 || !fits(player, sound)) {
        sound_release(sound);
    } else if (ticket == player->next_ticket) {
        player->next = sound;
        player->next_ticket = 0;
    } else if (ticket == player->ticket) {
        player->ticket = 0;
        player->sound = sound;
        begin(player);
    } else {
        sound_release(sound);
    }
}

/* -- what the caller wants */

void player_start(struct stream *stream, uint64_t id, struct sounds *sounds) {
    struct worker *worker = stream->worker;
    player_stop(stream, 0, "");
    struct player *player = calloc(1, sizeof *player);
    uint32_t *lengths = calloc((size_t)sounds->count, sizeof *lengths);
    struct broadcast *broadcast = NULL;
    if (sounds->shared)
        broadcast = broadcast_join(&worker->engine->broadcasts, sounds, worker->now);
    if (player == NULL || lengths == NULL || (sounds->shared && broadcast == NULL)) {
        if (broadcast != NULL)
            broadcast_leave(&worker->engine->broadcasts, broadcast, worker->now);
        free(player);
        free(lengths);
        sounds_free(sounds);
        tell_ended(worker, stream->id, id, 0, '\0', "out of memory");
        return;
    }
    *player = (struct player){.stream = stream,
                              .id = id,
                              .sounds = sounds,
                              .lengths = lengths,
                              .broadcast = broadcast,
                              .volume = sounds->volume,
                              .skip = (uint64_t)sounds->start,
                              .feed = ++worker->feeds,
                              .timer.fire = next_frame};
    if (broadcast != NULL) {
        struct broadcast_place place = broadcast_place(&worker->engine->broadcasts, broadcast, worker->now);
        player->item = place.item;
        player->skip = place.milliseconds;
    }
    stream->player = player;
    atomic_fetch_add_explicit(&worker->play_count, 1, memory_order_relaxed);
    stream_update(stream);
    request(player);
}

void player_pause(struct stream *stream, uint64_t id, bool paused) {
    struct player *player = find(stream, id);
    struct worker *worker = stream->worker;
    if (player == NULL || player->broadcast != NULL || paused == player->paused)
        return;
    player->paused = paused;
    timer_cancel(&worker->timers, &player->timer);
    if (!paused && player->sound != NULL) {
        /* The peer's clock went on. */
        player->feed = ++worker->feeds;
        timer_set(&worker->timers, &player->timer, player->due = worker->now);
    }
}

static uint64_t position(const struct player *player) {
    return player->sound == NULL ? player->skip : (uint64_t)player->frame * (uint64_t)player->sound->packet_time;
}

void player_seek(struct stream *stream, uint64_t id, int milliseconds) {
    struct player *player = find(stream, id);
    if (player == NULL || player->broadcast != NULL)
        return;
    int item = player->item;
    int64_t place = (int64_t)position(player) + milliseconds;
    while (place < 0 && item > 0 && player->lengths[item - 1] > 0)
        place += player->lengths[--item];
    /* Forward beyond the end is found out when the frame is due. */
    go_to(player, item, place < 0 ? 0 : (uint64_t)place);
}

static void ask_again(struct player *player) {
    player->skip = position(player);
    if (player->broadcast != NULL) {
        struct worker *worker = player->stream->worker;
        struct broadcast_place place = broadcast_place(&worker->engine->broadcasts, player->broadcast, worker->now);
        player->item = place.item;
        player->skip = place.milliseconds;
    }
    request(player);
}

void player_set_volume(struct stream *stream, uint64_t id, int decibels) {
    struct player *player = find(stream, id);
    if (player == NULL || player->volume == decibels)
        return;
    player->volume = decibels;
    ask_again(player);
}

void player_renegotiate(struct stream *stream) {
    struct player *player = stream->player;
    if (player == NULL)
        return;
    if (player->sound != NULL && fits(player, player->sound)) {
        player->payload_type = choose_codec(stream)->payload_type;
        return;
    }
    player->feed = ++stream->worker->feeds;
    ask_again(player);
}
