/*
 * Where on the recording's line of time a packet belongs.
 *
 * The first packet of a source is laid down where it arrived; from there on its timestamps say where the others belong, so
 * that jitter of the network is not heard. Clocks drift apart, and phones stop their timestamps on hold: lateness is
 * watched, and when even the least late packet of a while is off, the line is moved - in a moment of quiet if one comes soon
 * enough.
 */
#include <stdlib.h>

#include "clock.h"
#include "tape.h"

#define WATCHED 100               /* packets over which the least lateness is looked for: two seconds of 20 ms each */
#define WATCHED_FAR_OFF 25        /* the same when it is far off */
#define OFF_MILLISECONDS 20       /* moved in a moment of quiet */
#define OFF_TOO_FAR_MILLISECONDS 60 /* moved at once */
#define FAR_OFF_MILLISECONDS 200
#define AHEAD_MILLISECONDS 1000   /* no more than this before its time */
#define JOIN_MILLISECONDS 100     /* a new source that begins so little before the old one's end is put behind it */
#define PAUSE_MILLISECONDS 200
#define QUIET 300                 /* greatest sample of a quiet packet, some -41 dBFS */
#define MAX_LOST 3000             /* packets */
#define LATEST_MILLISECONDS 10000 /* what comes later has no place: nobody may write over what he said long ago */
#define REMEMBERED 64             /* sequence numbers of which it is known whether they came */

static int64_t samples_of(const struct tape *tape, int64_t milliseconds) {
    return milliseconds * tape->rate / 1000;
}

static int64_t arrival_position(const struct tape *tape, const struct tape_packet *packet) {
    return tape_position(tape, packet->arrival);
}

static void anchor(struct line *line, uint32_t timestamp, int64_t position) {
    line->anchored = true;
    line->timestamp = timestamp;
    line->position = position;
    line->counted = 0;
}

static bool same_line(const struct line *line, const struct tape_packet *packet) {
    return line->anchored && line->feed == packet->feed && line->format.clock == packet->format.clock;
}

/* Moves the line when all of the last packets were late, or early; `quiet` tells a good moment. Far off and settled, it is
   another line of time; far off and changing from packet to packet, a stalled network delivers what it held back. */
static void watch(const struct tape *tape, struct line *line, int64_t lateness, bool quiet) {
    if (line->counted == 0)
        line->least = line->most = lateness;
    line->least = lateness < line->least ? lateness : line->least;
    line->most = lateness > line->most ? lateness : line->most;
    line->counted++;
    int64_t far_off = samples_of(tape, FAR_OFF_MILLISECONDS);
    if (llabs(line->least) > far_off && line->counted >= WATCHED_FAR_OFF) {
        if (line->most - line->least < far_off)
            line->position += line->least;
        line->counted = 0;
    } else if (line->counted >= WATCHED) {
        if (llabs(line->least) > samples_of(tape, quiet ? OFF_MILLISECONDS : OFF_TOO_FAR_MILLISECONDS)) {
            line->position += line->least;
            line->counted = 0;
        } else if (line->counted >= 2 * WATCHED) {
            line->counted = 0;
        }
    }
}

/* Where the packet belongs. */
static int64_t find_position(const struct tape *tape, struct line *line, const struct tape_packet *packet) {
    int64_t arrived = arrival_position(tape, packet);
    if (!same_line(line, packet)) {
        bool joins = line->end > arrived && line->end - arrived < samples_of(tape, JOIN_MILLISECONDS);
        anchor(line, packet->timestamp, joins ? line->end : arrived);
        line->feed = packet->feed;
        return line->position;
    }
    int32_t step = (int32_t)(packet->timestamp - line->timestamp);
    int64_t units = (int64_t)step * tape->rate, clock = (int64_t)packet->format.clock;
    int64_t position = line->position + units / clock, lateness = arrived - position;
    bool paused = packet->marker && packet->arrival - line->arrival > PAUSE_MILLISECONDS * MILLISECOND &&
                  lateness > samples_of(tape, PAUSE_MILLISECONDS / 2);
    if (paused || lateness < -samples_of(tape, AHEAD_MILLISECONDS)) {
        anchor(line, packet->timestamp, arrived);
        return arrived;
    }
    /* Keep the anchor near, but lose nothing by rounding. */
    if (units % clock == 0 || llabs(step) > 10 * clock)
        line->position = position, line->timestamp = packet->timestamp;
    return position;
}

static bool is_quiet(const int16_t *samples, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (samples[i] > QUIET || samples[i] < -QUIET)
            return false;
    return true;
}

/* How many places before the newest packet a number stands, 0 the newest itself; negative if it is newer. */
static int places_back(const struct line *line, uint16_t sequence) {
    return (int16_t)(line->next_sequence - 1 - sequence);
}

static bool came_before(const struct line *line, uint16_t sequence) {
    int back = places_back(line, sequence);
    return back >= 0 && back < REMEMBERED && line->came >> back & 1;
}

static void note_number(struct line *line, uint16_t sequence, bool continues) {
    int back = places_back(line, sequence);
    if (!continues || -back > MAX_LOST) {
        line->came = 1;
        line->next_sequence = (uint16_t)(sequence + 1);
    } else if (back < 0) {
        line->came = (-back < REMEMBERED ? line->came << -back : 0) | 1;
        line->next_sequence = (uint16_t)(sequence + 1);
    } else if (back < REMEMBERED) {
        line->came |= UINT64_C(1) << back;
    }
}

/* Counts silence that stands where packets were lost; a late packet takes back what was counted for it, however late: behind
   a stall of the network one may have overtaken more than are remembered. */
static void count_gap(struct tape *tape, const struct line *line, const struct tape_packet *packet, int64_t position,
                      int64_t count) {
    int back = places_back(line, packet->sequence);
    if (back >= 0)
        tape->gaps -= tape->gaps < count ? tape->gaps : count;
    else if (back < -1 && -back <= MAX_LOST && position > line->end)
        tape->gaps += position - line->end;
}

/* What can't be decoded is missing. */
static bool use_decoder(struct tape *tape, struct line *line, const struct tape_packet *packet) {
    if (line->decoder != NULL && codec_same(&line->format, &packet->format))
        return true;
    decoder_free(line->decoder);
    line->decoder = decoder_new(&packet->format, tape->rate);
    line->format = packet->format;
    if (line->decoder == NULL)
        tape->gaps += (int64_t)codec_duration(&packet->format, (const uint8_t *)(packet + 1), packet->length) * tape->rate /
                      (int64_t)packet->format.clock;
    return line->decoder != NULL;
}

void line_place(struct tape *tape, struct line *line, const struct tape_packet *packet) {
    bool sound = packet->length > 0 && codec_available(packet->format.kind);
    bool continues = same_line(line, packet) && !packet->fresh;
    if (!sound) { /* a key or comfort noise: silence, and nothing is missing */
        if (line->anchored && places_back(line, packet->sequence) < 0)
            note_number(line, packet->sequence, true);
        line->arrival = packet->arrival;
        return;
    }
    if (continues && came_before(line, packet->sequence))
        return;
    int64_t position = find_position(tape, line, packet);
    if (continues && position < line->end - samples_of(tape, LATEST_MILLISECONDS))
        return;
    if (!use_decoder(tape, line, packet))
        return;
    int16_t samples[CODEC_SAMPLES];
    size_t count = decoder_run(line->decoder, (const uint8_t *)(packet + 1), packet->length, samples);
    if (continues)
        count_gap(tape, line, packet, position, (int64_t)count);
    note_number(line, packet->sequence, continues);
    line->arrival = packet->arrival;
    tape_lay(tape, packet->side, position, samples, count);
    if (position + (int64_t)count > line->end)
        line->end = position + (int64_t)count;
    watch(tape, line, arrival_position(tape, packet) - position, is_quiet(samples, count));
}
