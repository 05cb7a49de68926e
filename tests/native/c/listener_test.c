/*
 * The listener on a stepped clock: what is taken out of what was put in, sample by sample.
 *
 *     listener_test
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "g711.h"
#include "listener.h"

enum { PACKET = 160, SECONDS = 60, MOST = SECONDS * 50, RATE = 8000 };

static const struct codec_format pcmu = {.kind = CODEC_PCMU, .channels = 1, .clock = 8000};
static const struct codec_format events = {.kind = CODEC_EVENT, .channels = 1, .clock = 8000};
static const struct codec_format comfort = {.kind = CODEC_COMFORT, .channels = 1, .clock = 8000};

static int16_t said[MOST * PACKET], heard[MOST * PACKET];
static enum heard kinds[MOST];
static uint64_t arrivals[MOST]; /* ns; 0: lost */
static uint32_t delays[MOST];   /* samples */
static unsigned seed = 1;

static unsigned dice(unsigned sides) {
    seed = seed * 1103515245u + 12345u;
    return (seed >> 12 & 0xffffu) % sides;
}

/* Something like a voice: harmonics of a pitch that wanders, in syllables with rests between them. */
static void speak(int packets, bool rests) {
    double phase = 0;
    for (int i = 0; i < packets * PACKET; i++) {
        double time = (double)i / RATE, pitch = 120 + 40 * sin(2 * M_PI * 0.7 * time), value = 0;
        phase += 2 * M_PI * pitch / RATE;
        for (int harmonic = 1; harmonic < 12; harmonic++)
            value += sin(harmonic * phase) / harmonic;
        double syllable = rests && fmod(time, 1.0) > 0.6 ? 0 : 1;
        said[i] = g711_ulaw_samples[g711_to_ulaw((int16_t)(4000 * value * syllable))];
    }
}

static void put(struct listener *listener, int number, const struct codec_format *format, uint64_t now) {
    uint8_t data[RTP_HEADER + PACKET];
    struct packet packet = {.payload = data + RTP_HEADER, .length = PACKET, .timestamp = 0xfffff000u + (uint32_t)number * PACKET,
                            .ssrc = 7, .sequence = (uint16_t)(65500 + number)};
    for (int i = 0; i < PACKET; i++)
        packet.payload[i] = g711_to_ulaw(said[number * PACKET + i]);
    listener_put(listener, &packet, format, now);
}

/* Packets as they arrive, a piece of 20 ms every 20 ms, beginning `phase` after the first packet was sent. */
static struct listener_counts run(int packets, uint64_t phase) {
    struct listener *listener = listener_new(RATE);
    bool *done = calloc((size_t)packets, sizeof *done);
    uint64_t start = SECOND;
    for (int piece = 0; piece < packets; piece++) {
        uint64_t now = start + phase + (uint64_t)piece * 20 * MILLISECOND;
        for (;;) { /* in the order in which they arrive */
            int next = -1;
            for (int i = piece > 100 ? piece - 100 : 0; i < packets && i < piece + 3; i++)
                if (!done[i] && arrivals[i] != 0 && start + arrivals[i] <= now && (next < 0 || arrivals[i] < arrivals[next]))
                    next = i;
            if (next < 0)
                break;
            done[next] = true;
            put(listener, next, &pcmu, start + arrivals[next]);
        }
        kinds[piece] = listener_take(listener, heard + piece * PACKET, PACKET, now);
        struct listener_counts counts;
        listener_counts(listener, &counts);
        delays[piece] = counts.delay;
    }
    struct listener_counts counts;
    listener_counts(listener, &counts);
    listener_free(listener);
    free(done);
    return counts;
}

static void arrive_steadily(int packets) {
    for (int i = 0; i < packets; i++)
        arrivals[i] = (uint64_t)(i + 1) * 20 * MILLISECOND;
}

/* By how many samples what was heard from `from` on is behind what was said; -1 if it isn't the same. */
static int lag_at(int from, int count, int most) {
    for (int lag = 0; lag <= most && lag <= from; lag++)
        if (memcmp(heard + from, said + from - lag, (size_t)count * sizeof *said) == 0)
            return lag;
    return -1;
}

static void test_clean(void) {
    speak(200, false);
    arrive_steadily(200);
    for (uint64_t phase = 0; phase < 20; phase++) {
        struct listener_counts counts = run(200, 20 * MILLISECOND + phase * MILLISECOND);
        int lag = lag_at(1600, 190 * PACKET - 1600, 800);
        assert(lag == (phase < 10 ? 160 : 0)); /* it waits for ten milliseconds, and for the next piece */
        assert(counts.lost == 0 && counts.concealed == 0 && counts.late == 0 && counts.left_out == 0);
    }
}

static void test_loss(void) {
    speak(500, false);
    arrive_steadily(500);
    int lost = 0;
    for (int i = 10; i < 490; i++)
        if (dice(20) == 0)
            arrivals[i] = 0, lost++;
    struct listener_counts counts = run(500, 20 * MILLISECOND);
    printf("lost %d %llu late %llu concealed %llu left out %llu lag %d\n", lost, (unsigned long long)counts.lost, (unsigned long long)counts.late, (unsigned long long)counts.concealed, (unsigned long long)counts.left_out, lag_at(495 * PACKET, PACKET, 1600));
    assert(lost > 10 && counts.lost == (uint64_t)lost && counts.late == 0);
    assert(counts.concealed == (uint64_t)lost * PACKET);
    assert(lag_at(495 * PACKET, PACKET, 800) == 160);
    double apart = 0, power = 0;
    for (int i = 1600; i < 490 * PACKET; i++) {
        apart += pow(heard[i] - said[i - 160], 2);
        power += pow(said[i - 160], 2);
    }
    printf("loss of %d of 480: %.1f dB\n", lost, 10 * log10(power / apart));
    assert(10 * log10(power / apart) > 15); /* silence in their place would give 13 */
}

static void test_reordering(void) {
    speak(300, false);
    arrive_steadily(300);
    for (int i = 10; i < 290; i += 7) {
        uint64_t other = arrivals[i];
        arrivals[i] = arrivals[i + 1];
        arrivals[i + 1] = other;
    }
    struct listener_counts counts = run(300, 20 * MILLISECOND);
    assert(counts.lost == 0 && counts.duplicates == 0);
    int lag = lag_at(100 * PACKET, 190 * PACKET, 1600);
    printf("reordering: %d samples behind\n", lag);
    assert(lag > 0 && lag <= 640);
}

static void test_jitter(void) {
    speak(1000, false);
    arrive_steadily(1000);
    for (int i = 0; i < 1000; i++)
        arrivals[i] += dice(40) * MILLISECOND;
    struct listener_counts counts = run(1000, 20 * MILLISECOND);
    printf("jitter of 40 ms: %llu concealed, %llu late, delay %u ms, target %u ms\n", (unsigned long long)counts.concealed / 160,
           (unsigned long long)counts.late, counts.delay / 8, counts.target / 8);
    assert(counts.late <= 5 && counts.concealed <= 20 * PACKET);
    assert(counts.target >= 30 * 8 && counts.target <= 50 * 8 && counts.delay <= 90 * 8);
}

static void test_burst(bool rests) {
    speak(1500, rests);
    arrive_steadily(1500);
    for (int i = 200; i < 225; i++) /* half a second is held back and comes at once */
        arrivals[i] = arrivals[225];
    struct listener_counts counts = run(1500, 20 * MILLISECOND);
    uint32_t floor = delays[150], most = 0;
    int back = 0;
    for (int i = 200; i < 1500; i++) {
        most = delays[i] > most ? delays[i] : most;
        if (delays[i] > floor + (rests ? 80 : 160 + 160))
            back = i;
    }
    printf("burst, %s rests: floor %u ms, %u ms at most, back after %d ms, %u ms in the end\n", rests ? "with" : "without",
           floor / 8, most / 8, (back - 225) * 20, delays[1499] / 8);
    assert(most >= 450 * 8 && back < 225 + 200 && delays[1499] <= floor + (rests ? 80 : 320));
    assert(counts.lost == 0);
}

static void test_key(void) {
    struct listener *listener = listener_new(RATE);
    speak(100, false);
    uint64_t now = SECOND;
    for (int i = 0; i < 100; i++, now += 20 * MILLISECOND) {
        put(listener, i, i >= 30 && i < 50 ? &events : &pcmu, now);
        kinds[i] = listener_take(listener, heard, PACKET, now + MILLISECOND);
    }
    struct listener_counts counts;
    listener_counts(listener, &counts);
    assert(counts.lost == 0 && counts.concealed == 0);
    assert(kinds[29] == HEARD_VOICE && kinds[40] == HEARD_NOISE && kinds[55] == HEARD_VOICE);
    listener_free(listener);
}

static void test_comfort_noise(void) {
    struct listener *listener = listener_new(RATE);
    uint64_t now = SECOND;
    uint8_t data[RTP_HEADER + 1] = {0};
    speak(100, false);
    for (int i = 0; i < 50; i++, now += 20 * MILLISECOND) {
        put(listener, i, &pcmu, now);
        listener_take(listener, heard, PACKET, now + MILLISECOND);
    }
    data[RTP_HEADER] = 40;
    listener_put(listener, &(struct packet){.payload = data + RTP_HEADER, .length = 1, .timestamp = 0xfffff000u + 50 * PACKET, .ssrc = 7, .sequence = (uint16_t)(65500 + 50)},
                 &comfort, now);
    for (int i = 50; i < 100; i++, now += 20 * MILLISECOND)
        kinds[i] = listener_take(listener, heard + i * PACKET, PACKET, now + MILLISECOND);
    double power = 0;
    for (int i = 60 * PACKET; i < 100 * PACKET; i++)
        power += (double)heard[i] * heard[i];
    double level = 10 * log10(power / (40 * PACKET) / (32767.0 * 32767));
    printf("comfort noise of -40 dBov: %.1f\n", level);
    assert(fabs(level + 40) < 1 && kinds[70] == HEARD_NOISE);
    listener_free(listener);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    g711_fill_tables();
    test_clean();
    test_loss();
    test_reordering();
    test_jitter();
    test_burst(false);
    test_burst(true);
    test_key();
    test_comfort_noise();
    printf("listener ok\n");
    return 0;
}
