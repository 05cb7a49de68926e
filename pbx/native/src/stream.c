#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "digits.h"
#include "ear.h"
#include "engine_private.h"
#include "listener.h"
#include "mix.h"
#include "packet.h"
#include "pair.h"
#include "path.h"
#include "player.h"
#include "processing.h"
#include "random.h"
#include "recorder.h"
#include "refusal.h"
#include "transcoder.h"

static void tell_closed(struct worker *worker, uint64_t id, const struct engine_counts *counts, const char *reason) {
    struct event_node *node = event_new(ENGINE_CLOSED, id, 0);
    if (node != NULL) {
        node->event.counts = *counts;
        snprintf(node->event.text, sizeof node->event.text, "%s", reason);
    }
    outlet_put(&worker->engine->outlet, node);
}

void stream_counts(const struct stream *stream, struct engine_counts *counts) {
    *counts = stream->counts;
    counts->level = mix_level(stream);
    counts->lost = source_lost(stream);
    transcoder_count(stream, counts);
    processing_count(stream->processing, counts);
    if (stream->rx.rate != 0)
        counts->jitter = stream->rx.jitter / 16.0 * 1000.0 / stream->rx.rate;
    address_text(&stream->source, counts->source, sizeof counts->source);
    address_text(&stream->stranger, counts->stranger, sizeof counts->stranger);
    counts->extended_received = stream->extended.received;
    counts->remote_rating = stream->extended.rating > 0 ? stream->extended.rating : -1;
    counts->remote_score = stream->extended.score > 0 ? stream->extended.score / 10.0 : -1;
    counts->refused = stream->refusals.rtp;
    counts->refused_rtcp = stream->refusals.rtcp;
    counts->refusal = (int)stream->refusals.last;
    counts->inspected = stream->inspection.inspected;
    counts->silent = stream->inspection.silent;
    counts->clipped = stream->inspection.clipped;
}

void stream_tell(struct stream *stream, enum engine_event_kind kind) {
    struct event_node *node = event_new(kind, stream->id, 0);
    if (node != NULL) {
        struct engine_event *event = &node->event;
        stream_counts(stream, &event->counts);
        const struct address *address = kind == ENGINE_LATCHED ? &stream->source : &stream->local;
        address_host(address, event->address, sizeof event->address);
        event->port = address_port(address);
        event->rtcp_port = event->port + 1;
        event->milliseconds = (uint64_t)stream->no_media_timeout;
    }
    outlet_put(&stream->worker->engine->outlet, node);
}

static bool watch_endpoint(struct worker *worker, struct endpoint *endpoint) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = endpoint};
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, endpoint->fd, &event) == 0;
}

static void release(struct stream *stream) {
    srtp_end(stream);
    pair_close(&(struct pair){.ports = &stream->worker->engine->ports,
                              .local = stream->local,
                              .rtp = stream->rtp.fd,
                              .rtcp = stream->rtcp.fd});
    free(stream->codecs);
    free(stream);
}

static void no_media(struct timer *timer, uint64_t now);

void stream_open(struct worker *worker, uint64_t group, uint64_t id, const struct pair *pair) {
    const struct engine_counts none = {.round_trip = -1, .payload_type = -1, .level = -128};
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        pair_close(pair);
        tell_closed(worker, id, &none, "out of memory");
        return;
    }
    stream->worker = worker;
    stream->id = id;
    stream->group = group / (uint64_t)worker->engine->worker_count;
    stream->local = pair->local;
    stream->rtp = (struct endpoint){.stream = stream, .fd = pair->rtp};
    stream->rtcp = (struct endpoint){.stream = stream, .fd = pair->rtcp, .rtcp = true};
    stream->counts = none;
    stream->attention = true;
    stream->packet_time = 20;
    stream->current.type = 255;
    stream->watch.fire = no_media;
    stream->tx.ssrc = random_32();
    stream->tx.sequence = (uint16_t)(random_32() & 0x7fff);
    stream->tx.timestamp = random_32();
    if (!(watch_endpoint(worker, &stream->rtp) && watch_endpoint(worker, &stream->rtcp) &&
          table_put(&worker->streams, id, stream))) {
        release(stream);
        tell_closed(worker, id, &none, "out of memory");
        return;
    }
    rtcp_start(stream);
    atomic_fetch_add_explicit(&worker->stream_count, 1, memory_order_relaxed);
}

void stream_close(struct stream *stream, const char *reason) {
    struct worker *worker = stream->worker;
    struct engine_counts counts;
    player_stop(stream, 0, "");
    digits_end(stream);
    ear_listen(stream, false);
    rtcp_bye(stream);
    stream_counts(stream, &counts);
    stream_disconnect(stream);
    mix_leave(stream);
    processing_free(stream->processing);
    recorder_lose(&stream->taps);
    source_forget(stream);
    timer_cancel(&worker->timers, &stream->watch);
    timer_cancel(&worker->timers, &stream->report.timer);
    table_remove(&worker->streams, stream->id);
    atomic_fetch_sub_explicit(&worker->stream_count, 1, memory_order_relaxed);
    tell_closed(worker, stream->id, &counts, reason);
    release(stream);
}

void stream_update(struct stream *stream) {
    stream->can_send = stream->peer.length != 0 && stream->send && !stream->mute_send;
    bool playing = stream->player != NULL && (stream->player->sound != NULL || stream->player->played > 0);
    bool before = stream->sendable;
    stream->sendable = stream->can_send && !playing && stream->dialer == NULL;
    if (stream->sendable && !before)
        send_afresh(stream);
}

void stream_disconnect(struct stream *stream) {
    struct stream *other = stream->relay;
    stream->relay = NULL;
    if (other != NULL && other != stream) {
        other->relay = NULL;
        path_choose(other);
    }
    path_choose(stream);
}

void stream_connect(struct stream *left, struct stream *right) {
    bool new = left->relay != right;
    mix_leave(left);
    mix_leave(right);
    stream_disconnect(left);
    stream_disconnect(right);
    left->relay = right;
    right->relay = left;
    if (new) {
        send_afresh(left);
        send_afresh(right);
    }
    path_choose(left);
    path_choose(right);
}

void stream_mute(struct stream *stream, bool receive, bool send) {
    bool changes = receive != stream->mute_receive;
    stream->mute_receive = receive;
    if (changes)
        recorder_expect(stream->taps, stream->receive && !receive);
    if (changes && stream->relay != NULL)
        send_afresh(stream->relay);
    stream->mute_send = send;
    stream_update(stream);
}

bool stream_process(struct stream *stream, const struct engine_processing *wish) {
    bool asked = wish->level != 0 || wish->noise != 0 || wish->echo != 0;
    processing_count(stream->processing, &stream->counts);
    processing_free(stream->processing);
    stream->processing = asked ? processing_new(wish) : NULL;
    path_choose(stream);
    if (stream->relay != NULL)
        path_choose(stream->relay);
    return !asked || stream->processing != NULL;
}

void stream_refer(struct stream *stream, const int16_t *samples, size_t count, uint32_t rate) {
    if (!processing_wants_reference(stream->processing))
        return;
    int16_t silence[48 * LISTENER_MOST_MILLISECONDS] = {0};
    bool hears = stream->sendable && stream->worker->now >= stream->keyed_until;
    processing_refer(stream->processing, hears ? samples : silence, count, rate);
}

static void no_media(struct timer *timer, uint64_t now) {
    struct stream *stream = CONTAINER_OF(timer, struct stream, watch);
    uint64_t since = stream->rx.last > stream->watch_from ? stream->rx.last : stream->watch_from;
    uint64_t due = since + (uint64_t)stream->no_media_timeout * MILLISECOND;
    if (!stream->receive || stream->no_media_timeout == 0)
        return;
    if (now < due) {
        stream->told_silent = false;
    } else {
        stream_tell(stream, ENGINE_NO_MEDIA);
        stream->told_silent = stream->attention = true;
        due = now + (uint64_t)stream->no_media_timeout * MILLISECOND;
    }
    timer_set(&stream->worker->timers, timer, due);
}

static bool take_codecs(struct stream *stream, const struct remote *remote) {
    struct negotiated *codecs = NULL;
    if (remote->codec_count > 0 && (codecs = calloc((size_t)remote->codec_count, sizeof *codecs)) == NULL)
        return false;
    for (int i = 0; i < remote->codec_count; i++)
        codecs[i].codec = remote->codecs[i];
    free(stream->codecs);
    stream->codecs = codecs;
    stream->codec_count = remote->codec_count;
    return true;
}

bool stream_set_remote(struct stream *stream, const struct remote *remote) {
    struct worker *worker = stream->worker;
    if (!take_codecs(stream, remote))
        return false;
    source_set_remote(stream, remote);
    stream->remote_known = true;
    stream->opaque = remote->opaque;
    stream->negotiation++;
    stream->send = remote->send;
    stream->packet_time = remote->packet_time;
    path_choose(stream);
    if (stream->relay != NULL)
        path_choose(stream->relay);
    stream_update(stream);
    player_renegotiate(stream);

    bool watched = stream->receive && stream->no_media_timeout > 0, changes = stream->receive != remote->receive;
    stream->receive = remote->receive;
    if (changes)
        recorder_expect(stream->taps, stream->receive && !stream->mute_receive);
    stream->no_media_timeout = remote->no_media_timeout;
    if (!stream->receive || stream->no_media_timeout == 0) {
        timer_cancel(&worker->timers, &stream->watch);
        stream->told_silent = false;
    } else {
        if (!watched)
            stream->watch_from = worker->now;
        timer_set(&worker->timers, &stream->watch, worker->now + (uint64_t)stream->no_media_timeout * MILLISECOND);
    }
    return true;
}
