/*
 * A conference whose members speak every codec, some of them encrypted, on a stepped clock: what each is sent is decoded, and
 * has the tones of the others in it, as loud as they were said, and not its own.
 *
 *     room_test
 *
 * Sending is taken out by the linker (--wrap=sendto).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library_srtp.h"
#include "mix.h"
#include "stepped.h"

enum { FIRST_PORT = 4000, ROOM = 77, SECONDS = 1, WIDEST = 48000, PACKETS = 50 * SECONDS, HEARD = WIDEST * (SECONDS + 1) };

static const double LOUD = 6000;

struct member_of_room {
    struct codec_offer offer;
    double hertz;                /* of its tone */
    bool secured, models_voices; /* SRTP; a codec of which a chord is too much */
    /* of the run */
    struct stream *stream;
    struct encoder *mouth;
    struct decoder *ear;
    int16_t heard[HEARD];
    size_t count;
    uint32_t spoken, rate;       /* samples so far; Hz */
    uint16_t sequence;
    unsigned packets, foreign;   /* of another payload type, or that does not authenticate */
#ifdef HAVE_LIBSRTP2
    srtp_t out, in;
#endif
};

static struct member_of_room members[] = {
    {.offer = {.payload_type = 0, .format = {CODEC_PCMU, 1, 8000}, .name = "PCMU"}, .hertz = 450},
    {.offer = {.payload_type = 8, .format = {CODEC_PCMA, 1, 8000}, .name = "PCMA"}, .hertz = 700, .secured = true},
#ifdef HAVE_SPANDSP
    {.offer = {.payload_type = 9, .format = {CODEC_G722, 1, 8000}, .name = "G722"}, .hertz = 1000},
    {.offer = {.payload_type = 9, .format = {CODEC_G722, 1, 8000}, .name = "G722"}, .hertz = 1250, .secured = true},
#endif
    {.offer = {.payload_type = 96, .format = {CODEC_L16, 1, 16000}, .name = "L16"}, .hertz = 1600},
#ifdef HAVE_OPUS
    {.offer = {.payload_type = 107, .format = {CODEC_OPUS, 2, 48000}, .name = "opus"}, .hertz = 2000},
    {.offer = {.payload_type = 107, .format = {CODEC_OPUS, 2, 48000}, .name = "opus"}, .hertz = 2300, .secured = true},
#endif
#ifdef HAVE_LIBBCG729
    {.offer = {.payload_type = 18, .format = {CODEC_G729, 1, 8000}, .name = "G729"}, .hertz = 2700, .models_voices = true},
#endif
};
enum { MEMBERS = sizeof members / sizeof *members };

/* -- what is sent to a member */

ssize_t __wrap_sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    (void)fd, (void)flags, (void)to_length;
    int port = ntohs(((const struct sockaddr_in *)(const void *)to)->sin_port);
    uint8_t copy[DATAGRAM_ROOM] __attribute__((aligned(8)));
    struct packet packet;
    memcpy(copy, data, length);
    if (port % 2 != 0 || protocol_of(copy, length) != PROTOCOL_RTP)
        return (ssize_t)length;
    struct member_of_room *member = &members[(port - FIRST_PORT) / 2];
    size_t plain = length;
#ifdef HAVE_LIBSRTP2
    if (member->secured) {
        int size = (int)length;
        member->foreign += srtp_unprotect(member->in, copy, &size) != srtp_err_status_ok;
        plain = (size_t)size;
    }
#endif
    member->packets++;
    if (!rtp_parse(&packet, copy, plain) || packet.type != member->offer.payload_type) {
        member->foreign++;
        return (ssize_t)length;
    }
    int16_t samples[CODEC_SAMPLES];
    size_t count = decoder_run(member->ear, packet.payload, packet.length, samples);
    for (size_t i = 0; i < count && member->count < HEARD; i++)
        member->heard[member->count++] = samples[i];
    return (ssize_t)length;
}

/* -- what it says */

static void secure(struct member_of_room *member) {
#ifdef HAVE_LIBSRTP2
    uint8_t theirs[SESSION_KEY_SIZE] = "what this member encrypts by", ours[SESSION_KEY_SIZE] = "what the room encrypts by";
    struct srtp_keys keys = {.secured = true,
                             .receive = {.suite = ENGINE_AES_CM_128_HMAC_SHA1_80, .key_size = SESSION_KEY_SIZE},
                             .send = {.suite = ENGINE_AES_CM_128_HMAC_SHA1_80, .key_size = SESSION_KEY_SIZE}};
    ours[SESSION_KEY_SIZE - 1] = theirs[SESSION_KEY_SIZE - 1] = member->offer.payload_type;
    memcpy(keys.receive.key, theirs, sizeof theirs);
    memcpy(keys.send.key, ours, sizeof ours);
    bool good = srtp_set_keys(member->stream, &keys);
    assert(good);
    member->out = library_sender(theirs);
    member->in = library_receiver(ours);
#else
    (void)member;
#endif
}

static void enter(struct member_of_room *member, int place) {
    const struct codec_format *format = &member->offer.format;
    member->rate = codec_rate(format);
    member->stream = open_stream(&member->offer, FIRST_PORT + 2 * place, 20);
    member->mouth = encoder_new(format, &(struct encoder_options){.rate = member->rate});
    member->ear = decoder_new(format, member->rate);
    assert(member->mouth != NULL && member->ear != NULL);
    if (member->secured)
        secure(member);
    bool joined = mix_join(member->stream, ROOM, 16000, &(struct role){0});
    assert(joined);
}

static void say(struct member_of_room *member, int place, bool talks) {
    uint8_t data[DATAGRAM_ROOM + SRTP_TRAILER] __attribute__((aligned(8)));
    int16_t samples[WIDEST / 50];
    size_t count = member->rate / 50;
    struct address from;
    for (size_t i = 0; i < count; i++, member->spoken++)
        samples[i] = talks ? (int16_t)lrint(LOUD * sin(2 * M_PI * member->hertz * member->spoken / member->rate)) : 0;
    size_t length = RTP_HEADER + encoder_run(member->mouth, samples, count, data + RTP_HEADER);
    uint32_t timestamp = (uint32_t)((uint64_t)member->spoken * member->offer.format.clock / member->rate);
    rtp_write(data + RTP_HEADER, member->offer.payload_type, false, member->sequence++, timestamp, 7 + (uint32_t)place);
#ifdef HAVE_LIBSRTP2
    int size = (int)length;
    if (member->secured)
        assert(srtp_protect(member->out, data, &size) == srtp_err_status_ok);
    length = (size_t)size;
#endif
    address_parse(&from, "127.0.0.1", FIRST_PORT + 2 * place);
    datagram_received(&worker, &member->stream->rtp, data, length, &from);
}

/* Everybody sends; those in `talkers`, a bit each, their tone. */
static void talk(unsigned talkers) {
    uint64_t start = worker.now;
    for (int place = 0; place < MEMBERS; place++)
        members[place].count = members[place].packets = 0;
    for (int packet = 0; packet < PACKETS; packet++) {
        run_until(start + (uint64_t)packet * 20 * MILLISECOND + MILLISECOND);
        for (int place = 0; place < MEMBERS; place++)
            say(&members[place], place, talkers >> place & 1);
    }
    run_until(start + (uint64_t)SECONDS * SECOND);
}

/* The amplitude of a tone in the last fifth of a second that a member has heard. */
static double amplitude(const struct member_of_room *member, double hertz) {
    size_t count = member->rate / 5;
    const int16_t *samples = member->heard + member->count - count;
    double real = 0, imaginary = 0;
    for (size_t i = 0; i < count; i++) {
        double angle = 2 * M_PI * hertz * (double)i / member->rate;
        real += samples[i] * cos(angle);
        imaginary += samples[i] * sin(angle);
    }
    return 2 * sqrt(real * real + imaginary * imaginary) / (double)count;
}

static void check(int hearer, unsigned talkers) {
    const struct member_of_room *member = &members[hearer];
    assert(member->packets >= PACKETS - 2 && member->packets <= PACKETS + 2 && member->foreign == 0);
    for (int other = 0; other < MEMBERS; other++) {
        double found = amplitude(member, members[other].hertz) / LOUD;
        bool said = talkers >> other & 1 && other != hearer;
        if ((said && (found < 0.8 || found > 1.2)) || (!said && found > 0.05))
            printf("%s%s hears %s%s at %.2f of what was said\n", member->offer.name, member->secured ? " (SRTP)" : "",
                   members[other].offer.name, members[other].secured ? " (SRTP)" : "", found);
        assert(said ? found >= 0.8 && found <= 1.2 : found <= 0.05);
    }
}

int main(void) {
    start_engine(32500, 32599);
#ifdef HAVE_LIBSRTP2
    engine.options.srtp = &library_functions;
    assert(srtp_init() == srtp_err_status_ok);
#endif
    for (int place = 0; place < MEMBERS; place++)
        enter(&members[place], place);
    for (int talker = 0; talker < MEMBERS; talker++) {
        talk(1u << talker);
        for (int hearer = 0; hearer < MEMBERS; hearer++)
            check(hearer, 1u << talker);
    }
    for (int talker = 0; talker + 1 < MEMBERS; talker++) {
        unsigned two = 1u << talker | 1u << (talker + 1);
        talk(two);
        for (int hearer = 0; hearer < MEMBERS; hearer++)
            if (!members[hearer].models_voices)
                check(hearer, two);
    }
    for (int place = 0; place < MEMBERS; place++) {
        struct member_of_room *member = &members[place];
        stream_close(member->stream, "");
        encoder_free(member->mouth);
        decoder_free(member->ear);
#ifdef HAVE_LIBSRTP2
        if (member->secured) {
            srtp_dealloc(member->out);
            srtp_dealloc(member->in);
        }
#endif
    }
    drain_events();
    assert(worker.mixes.count == 0);
    worker_destroy(&worker);
    printf("room of %d codecs: well\n", MEMBERS);
    return 0;
}
