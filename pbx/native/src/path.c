#include "path.h"

#include <strings.h>

#include "ear.h"
#include "g711.h"
#include "packet.h"
#include "processing.h"
#include "speaker.h"
#include "transcoder.h"

static void send_on(struct worker *worker, struct stream *from, const struct packet *packet) {
    const struct current *current = &from->current;
    send_packet(worker, from->relay,
                &(struct outgoing){.payload = packet->payload,
                                   .length = packet->length,
                                   .feed = from->rx.feed,
                                   .timestamp = packet->timestamp,
                                   .rate = current->format.clock,
                                   .sequence = packet->sequence,
                                   .type = current->way.type,
                                   .marker = packet->marker});
}

static bool is_companion(const struct codec_format *format) {
    return format->kind == CODEC_EVENT || format->kind == CODEC_COMFORT;
}

/* -- relay */

/* The codec as the other side has it, or NULL. */
static const struct codec_offer *counterpart(const struct stream *from, const struct codec_offer *codec) {
    const struct stream *to = from->relay;
    for (int i = 0; i < to->codec_count; i++) {
        const struct codec_offer *other = &to->codecs[i].codec;
        if (codec->format.clock == other->format.clock && codec->format.channels == other->format.channels &&
            strcasecmp(codec->name, other->name) == 0)
            return other;
    }
    return NULL;
}

static bool can_relay(const struct stream *from, const struct codec_offer *codec, struct way *way) {
    const struct codec_offer *other = counterpart(from, codec);
    if (other != NULL)
        way->type = other->payload_type;
    return other != NULL;
}

static void relay(struct worker *worker, struct stream *from, const struct packet *packet) {
    if (from->transcoder != NULL && !is_companion(&from->current.format))
        transcoder_stop(from);
    send_on(worker, from, packet);
}

/* -- translate */

static bool can_translate(const struct stream *from, const struct codec_offer *codec, struct way *way) {
    const struct stream *to = from->relay;
    uint8_t other = codec->format.kind == CODEC_PCMU ? CODEC_PCMA : CODEC_PCMU;
    if ((codec->format.kind != CODEC_PCMU && codec->format.kind != CODEC_PCMA) || codec->format.channels != 1 ||
        from->packet_time != to->packet_time)
        return false;
    for (int i = 0; i < to->codec_count; i++) {
        const struct codec_format *format = &to->codecs[i].codec.format;
        if (format->kind == other && format->clock == codec->format.clock && format->channels == 1) {
            g711_fill_tables();
            way->type = to->codecs[i].codec.payload_type;
            way->translation = other == CODEC_PCMA ? g711_ulaw_to_alaw : g711_alaw_to_ulaw;
            return true;
        }
    }
    return false;
}

static void translate(struct worker *worker, struct stream *from, const struct packet *packet) {
    const uint8_t *translation = from->current.way.translation;
    for (size_t i = 0; i < packet->length; i++)
        packet->payload[i] = translation[packet->payload[i]];
    relay(worker, from, packet);
}

/* -- transcode */

static bool can_transcode(const struct stream *from, const struct codec_offer *codec, struct way *way) {
    (void)way;
    return codec_available(codec->format.kind) && speaker_fits(from->relay);
}

static void transcode(struct worker *worker, struct stream *from, const struct packet *packet) {
    (void)worker;
    if (from->transcoder == NULL && !transcoder_start(from)) {
        from->counts.dropped_payload++;
        return;
    }
    transcoder_take(from, packet);
}

/* -- aside */

static void aside(struct worker *worker, struct stream *from, const struct packet *packet) {
    struct stream *to = from->relay;
    bool key = from->current.format.kind == CODEC_EVENT, known = from->current.way.type < 128;
    if (from->transcoder != NULL)
        transcoder_take(from, packet);
    if (!known) {
        from->counts.dropped_payload += key || from->transcoder == NULL;
        return;
    }
    if (key)
        to->keyed_until = worker->now + KEYED;
    if (key || from->transcoder == NULL)
        send_on(worker, from, packet);
}

/* -- nowhere */

static void drop(struct worker *worker, struct stream *from, const struct packet *packet) {
    (void)worker, (void)packet;
    from->counts.dropped_payload++;
}

static const struct media_path paths[] = {
    {"relay", can_relay, relay},
    {"translate", can_translate, translate},
    {"transcode", can_transcode, transcode},
};
static const struct media_path path_transcode = {"transcode", can_transcode, transcode};
static const struct media_path path_aside = {"aside", NULL, aside}, path_nowhere = {"nowhere", NULL, drop};

/* Sound that is to be processed on its way, or the echo of which is to be found, or that is to lose its keys, is no use as it
   comes. */
static bool must_be_decoded(const struct stream *from) {
    return from->processing != NULL || processing_wants_reference(from->relay->processing) || ear_clamps(from);
}

bool path_decodes(const struct way *way) {
    return way->path != NULL && way->path->carry == transcode;
}

static void choose_for(struct stream *from, struct negotiated *codec) {
    codec->way = (struct way){.path = &path_nowhere, .type = 255};
    if (from->relay != NULL && must_be_decoded(from) && can_transcode(from, &codec->codec, &codec->way)) {
        codec->way.path = &path_transcode;
        return;
    }
    for (size_t i = 0; from->relay != NULL && i < sizeof paths / sizeof *paths; i++)
        if (paths[i].fits(from, &codec->codec, &codec->way)) {
            codec->way.path = &paths[i];
            return;
        }
}

void path_choose(struct stream *from) {
    bool transcodes = false;
    from->current = (struct current){.type = 255, .way.path = &path_nowhere};
    for (int i = 0; i < from->codec_count; i++) {
        choose_for(from, &from->codecs[i]);
        transcodes = transcodes || from->codecs[i].way.path->carry == transcode;
    }
    for (int i = 0; transcodes && i < from->codec_count; i++)
        if (is_companion(&from->codecs[i].codec.format))
            from->codecs[i].way.path = &path_aside;
    transcoder_renegotiate(from, transcodes);
}
