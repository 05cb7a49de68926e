#include "player.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"
#include "packet.h"

#define UNDERRUN_WAIT (5 * MILLISECOND)
/* Later than this, as after the machine slept, frames are not hurried after. */
#define TOO_LATE (200 * MILLISECOND)

void player_tell_ended(struct worker *worker, uint64_t stream, uint64_t id, uint64_t played, const char *failure) {
    struct event_node *node = event_new(ENGINE_PLAY_ENDED, stream, id);
    if (node != NULL) {
        node->event.milliseconds = played;
        snprintf(node->event.text, sizeof node->event.text, "%s", failure);
    }
    outlet_put(&worker->engine->outlet, node);
}

void player_refuse(struct worker *worker, uint64_t stream, uint64_t id, const char *failure) {
    player_tell_ended(worker, stream, id, 0, failure);
}

void player_stop(struct stream *stream, uint64_t id, const char *failure) {
    struct player *player = stream->player;
    struct worker *worker = stream->worker;
    if (player == NULL || (id != 0 && id != player->id))
        return;
    stream->player = NULL;
    timer_cancel(&worker->timers, &player->timer);
    sound_release(player->sound);
    player_tell_ended(worker, stream->id, player->id, player->played, failure);
    atomic_fetch_sub_explicit(&worker->play_count, 1, memory_order_relaxed);
    free(player->path);
    free(player);
    stream_update(stream);
}

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
}

static void next_frame(struct timer *timer, uint64_t now) {
    struct player *player = CONTAINER_OF(timer, struct player, timer);
    struct sound *sound = player->sound;
    struct timers *timers = &player->stream->worker->timers;
    bool complete = atomic_load_explicit(&sound->complete, memory_order_acquire);
    uint32_t ready = atomic_load_explicit(&sound->ready, memory_order_acquire);
    if (player->loop && complete && sound->fault[0] == '\0' && player->frame >= ready)
        player->frame = 0;
    if (player->frame >= ready) {
        if (complete)
            player_stop(player->stream, player->id, sound->fault);
        else
            timer_set(timers, timer, player->due = now + UNDERRUN_WAIT);
        return;
    }
    send_frame(player->stream->worker, player);
    player->due += (uint64_t)sound->packet_time * MILLISECOND;
    if (now > player->due + TOO_LATE)
        player->due = now;
    timer_set(timers, timer, player->due);
}

/* The first codec of the stream that sound can be turned into. */
static const struct codec_offer *choose_codec(const struct stream *stream) {
    for (int i = 0; i < stream->codec_count; i++)
        if (codec_available(stream->codecs[i].codec.format.kind))
            return &stream->codecs[i].codec;
    return NULL;
}

/* Asks the library; the play ends if nothing can come of it. Before the peer's codecs are known it waits for them. */
static void request(struct player *player) {
    struct stream *stream = player->stream;
    struct engine *engine = stream->worker->engine;
    if (!stream->remote_known)
        return;
    const struct codec_offer *codec = choose_codec(stream);
    if (codec == NULL) {
        player_stop(stream, player->id, "the peer has no codec that sound can be turned into");
        return;
    }
    player->payload_type = codec->payload_type;
    int packet_time = codec_packet_time(&codec->format, stream->packet_time);
    if (!library_request(&engine->library, stream->worker, stream->id, player->id, player->path, &codec->format, packet_time))
        player_stop(stream, player->id, "out of memory");
}

void player_start(struct stream *stream, uint64_t id, const char *path, bool loop) {
    struct worker *worker = stream->worker;
    player_stop(stream, 0, "");
    struct player *player = calloc(1, sizeof *player);
    if (player == NULL || (player->path = strdup(path)) == NULL) {
        free(player);
        player_tell_ended(worker, stream->id, id, 0, "out of memory");
        return;
    }
    player->stream = stream;
    player->id = id;
    player->loop = loop;
    player->feed = ++worker->feeds;
    player->timer.fire = next_frame;
    stream->player = player;
    atomic_fetch_add_explicit(&worker->play_count, 1, memory_order_relaxed);
    request(player);
}

static bool fits(const struct sound *sound, const struct stream *stream) {
    const struct codec_offer *codec = choose_codec(stream);
    return codec != NULL && sound->format.kind == codec->format.kind && sound->format.clock == codec->format.clock &&
           sound->format.channels == codec->format.channels &&
           sound->packet_time == codec_packet_time(&codec->format, stream->packet_time);
}

void player_sound(struct stream *stream, uint64_t id, struct sound *sound) {
    struct player *player = stream == NULL ? NULL : stream->player;
    if (player == NULL || player->id != id || player->sound != NULL || !fits(sound, stream)) {
        sound_release(sound);
        return;
    }
    if (atomic_load_explicit(&sound->ready, memory_order_acquire) == 0) {
        player_stop(stream, id, sound->fault); /* nothing is ready, and yet it was delivered: it is complete */
        sound_release(sound);
        return;
    }
    player->sound = sound;
    player->frame = (uint32_t)(player->played / (uint64_t)sound->packet_time % sound->frames);
    player->due = stream->worker->now;
    stream_update(stream);
    next_frame(&player->timer, stream->worker->now);
}

void player_renegotiate(struct stream *stream) {
    struct player *player = stream->player;
    if (player == NULL)
        return;
    if (player->sound != NULL && fits(player->sound, stream)) {
        player->payload_type = choose_codec(stream)->payload_type;
        return;
    }
    if (player->sound != NULL) {
        timer_cancel(&stream->worker->timers, &player->timer);
        sound_release(player->sound);
        player->sound = NULL;
        player->feed = ++stream->worker->feeds;
    }
    request(player);
}
