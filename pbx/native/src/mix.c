#include "mix.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"
#include "packet.h"
#include "processing.h"
#include "recorder.h"
#include "speaker.h"

#define TOO_LATE (200 * MILLISECOND) /* as after the machine slept: ticks are not hurried after */
#define APART_FOR 600                /* ms that a member keeps its own encoder after it has last said something */

static void tick(struct timer *timer, uint64_t now);

static size_t samples_of(const struct mix *mix) {
    return mix->rate / 1000 * MIX_TICK;
}

static bool make_room(struct mix *mix) {
    if (mix->count < mix->room)
        return true;
    size_t room = mix->room == 0 ? 4 : 2 * mix->room;
    struct member **members = realloc(mix->members, room * sizeof *members);
    if (members != NULL)
        mix->members = members;
    struct mixer_seat **seats = realloc(mix->seats, room * sizeof *seats);
    if (seats != NULL)
        mix->seats = seats;
    if (members == NULL || seats == NULL)
        return false;
    mix->room = room;
    return true;
}

static void end(struct mix *mix) {
    struct worker *worker = mix->worker;
    timer_cancel(&worker->timers, &mix->timer);
    mix_end_sounds(mix);
    recorder_lose(&mix->taps);
    chorus_free(&mix->chorus);
    table_remove(&worker->mixes, mix->id);
    atomic_fetch_sub_explicit(&worker->mix_count, 1, memory_order_relaxed);
    free(mix->members);
    free(mix->seats);
    free(mix);
}

static struct mix *begin(struct worker *worker, uint64_t id, uint32_t rate) {
    struct mix *mix = calloc(1, sizeof *mix);
    if (mix == NULL)
        return NULL;
    mix->worker = worker;
    mix->id = id;
    mix->rate = rate;
    mix->timer.fire = tick;
    mixer_init(&mix->mixer, samples_of(mix));
    if (!make_room(mix) || !table_put(&worker->mixes, id, mix)) {
        free(mix->members);
        free(mix->seats);
        free(mix);
        return NULL;
    }
    atomic_fetch_add_explicit(&worker->mix_count, 1, memory_order_relaxed);
    mix->due = worker->now + MIX_TICK * MILLISECOND;
    timer_set(&worker->timers, &mix->timer, mix->due);
    return mix;
}

void mix_set_role(struct stream *stream, const struct role *role) {
    struct member *member = stream->member;
    if (member == NULL)
        return;
    struct mixer_seat *seat = &member->seat;
    seat->muted = role->mute;
    seat->deaf = role->deaf;
    seat->hearer_count = role->hearer_count;
    memcpy(seat->hearers, role->hearers, sizeof seat->hearers);
}

bool mix_join(struct stream *stream, uint64_t id, uint32_t rate, const struct role *role) {
    struct worker *worker = stream->worker;
    mix_leave(stream);
    stream_disconnect(stream);
    struct mix *mix = table_get(&worker->mixes, id);
    if (mix == NULL && (mix = begin(worker, id, rate)) == NULL)
        return false;
    struct member *member = calloc(1, sizeof *member);
    if (member == NULL || !make_room(mix) || (member->listener = listener_new(mix->rate)) == NULL) {
        free(member);
        if (mix->count == 0)
            end(mix);
        return false;
    }
    member->mix = mix;
    member->stream = stream;
    member->seat.id = stream->id;
    mix->members[mix->count] = member;
    mix->seats[mix->count++] = &member->seat;
    stream->member = member;
    mix_set_role(stream, role);
    return true;
}

void mix_leave(struct stream *stream) {
    struct member *member = stream->member;
    if (member == NULL)
        return;
    struct mix *mix = member->mix;
    size_t place = 0;
    while (mix->members[place] != member)
        place++;
    mix->count--;
    mix->members[place] = mix->members[mix->count];
    mix->seats[place] = mix->seats[mix->count];
    stream->member = NULL;
    listener_free(member->listener);
    speaker_free(member->speaker);
    free(member);
    if (mix->count == 0)
        end(mix);
}

void mix_take(struct stream *stream, const struct packet *packet, const struct codec_format *format) {
    listener_put(stream->member->listener, packet, format, stream->worker->now);
}

int mix_level(const struct stream *stream) {
    return stream->member == NULL ? -128 : talker_level(&stream->member->talker);
}

static void tell_speaker(struct mix *mix, const struct member *speaker) {
    struct event_node *node = event_new(ENGINE_ACTIVE_SPEAKER, mix->floor.holder, mix->id);
    if (node != NULL)
        node->event.level = speaker == NULL ? -127 : talker_level(&speaker->talker);
    outlet_put(&mix->worker->engine->outlet, node);
}

/* Takes what everybody says, and finds out who has the floor. One whom not all hear can't have it. */
static void hear_members(struct mix *mix, uint64_t now) {
    struct member *loudest = NULL, *holder = NULL;
    for (size_t i = 0; i < mix->count; i++) {
        struct member *member = mix->members[i];
        struct mixer_seat *seat = &member->seat;
        enum heard heard = listener_take(member->listener, seat->said, mix->mixer.count, now);
        if (member->stream->processing != NULL)
            processing_run(member->stream->processing, seat->said, mix->mixer.count, mix->rate);
        bool sounds = heard >= HEARD_CONCEALED && !member->stream->mute_receive;
        talker_hear(&member->talker, sounds ? mixer_power(seat->said, mix->mixer.count) : 0, MIX_TICK);
        seat->says = sounds && talker_counts(&member->talker);
        if (seat->muted || seat->hearer_count > 0)
            continue;
        if (seat->id == mix->floor.holder)
            holder = member;
        if (talker_talks(&member->talker) &&
            (loudest == NULL || member->talker.loudness > loudest->talker.loudness))
            loudest = member;
    }
    if (floor_judge(&mix->floor, holder == NULL ? NULL : &holder->talker, loudest == NULL ? 0 : loudest->seat.id,
                    loudest == NULL ? NULL : &loudest->talker, MIX_TICK))
        tell_speaker(mix, mix->floor.holder == 0 ? NULL : loudest);
}

/* Where a codec has a memory of what it spoke before, changing between one's own encoding and the common one can be heard for
   a moment; so who has just spoken keeps its own for a while. */
static void speak(struct mix *mix, struct member *member) {
    const struct mixer_seat *seat = &member->seat;
    if (seat->apart)
        member->apart = APART_FOR;
    else if (member->apart > 0)
        member->apart -= MIX_TICK;
    if (member->speaker == NULL && (member->speaker = speaker_new(member->stream, mix->rate)) == NULL)
        return;
    stream_refer(member->stream, seat->heard, mix->mixer.count, mix->rate);
    bool common = seat->heard == mix->mixer.common && member->apart == 0;
    if (!common || !chorus_join(&mix->chorus, member->speaker))
        speaker_put(member->speaker, seat->heard, mix->mixer.count,
                    seat->heard == mix->mixer.silence ? HEARD_NOTHING : HEARD_VOICE);
}

static void record(struct mix *mix) {
    if (mix->taps == NULL)
        return;
    uint8_t payload[2 * MIXER_SAMPLES];
    for (size_t i = 0; i < mix->mixer.count; i++)
        put_16(payload + 2 * i, (uint16_t)mix->mixer.common[i]);
    struct packet packet = {.payload = payload,
                            .length = 2 * mix->mixer.count,
                            .timestamp = mix->recorded,
                            .sequence = mix->recorded_packets++};
    const struct codec_format format = {.kind = CODEC_L16, .channels = 1, .clock = mix->rate};
    mix->recorded += (uint32_t)mix->mixer.count;
    recorder_take(mix->worker, &mix->taps, 0, &packet, &format);
}

static void tick(struct timer *timer, uint64_t now) {
    struct mix *mix = CONTAINER_OF(timer, struct mix, timer);
    hear_members(mix, now);
    mixer_begin(&mix->mixer);
    mix_add_sounds(mix);
    mixer_run(&mix->mixer, mix->seats, mix->count);
    for (size_t i = 0; i < mix->count; i++)
        speak(mix, mix->members[i]);
    chorus_sing(&mix->chorus, mix->mixer.common, mix->mixer.count, HEARD_VOICE);
    record(mix);
    mix->due += MIX_TICK * MILLISECOND;
    if (now > mix->due + TOO_LATE)
        mix->due = now;
    timer_set(&mix->worker->timers, timer, mix->due);
}
