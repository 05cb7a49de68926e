/*
 * Every codec into every other through two connected streams, on a stepped clock: what leaves is decoded and held against
 * what was said, so that a frame that is lost, doubled or shifted shows.
 *
 *     transcode_test [SPEECH_8K.wav SPEECH_16K.wav SPEECH_48K.wav]
 *
 * Sending is taken out by the linker (--wrap=sendto).
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stepped.h"

enum { HEAR_PORT = 4002, SECONDS = 4, MOST_RATE = 48000, MOST = MOST_RATE * (SECONDS + 1), STRETCH_MILLISECONDS = 200, COMFORT_TYPE = 13 };

struct codec {
    struct codec_offer offer;
    uint32_t rate;               /* that its sound is held against the source at */
    double alike;                /* least correlation of a stretch of speech with what was said */
};

static const struct codec codecs[] = {
    {{.payload_type = 0, .format = {CODEC_PCMU, 1, 8000}, .name = "PCMU"}, 8000, 0.99},
    {{.payload_type = 8, .format = {CODEC_PCMA, 1, 8000}, .name = "PCMA"}, 8000, 0.99},
    {{.payload_type = 9, .format = {CODEC_G722, 1, 8000}, .name = "G722"}, 16000, 0.97},
    {{.payload_type = 96, .format = {CODEC_L16, 1, 16000}, .name = "L16"}, 16000, 0.99},
    {{.payload_type = 107, .format = {CODEC_OPUS, 2, 48000}, .repair = true, .name = "opus"}, 48000, 0.89},
#ifdef HAVE_LIBBCG729
    {{.payload_type = 18, .format = {CODEC_G729, 1, 8000}, .name = "G729"}, 8000, 0.89},
#endif
};
enum { CODECS = sizeof codecs / sizeof *codecs };

/* -- what is said */

static int16_t speech[3][MOST];
static int16_t *source; /* at `source_rate` */
static uint32_t source_rate;
static int16_t made[3][MOST];

static int place_of(uint32_t rate) {
    return rate == 8000 ? 0 : rate == 16000 ? 1 : 2;
}

static bool read_speech(const char *path, uint32_t rate) {
    FILE *file = fopen(path, "rb");
    uint8_t head[44];
    if (file == NULL || fread(head, 1, sizeof head, file) != sizeof head)
        return false;
    assert(head[24] + 256u * head[25] == rate && head[22] == 1);
    size_t wanted = rate * SECONDS;
    size_t got = fread(speech[place_of(rate)], 2, wanted, file);
    fclose(file);
    return got == wanted;
}

static void make_tone(void) {
    for (int place = 0; place < 3; place++)
        for (uint32_t i = 0, rate = place == 0 ? 8000 : place == 1 ? 16000 : 48000; i < rate * SECONDS; i++)
            made[place][i] = (int16_t)(8000 * sin(2 * M_PI * 1000 * i / rate));
}

static void make_sweep(void) {
    for (int place = 0; place < 3; place++)
        for (uint32_t i = 0, rate = place == 0 ? 8000 : place == 1 ? 16000 : 48000; i < rate * SECONDS; i++) {
            double time = (double)i / rate; /* 200 to 3200 Hz */
            made[place][i] = (int16_t)(8000 * sin(2 * M_PI * (200 * time + 3000 * time * time / (2 * SECONDS))));
        }
}

/* -- what is heard */

static int16_t heard[MOST], as_heard[MOST]; /* before it was smoothed to be measured */
static size_t heard_count;
static struct decoder *ear;
static const struct codec *expected;
static uint32_t expected_step, packets, gaps, wrong;
static uint32_t comfort, markers;    /* packets of comfort noise, and of sound that begins anew */
static int comfort_level;
static uint16_t last_sequence;
static uint32_t last_timestamp;

ssize_t __wrap_sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    (void)fd, (void)flags, (void)to_length;
    const struct sockaddr_in *address = (const struct sockaddr_in *)(const void *)to;
    struct packet packet;
    uint8_t copy[DATAGRAM_ROOM];
    memcpy(copy, data, length);
    if (ntohs(address->sin_port) != HEAR_PORT || protocol_of(copy, length) != PROTOCOL_RTP || !rtp_parse(&packet, copy, length))
        return (ssize_t)length;
    if (packet.type == COMFORT_TYPE) {
        comfort++;
        comfort_level = packet.payload[0];
        wrong += packet.length != 1;
    } else if (packet.type != expected->offer.payload_type) {
        wrong++;
    } else {
        markers += packet.marker;
    }
    if (packets++ > 0) {
        if ((uint16_t)(packet.sequence - last_sequence) != 1)
            gaps++;
        if (packet.timestamp - last_timestamp != expected_step && comfort == 0)
            wrong++;
    }
    last_sequence = packet.sequence;
    last_timestamp = packet.timestamp;
    if (packet.type == COMFORT_TYPE)
        return (ssize_t)length;
    int16_t samples[CODEC_SAMPLES];
    size_t count = decoder_run(ear, packet.payload, packet.length, samples);
    for (size_t i = 0; i < count && heard_count < MOST; i++)
        heard[heard_count++] = samples[i];
    return (ssize_t)length;
}

/* -- a call */

struct network { /* between the one who speaks and the engine */
    unsigned lose, swap;         /* one in so many packets, 0 none */
    unsigned jitter;             /* milliseconds */
};

static unsigned seed = 1;

static unsigned dice(unsigned sides) {
    seed = seed * 1103515245u + 12345u;
    return sides == 0 ? 1 : (seed >> 12 & 0xffffu) % sides;
}

static struct sent { uint8_t data[DATAGRAM_ROOM]; size_t length; uint64_t at; } *on_the_way;

static void deliver(struct stream *to, struct sent *packet) {
    struct address from;
    address_parse(&from, "127.0.0.1", 4000);
    run_until(packet->at);
    datagram_received(&worker, &to->rtp, packet->data, packet->length, &from);
}

static int by_arrival(const void *a, const void *b) {
    const struct sent *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Everything that is said by one codec, as packets. */
static size_t say(const struct codec *codec, int packet_time, const struct network *network) {
    size_t frame = source_rate * (size_t)packet_time / 1000, count = source_rate * SECONDS / frame;
    struct encoder *mouth = encoder_new(&codec->offer.format, &(struct encoder_options){.rate = source_rate, .repair = network->lose > 0});
    assert(mouth != NULL);
    if (network->lose > 0)
        encoder_loss(mouth, 10);
    free(on_the_way);
    on_the_way = calloc(count, sizeof *on_the_way);
    uint64_t start = worker.now + 100 * MILLISECOND;
    size_t made_packets = 0;
    for (size_t i = 0; i < count; i++) {
        struct sent *packet = &on_the_way[made_packets];
        size_t length = encoder_run(mouth, source + i * frame, frame, packet->data + RTP_HEADER);
        rtp_write(packet->data + RTP_HEADER, codec->offer.payload_type, i == 0, (uint16_t)(65530 + i),
                  0xffffff00u + (uint32_t)(i * codec->offer.format.clock * (unsigned)packet_time / 1000), 77);
        packet->length = length + RTP_HEADER;
        packet->at = start + (i + 1) * (uint64_t)packet_time * MILLISECOND + (network->jitter ? dice(network->jitter * 1000) * 1000 : 0);
        if (i > 20 && network->swap && dice(network->swap) == 0)
            packet->at += (uint64_t)packet_time * MILLISECOND + MILLISECOND;
        if (i > 20 && network->lose && dice(network->lose) == 0)
            continue;
        made_packets++;
    }
    encoder_free(mouth);
    qsort(on_the_way, made_packets, sizeof *on_the_way, by_arrival);
    return made_packets;
}

/* Of every `step`th sample. */
static double likeness(const int16_t *a, const int16_t *b, size_t count, size_t step, double *apart) {
    double product = 0, power_a = 0, power_b = 0, difference = 0;
    for (size_t i = 0; i < count; i += step) {
        product += (double)a[i] * b[i];
        power_a += (double)a[i] * a[i];
        power_b += (double)b[i] * b[i];
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    }
    if (apart != NULL)
        *apart = difference / (power_a + 1);
    return product / sqrt(power_a * power_b + 1);
}

struct result {
    int lag;                     /* samples at the narrower rate by which what is heard is behind */
    double least;                /* correlation of the worst stretch that is loud, at that lag */
    double whole;                /* correlation of everything */
    double ratio;                /* signal to noise, dB */
    uint32_t packets, gaps, wrong;
};

/* What is below some 1500 Hz: there codecs for voices keep the waveform too. */
static void smooth(int16_t *samples, size_t count, uint32_t rate) {
    size_t width = rate / 2000;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i + width < count; i++) {
            int sum = 0;
            for (size_t k = 0; k < width; k++)
                sum += samples[i + k];
            samples[i] = (int16_t)(sum / (int)width);
        }
}

/* The lag at which what was heard is most like what was said. Of speech all is looked at: half a second of it may be like itself
   a few milliseconds later. */
static int find_lag(const int16_t *said, size_t from, size_t to, uint32_t rate, bool spoken) {
    size_t count = spoken ? to - from - rate / 5 : rate / 2, step = spoken ? rate / 4000 : 1;
    double best = -1;
    int found = 0;
    for (int lag = -(int)rate / 500; lag < (int)rate / 12; lag++) {
        double now = likeness(said + from, heard + from + lag, count, step, NULL);
        if (now > best) {
            best = now;
            found = lag;
        }
    }
    return found;
}

/* Holds what was heard against what was said, at one lag for the whole of it: `lag`, or the best if that is NULL. */
static struct result measure(uint32_t rate, const int *lag) {
    struct result result = {.least = 1, .packets = packets, .gaps = gaps, .wrong = wrong};
    bool spoken = source == speech[place_of(source_rate)];
    static int16_t said[MOST];
    memcpy(said, spoken ? speech[place_of(rate)] : made[place_of(rate)], rate * SECONDS * sizeof *said);
    if (spoken) {
        smooth(said, rate * SECONDS, rate);
        smooth(heard, heard_count, rate);
    }
    size_t stretch = rate * STRETCH_MILLISECONDS / 1000, from = rate, to = heard_count < rate * SECONDS ? heard_count : rate * SECONDS;
    to -= rate / 4;
    result.lag = lag != NULL ? *lag : find_lag(said, from, to, rate, spoken);
    double apart, mean = 0;
    for (size_t i = from; i < to; i++)
        mean += (double)said[i] * said[i] / (double)(to - from);
    result.whole = likeness(said + from, heard + from + result.lag, to - from - rate / 5, 1, &apart);
    result.ratio = -10 * log10(apart + 1e-12);
    for (size_t at = from; at + stretch + rate / 5 < to; at += stretch) {
        double power = 0;
        for (size_t i = 0; i < stretch; i++)
            power += (double)said[at + i] * said[at + i];
        double now = likeness(said + at, heard + (int)at + result.lag, stretch, 1, NULL);
        if (power / (double)stretch > mean / 2 && now < result.least)
            result.least = now;
    }
    return result;
}

static struct result call(const struct codec *from, const struct codec *to, int packet_time_from, int packet_time_to,
                          const struct network *network) {
    uint32_t rate = from->rate < to->rate ? from->rate : to->rate;
    bool spoken = source == speech[place_of(source_rate)];
    source_rate = from->rate;
    source = spoken ? speech[place_of(source_rate)] : made[place_of(source_rate)];
    heard_count = packets = gaps = wrong = 0;
    expected = to;
    ear = decoder_new(&to->offer.format, rate);
    struct stream *left = open_stream(&from->offer, 4000, packet_time_from), *right = open_stream(&to->offer, HEAR_PORT, packet_time_to);
    bool translated = from->offer.format.clock == 8000 && to->offer.format.kind <= CODEC_PCMA && from->offer.format.kind <= CODEC_PCMA &&
                      packet_time_from == packet_time_to;
    expected_step = to->offer.format.clock * (unsigned)(translated ? packet_time_from : packet_time_to) / 1000;
    stream_connect(left, right);
    size_t count = say(from, packet_time_from, network);
    for (size_t i = 0; i < count; i++)
        deliver(left, &on_the_way[i]);
    run_until(worker.now + 100 * MILLISECOND);
    struct engine_counts counts;
    stream_counts(left, &counts);
    memcpy(as_heard, heard, sizeof heard);
    struct result result = measure(rate, NULL);
    stream_close(left, "");
    stream_close(right, "");
    decoder_free(ear);
    drain_events();
    return result;
}

static void show(const char *what, const struct codec *from, const struct codec *to, struct result result, uint32_t rate) {
    printf("%-7s %-4s -> %-4s: %3d ms behind, worst stretch %.3f, whole %.3f, %5.1f dB, %u packets, %u gaps, %u wrong\n", what, from->offer.name,
           to->offer.name, (int)(result.lag * 1000 / (int)rate), result.least, result.whole, result.ratio, result.packets, result.gaps, result.wrong);
}

/* Codecs that model voices keep less of the waveform; of a voice they are judged by the whole more than by each stretch. */
static bool is_good(struct result result, double least, double scale, bool voice) {
    return voice && least < 0.9 ? result.whole > 0.7 && result.least > 0.4 : result.least > least * scale;
}

/* A frame that is lost, doubled or shifted must show, or nothing is proven by what passes. */
static void notice(uint32_t rate, int lag, double least, double scale, bool voice) {
    size_t frame = rate / 50, middle = rate * SECONDS / 2, count = heard_count;
    for (int damage = 0; damage < 3; damage++) {
        size_t to = damage == 0 ? middle : middle + frame / (size_t)damage, from = damage == 0 ? middle + frame : middle;
        memcpy(heard, as_heard, sizeof heard);
        memmove(heard + to, as_heard + from, (MOST - (to > from ? to : from)) * sizeof *heard);
        heard_count = count + to - from;
        struct result result = measure(rate, &lag);
        if (is_good(result, least, scale, voice))
            printf("unnoticed: %s\n", damage == 0 ? "a lost frame" : damage == 1 ? "a doubled frame" : "half a frame of delay");
        assert(!is_good(result, least, scale, voice));
    }
}

static void every_pair(const char *what, double scale, bool voice, bool steady) {
    const struct network none = {0};
    for (int a = 0; a < CODECS; a++)
        for (int b = 0; b < CODECS; b++) {
            if (a == b)
                continue;
            uint32_t rate = codecs[a].rate < codecs[b].rate ? codecs[a].rate : codecs[b].rate;
            struct result result = call(&codecs[a], &codecs[b], 20, 20, &none);
            show(what, &codecs[a], &codecs[b], result, rate);
            double least = codecs[a].alike < codecs[b].alike ? codecs[a].alike : codecs[b].alike;
            assert(is_good(result, least, scale, voice));
            assert(result.gaps == 0 && result.wrong == 0);
            if (!steady)
                notice(rate, result.lag, least, scale, voice);
            assert(result.packets >= SECONDS * 50 - 3);
        }
}

static void every_packet_time(void) {
    const struct network none = {0};
    const int times[] = {10, 20, 30, 40, 60};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++) {
            struct result result = call(&codecs[0], &codecs[2], times[i], times[j], &none);
            if (result.least < 0.97 || result.gaps + result.wrong > 0)
                printf("%d ms to %d ms: ", times[i], times[j]), show("time", &codecs[0], &codecs[2], result, 8000);
            assert(result.least > 0.97 && result.gaps == 0 && result.wrong == 0);
        }
}

static void bad_networks(void) {
    struct result result = call(&codecs[0], &codecs[2], 20, 20, &(struct network){.swap = 10});
    show("swapped", &codecs[0], &codecs[2], result, 8000);
    assert(result.gaps == 0);
    result = call(&codecs[0], &codecs[2], 20, 20, &(struct network){.lose = 20});
    show("5% lost", &codecs[0], &codecs[2], result, 8000);
    assert(result.gaps == 0 && result.ratio > 8);
    result = call(&codecs[4], &codecs[3], 20, 20, &(struct network){.lose = 20});
    show("5% lost", &codecs[4], &codecs[3], result, 16000);
    assert(result.gaps == 0 && result.whole > 0.9);
    result = call(&codecs[0], &codecs[3], 20, 20, &(struct network){.jitter = 40});
    show("jitter", &codecs[0], &codecs[3], result, 8000);
    assert(result.gaps == 0);
}

static void tell(struct stream *stream, const struct codec *codec, int port, bool with_comfort) {
    struct remote remote = {.send = true, .receive = true, .packet_time = 20, .codec_count = with_comfort ? 2 : 1,
                            .codecs = {codec->offer, {.payload_type = COMFORT_TYPE, .format = {CODEC_COMFORT, 1, 8000}, .name = "CN"}}};
    address_parse(&remote.rtp, "127.0.0.1", port);
    bool taken = stream_set_remote(stream, &remote);
    assert(taken);
}

/* A phone that speaks, says that it is silent, and speaks again; to one that understands comfort noise, and to one that
   does not. */
static void pause_of_voice(bool understood) {
    const struct codec *from = &codecs[0], *to = &codecs[2];
    struct stream *left = open_stream(&from->offer, 4000, 20), *right = open_stream(&to->offer, HEAR_PORT, 20);
    tell(left, from, 4000, true);
    tell(right, to, HEAR_PORT, understood);
    expected = to;
    expected_step = 160;
    ear = decoder_new(&to->offer.format, 8000);
    heard_count = packets = gaps = wrong = comfort = markers = 0;
    stream_connect(left, right);
    uint64_t start = worker.now;
    struct address address;
    address_parse(&address, "127.0.0.1", 4000);
    uint16_t sequence = 100;
    for (int i = 0; i < 200; i++) {
        uint8_t data[RTP_HEADER + 160];
        run_until(start + (uint64_t)(i + 1) * 20 * MILLISECOND);
        if (i > 50 && i < 150)
            continue;
        memset(data, i & 1 ? 0x10 : 0x90, sizeof data);
        bool silent = i == 50;
        data[RTP_HEADER] = silent ? 50 : data[RTP_HEADER];
        rtp_write(data + RTP_HEADER, silent ? COMFORT_TYPE : 0, i == 0 || i == 150, sequence++, (uint32_t)i * 160, 9);
        datagram_received(&worker, &left->rtp, data, silent ? RTP_HEADER + 1 : sizeof data, &address);
    }
    struct engine_counts counts;
    stream_counts(left, &counts);
    printf("a pause, %s: %u packets, %u of comfort noise at -%d dBov, %u beginnings, %u gaps, %u wrong, %d ms concealed\n",
           understood ? "understood" : "not understood", packets, comfort, comfort_level, markers, gaps, wrong, (int)counts.concealed);
    assert(gaps == 0 && wrong == 0 && counts.concealed == 0);
    if (understood)
        assert(comfort >= 3 && comfort <= 8 && abs(comfort_level - 50) <= 3 && markers == 2 && packets < 120);
    else
        assert(comfort == 0 && markers == 1 && packets >= 195);
    stream_close(left, "");
    stream_close(right, "");
    decoder_free(ear);
    drain_events();
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    start_engine(32400, 32499);
    pause_of_voice(true);
    pause_of_voice(false);
    comfort = 0;
    make_tone();
    source = made[0], source_rate = 8000;
    every_pair("tone", 0.9, false, true);
    make_sweep();
    every_pair("sweep", 0.8, false, false);
    every_packet_time();
    bool spoken = count == 4 && read_speech(arguments[1], 8000) && read_speech(arguments[2], 16000) && read_speech(arguments[3], 48000);
    if (spoken) {
        source = speech[0];
        every_pair("speech", 0.9, true, false);
        bad_networks();
    }
    worker_destroy(&worker);
    free(on_the_way);
    printf("transcoding ok%s\n", spoken ? "" : " (without speech)");
    return 0;
}
