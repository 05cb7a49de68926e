/*
 * Keys that are heard as tones and told another way, on a stepped clock: nothing of a tone goes on to the other side, everything
 * else does, and each key is told once.
 *
 *     clamp_test [SPEECH.wav ...]     mono, 16 bit, 8000 Hz; without one, noise that comes and goes stands for it
 *
 * Sending is taken out by the linker (--wrap=sendto).
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include "ear.h"
#include "stepped.h"

enum { RATE = 8000, HEAR_PORT = 4002, MOST = RATE * 120, EVENT_TYPE = 101, MOST_KEYS = 64, MOST_LAG = RATE / 5 };

static const char pad[] = "123A456B789C*0#D";

static const struct codec_offer ulaw = {.payload_type = 0, .format = {CODEC_PCMU, 1, 8000}, .name = "PCMU"},
                                alaw = {.payload_type = 8, .format = {CODEC_PCMA, 1, 8000}, .name = "PCMA"},
                                g722 = {.payload_type = 9, .format = {CODEC_G722, 1, 8000}, .name = "G722"},
                                events = {.payload_type = EVENT_TYPE, .format = {CODEC_EVENT, 1, 8000}, .name = "telephone-event"};

/* -- what is said */

static int16_t voice[MOST], said[MOST], heard[MOST];
static size_t voiced, heard_count;
static bool is_speech;

static struct press { char digit; size_t from, to; } keys[MOST_KEYS];
static size_t pressed;

static void read_voices(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        uint8_t head[44];
        assert(file != NULL && fread(head, 1, sizeof head, file) == sizeof head);
        assert(head[24] + 256u * head[25] == RATE && head[22] == 1);
        voiced += fread(voice + voiced, 2, MOST / 2 - voiced, file);
        fclose(file);
    }
    is_speech = voiced > 0;
    for (unsigned seed = 1; !is_speech && voiced < RATE * 5; voiced++) {
        seed = seed * 1103515245u + 12345u;
        int16_t now = (int16_t)((int)(seed >> 16 & 0x3fff) - 0x2000);
        voice[voiced] = voiced / 2000 % 3 == 0 ? 0 : now;
    }
}

static void press(char digit, size_t from, int milliseconds, double level) {
    static const int low[] = {697, 770, 852, 941}, high[] = {1209, 1336, 1477, 1633};
    ptrdiff_t place = strchr(pad, digit) - pad;
    size_t count = (size_t)(RATE * milliseconds / 1000);
    assert(pressed < MOST_KEYS && from + count < MOST);
    for (size_t i = 0; i < count; i++) {
        double seconds = (double)i / RATE;
        said[from + i] = (int16_t)(level * (sin(2 * M_PI * low[place / 4] * seconds) + sin(2 * M_PI * high[place % 4] * seconds)));
    }
    keys[pressed++] = (struct press){digit, from, from + count};
}

/* -- what is heard */

static struct decoder *decoder;
static unsigned wrong, ends, last_event = UINT32_MAX;
static char told[MOST_KEYS + 1], sent_on[MOST_KEYS + 1];

ssize_t __wrap_sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    (void)fd, (void)flags, (void)to_length;
    struct packet packet;
    uint8_t copy[DATAGRAM_ROOM];
    memcpy(copy, data, length);
    if (ntohs(((const struct sockaddr_in *)(const void *)to)->sin_port) != HEAR_PORT || protocol_of(copy, length) != PROTOCOL_RTP ||
        !rtp_parse(&packet, copy, length))
        return (ssize_t)length;
    if (packet.type == EVENT_TYPE) {
        if (packet.timestamp != last_event && strlen(sent_on) < MOST_KEYS)
            sent_on[strlen(sent_on)] = "0123456789*#ABCD"[packet.payload[0]];
        last_event = packet.timestamp;
        return (ssize_t)length;
    }
    int16_t samples[CODEC_SAMPLES];
    size_t count = decoder_run(decoder, packet.payload, packet.length, samples);
    wrong += count == 0;
    for (size_t i = 0; i < count && heard_count < MOST; i++)
        heard[heard_count++] = samples[i];
    return (ssize_t)length;
}

static void drain(struct stream *to, bool tell_on) {
    struct engine_event one;
    while (outlet_drain(&engine.outlet, &one, 1) > 0)
        if (one.kind == ENGINE_DIGIT) {
            ends++;
            if (strlen(told) < MOST_KEYS)
                told[strlen(told)] = one.digit;
            char digit[2] = {one.digit, '\0'};
            bool good = !tell_on || digits_send(to, digit, 80);
            assert(good);
        }
}

/* -- a call */

struct call {
    const struct codec_offer *from, *to;
    bool with_events;            /* the one who hears takes telephone-events */
    bool tell_on;                /* and gets them */
    int clamp;
    unsigned lose;               /* one packet in so many, 0 none */
    size_t mute_from, mute_to;   /* samples in which what is said is muted */
};

static void tell_remote(struct stream *stream, const struct codec_offer *codec, int port, bool with_events) {
    struct remote remote = {.send = true, .receive = true, .packet_time = 20, .codec_count = with_events ? 2 : 1, .codecs = {*codec, events}};
    address_parse(&remote.rtp, "127.0.0.1", port);
    stream_set_remote(stream, &remote);
}

static void make(const struct call *call, size_t count) {
    struct stream *left = open_stream(call->from, 4000, 20), *right = open_stream(call->to, HEAR_PORT, 20);
    struct encoder *mouth = encoder_new(&call->from->format, &(struct encoder_options){.rate = RATE});
    struct address address;
    unsigned seed = 3;
    address_parse(&address, "127.0.0.1", 4000);
    tell_remote(right, call->to, HEAR_PORT, call->with_events);
    decoder = decoder_new(&call->to->format, RATE);
    heard_count = wrong = ends = 0;
    memset(told, 0, sizeof told);
    memset(sent_on, 0, sizeof sent_on);
    stream_connect(left, right);
    bool can = ear_listen(left, true);
    assert(can);
    ear_clamp(left, call->clamp);
    uint64_t start = worker.now;
    for (size_t i = 0; i < count / 160; i++) {
        uint8_t data[DATAGRAM_ROOM];
        size_t length = encoder_run(mouth, said + i * 160, 160, data + RTP_HEADER);
        run_until(start + (i + 1) * 20 * MILLISECOND);
        drain(right, call->tell_on);
        stream_mute(left, i * 160 >= call->mute_from && i * 160 < call->mute_to, false);
        seed = seed * 1103515245u + 12345u;
        if (call->lose && (seed >> 16) % call->lose == 0)
            continue;
        rtp_write(data + RTP_HEADER, call->from->payload_type, i == 0, (uint16_t)(65000 + i), (uint32_t)(i * 160), 5);
        datagram_received(&worker, &left->rtp, data, length + RTP_HEADER, &address);
    }
    run_until(worker.now + 300 * MILLISECOND);
    drain(right, call->tell_on);
    stream_close(left, "");
    stream_close(right, "");
    drain(NULL, false);
    encoder_free(mouth);
    decoder_free(decoder);
    assert(wrong == 0);
}

/* By how many samples what is heard is behind, found where nothing was pressed. */
static size_t find_lag(size_t from, size_t count) {
    double best = -1;
    size_t found = 0;
    for (size_t lag = 0; lag < MOST_LAG; lag++) {
        double product = 0, power_a = 1, power_b = 1;
        for (size_t i = from; i < from + count; i++) {
            product += (double)said[i] * heard[i + lag];
            power_a += (double)said[i] * said[i];
            power_b += (double)heard[i + lag] * heard[i + lag];
        }
        if (product / sqrt(power_a * power_b) > best) {
            best = product / sqrt(power_a * power_b);
            found = lag;
        }
    }
    printf("%4.1f ms behind (%.4f alike), ", (double)found * 1000 / RATE, best);
    assert(best > 0.97);
    return found;
}

/* Milliseconds of a stretch that are louder than a fiftieth of what was said there at most. */
static int audible(size_t from, size_t to, size_t lag) {
    int loud = 0, most = 1;
    for (size_t i = from; i < to; i++)
        most = abs(said[i]) > most ? abs(said[i]) : most;
    for (size_t at = from; at < to; at += RATE / 1000) {
        bool now = false;
        for (size_t i = at; i < at + RATE / 1000 && i < to; i++)
            now = now || abs(heard[i + lag]) > most / 50;
        loud += now;
    }
    return loud;
}

static bool near_key(size_t at, size_t margin) {
    for (size_t i = 0; i < pressed; i++)
        if (at + margin >= keys[i].from && at < keys[i].to + margin)
            return true;
    return false;
}

/* Milliseconds of what was said, loud and away from keys, that are silence where they are heard. */
static int suppressed(size_t from, size_t to, size_t lag, size_t margin) {
    int lost = 0;
    for (size_t at = from; at + RATE / 1000 < to; at += RATE / 1000) {
        bool loud = false, silent = true;
        for (size_t i = at; i < at + RATE / 1000; i++) {
            loud = loud || abs(said[i]) > 100;
            silent = silent && abs(heard[i + lag]) < 8;
        }
        lost += loud && silent && !near_key(at, margin);
    }
    return lost;
}

/* Speech, and behind it keys of all lengths that begin anywhere in a block, with a voice right before and behind some. */
static size_t speech_and_keys(int least, double level) {
    size_t at = voiced < RATE * 4 ? voiced : RATE * 4;
    memset(said, 0, sizeof said);
    memcpy(said, voice, at * sizeof *said);
    pressed = 0;
    at += RATE / 2;
    for (unsigned i = 0; i < 32; i++) {
        int milliseconds = least + (int)(i * 7 % 90);
        press(pad[i % 16], at, milliseconds, level);
        at += (size_t)(RATE * milliseconds / 1000);
        if (i % 4 == 3) {
            memcpy(said + at + RATE / 20, voice + RATE, RATE / 2 * sizeof *said);
            at += RATE / 20 + RATE / 2 + RATE / 20 + i;
        } else {
            at += RATE / 16 + i * 13;
        }
    }
    return at + RATE / 2;
}

static void clamped(const char *what, struct call call, int least, double level) {
    size_t count = speech_and_keys(least, level);
    make(&call, count);
    printf("%-28s", what);
    size_t lag = find_lag(RATE / 2, RATE * 3);
    int most = 0, sum = 0;
    for (size_t i = 0; i < pressed; i++) {
        int now = audible(keys[i].from, keys[i].to, lag);
        most = now > most ? now : most;
        sum += now;
    }
    int lost = suppressed(RATE / 2, count - RATE / 2, lag, RATE * 40 / 1000);
    printf("%zu keys, %u told, %d ms audible at most, %d in all, %d ms of voice lost\n", pressed, ends, most, sum, lost);
    assert(ends == pressed);
    for (size_t i = 0; i < pressed; i++)
        assert(told[i] == keys[i].digit);
    bool kept = call.clamp == ENGINE_CLAMP_ALWAYS || (call.clamp == ENGINE_CLAMP_EVENTS && call.with_events);
    assert(kept ? most == 0 : most >= least);
    assert(lost == 0 || call.lose);
}

/* Dialled by a machine, while the key before is still being told: none is lost, and none is told twice. */
static void dialled(const struct codec_offer *codec, unsigned lose) {
    memset(said, 0, sizeof said);
    pressed = 0;
    size_t at = RATE;
    for (const char *digit = "1123581321##*0"; *digit != '\0'; digit++, at += RATE * 140 / 1000)
        press(*digit, at, 70, 7000);
    make(&(struct call){codec, codec, true, true, ENGINE_CLAMP_EVENTS, .lose = lose}, at + RATE * 4);
    printf("dialled by %-4s, lost 1 in %2u: told %s, sent on as %s\n", codec->name, lose, told, sent_on);
    assert(strcmp(told, "1123581321##*0") == 0 && strcmp(sent_on, told) == 0);
}

/* A key that is pressed while what is said is muted is told, and not a sample goes on. */
static void muted(void) {
    size_t count = speech_and_keys(60, 7000);
    size_t from = keys[0].from / 160 * 160 - 1600;
    make(&(struct call){&ulaw, &ulaw, true, false, ENGINE_CLAMP_ALWAYS, .mute_from = from, .mute_to = count}, count);
    printf("muted: %u told, %.1f of %.1f s go on\n", ends, (double)heard_count / RATE, (double)from / RATE);
    assert(ends == pressed && heard_count < from + RATE / 10);
}

/* Nothing is taken from a voice, however long it speaks. */
static void speech_alone(const struct codec_offer *codec) {
    memcpy(said, voice, sizeof voice);
    pressed = 0;
    make(&(struct call){codec, codec, true, false, ENGINE_CLAMP_ALWAYS}, voiced);
    printf("%.1f s of %s by %-4s: ", (double)voiced / RATE, is_speech ? "speech" : "noise", codec->name);
    size_t lag = find_lag(RATE / 2, RATE * 3);
    int lost = suppressed(RATE / 2, voiced - RATE / 2, lag, 0);
    printf("%u keys told, %d ms lost\n", ends, lost);
    assert(ends == 0 && lost == 0);
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    start_engine(32400, 32499);
    if (!ear_available()) {
        printf("clamping: this build hears no keys\n");
        return 0;
    }
    read_voices(count - 1, arguments + 1);
    clamped("relayed as it comes", (struct call){&ulaw, &ulaw, true, false, ENGINE_CLAMP_NEVER}, 50, 7000);
    clamped("to a side without events", (struct call){&ulaw, &ulaw, false, false, ENGINE_CLAMP_EVENTS}, 50, 7000);
    clamped("to one that gets INFO", (struct call){&ulaw, &ulaw, false, false, ENGINE_CLAMP_ALWAYS}, 50, 7000);
    clamped("to one with events", (struct call){&ulaw, &ulaw, true, false, ENGINE_CLAMP_EVENTS}, 50, 7000);
    clamped("quiet ones", (struct call){&alaw, &alaw, true, false, ENGINE_CLAMP_EVENTS}, 60, 700);
    clamped("loud ones", (struct call){&alaw, &ulaw, true, false, ENGINE_CLAMP_EVENTS}, 50, 16000);
    clamped("by G.722", (struct call){&g722, &g722, true, false, ENGINE_CLAMP_EVENTS}, 60, 7000);
    clamped("from G.722 to PCMU", (struct call){&g722, &ulaw, true, false, ENGINE_CLAMP_EVENTS}, 60, 7000);
    dialled(&ulaw, 0);
    dialled(&g722, 0);
    dialled(&ulaw, 20);
    muted();
    speech_alone(&ulaw);
    speech_alone(&g722);
    worker_destroy(&worker);
    printf("clamping ok%s\n", is_speech ? "" : " (without speech)");
    return 0;
}
