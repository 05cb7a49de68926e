/* Calls that last as long as the stress does and are what calls are: each side sends a packet of its own codec every 20 ms, a tone
   that comes and goes, some of them encrypted, some recorded, some processed, and some in a conference. */
#ifndef TANDEM_RESIDENTS_H
#define TANDEM_RESIDENTS_H

#include <math.h>
#include <time.h>

#include "codec.h"

enum { RESIDENTS = 16, ROOM_FROM = 12 /* the last ones are in one room */, RESIDENT_FRAMES = 50, RESIDENT_SOUND = 320 };
#define RESIDENT_ROOM UINT64_C(2000000000)

static const struct resident_codec {
    struct engine_codec offered;
    struct codec_format format;
} resident_codecs[] = {
    {{.payload_type = 0, .name = "PCMU", .rate = 8000, .channels = 1}, {CODEC_PCMU, 1, 8000}},
    {{.payload_type = 107, .name = "opus", .rate = 48000, .channels = 2, .repair = 1}, {CODEC_OPUS, 2, 48000}},
    {{.payload_type = 9, .name = "G722", .rate = 8000, .channels = 1}, {CODEC_G722, 1, 8000}},
    {{.payload_type = 8, .name = "PCMA", .rate = 8000, .channels = 1}, {CODEC_PCMA, 1, 8000}},
    {{.payload_type = 18, .name = "G729", .rate = 8000, .channels = 1}, {CODEC_G729, 1, 8000}},
};
enum { RESIDENT_CODECS = sizeof resident_codecs / sizeof *resident_codecs };

static struct resident {
    uint64_t group;
    atomic_ulong stream;
    const struct resident_codec *codec;
    int fd, port;                /* its own */
    atomic_int towards;          /* the engine's port, once it is open */
    bool secured;
    uint16_t sequence;
    uint32_t timestamp;
    atomic_uint heard;           /* packets */
    uint8_t frames[RESIDENT_FRAMES][RESIDENT_SOUND];
    size_t lengths[RESIDENT_FRAMES];
#ifdef HAVE_LIBSRTP2
    srtp_t session;
#endif
} residents[RESIDENTS];

/* Half a second of tone and half a second of silence. */
static void prepare_frames(struct resident *resident, double hertz) {
    const struct codec_format *format = &resident->codec->format;
    uint32_t rate = codec_rate(format), count = rate / 50;
    struct encoder *encoder = encoder_new(format, &(struct encoder_options){.rate = rate, .live = true});
    assert(encoder != NULL);
    for (uint32_t frame = 0; frame < RESIDENT_FRAMES; frame++) {
        int16_t samples[CODEC_SAMPLES];
        uint8_t octets[CODEC_OCTETS];
        for (uint32_t i = 0; i < count; i++)
            samples[i] = frame < RESIDENT_FRAMES / 2 ? (int16_t)(9000 * sin(2 * M_PI * hertz * (frame * count + i) / rate)) : 0;
        resident->lengths[frame] = encoder_run(encoder, samples, count, octets);
        assert(resident->lengths[frame] <= RESIDENT_SOUND);
        memcpy(resident->frames[frame], octets, resident->lengths[frame]);
    }
    encoder_free(encoder);
}

static void secure_resident(struct engine *to, struct resident *resident) {
#ifdef HAVE_LIBSRTP2
    uint8_t key[SESSION_KEY_SIZE] = {(uint8_t)resident->stream};
    const struct engine_key one = {.suite = ENGINE_AES_CM_128_HMAC_SHA1_80, .key = key, .key_size = sizeof key};
    resident->session = library_sender(key);
    resident->secured = true;
    assert(engine_set_keys(to, resident->group, resident->stream, 1, &one, &one, 0) == 0);
#else
    (void)to, (void)resident;
#endif
}

static void move_in(struct engine *to, struct resident *resident, unsigned place, uint64_t group, uint64_t stream) {
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof local;
    resident->group = group;
    resident->stream = stream;
    do /* neighbours have nothing in common */
        resident->codec = &resident_codecs[place++ % RESIDENT_CODECS];
    while (!codec_available(resident->codec->format.kind));
    resident->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert(bind(resident->fd, (struct sockaddr *)&local, sizeof local) == 0);
    assert(getsockname(resident->fd, (struct sockaddr *)&local, &length) == 0);
    resident->port = ntohs(local.sin_port);
    prepare_frames(resident, 300 + 100 * place);
    assert(engine_open(to, group, stream, "127.0.0.1") == 0);
    const struct engine_remote remote = {.address = "127.0.0.1",
                                         .port = resident->port,
                                         .rtcp_address = "127.0.0.1",
                                         .rtcp_port = resident->port,
                                         .rtcp_mux = 1,
                                         .send = 1,
                                         .receive = 1,
                                         .packet_time = 20,
                                         .codec_count = 1,
                                         .codecs = &resident->codec->offered};
    assert(engine_set_remote(to, group, stream, &remote) == 0);
}

static void speak(struct resident *resident, uint32_t turn) {
    uint8_t data[12 + RESIDENT_SOUND + 64] __attribute__((aligned(8))) = {0x80, (uint8_t)resident->codec->offered.payload_type};
    uint32_t frame = turn % RESIDENT_FRAMES, fields[2] = {htonl(resident->timestamp), htonl(1 + (uint32_t)resident->port)};
    int size = 12 + (int)resident->lengths[frame];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atomic_load(&resident->towards))};
    data[2] = (uint8_t)(resident->sequence >> 8);
    data[3] = (uint8_t)resident->sequence++;
    memcpy(data + 4, fields, sizeof fields);
    memcpy(data + 12, resident->frames[frame], resident->lengths[frame]);
    resident->timestamp += (uint32_t)resident->codec->offered.rate / 50;
#ifdef HAVE_LIBSRTP2
    if (resident->secured)
        assert(srtp_protect(resident->session, data, &size) == srtp_err_status_ok);
#endif
    if (turn % 50 != 7) /* lost */
        sendto(resident->fd, data, (size_t)size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
    while (recv(resident->fd, data, sizeof data, MSG_DONTWAIT) > 0)
        resident->heard++;
}

static void move_out(struct engine *from, struct resident *resident) {
    assert(engine_close(from, resident->group, resident->stream) == 0);
    close(resident->fd);
#ifdef HAVE_LIBSRTP2
    if (resident->secured)
        srtp_dealloc(resident->session);
#endif
}

#endif
