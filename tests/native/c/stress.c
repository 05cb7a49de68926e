/*
 * The whole engine under load from many threads at once, for the sanitizers.
 *
 *     stress FOLDER SECONDS SOUND...
 *
 * Some calls last and have real sound in them (residents.h). Beside them callers open, connect, record, play, mix, move, query and close; senders throw packets and garbage at every port of the range; one
 * thread drains events. At the end every stream must be closed and every recording ended, and each of the engine's ways must have
 * been gone: a stress of something that never ran proves nothing.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../pbx/native/include/engine.h"

#include "library_srtp.h"
#include "residents.h"

enum { FIRST = 32000, LAST = 32199, CALLERS = 3, SENDERS = 2, WORKERS = 2, PATIENCE = 30 /* seconds */ };
#define MIXES UINT64_C(1000000000) /* a number for each packet thread, shared by all callers */

static struct engine *engine;
static const char *folder, *sound;
static char **sounds; /* further ones, of other formats */
static unsigned sound_count;
static atomic_bool over;
static atomic_ulong names = 1, opened, closed, recorded, record_ended, played, play_ended, others;
/* What came of it: packets relayed or mixed, decoded, made up; milliseconds processed; SRTP opened, refused and sealed; plays and
   recordings that were, and changes of who has the floor. */
static atomic_ulong sent, transcoded, concealed, processed, unsealed, unauthentic, sealed, heard_to_end, taped, speakers;

static void set_remote(uint64_t group, uint64_t stream, int port, unsigned seed) {
    const struct engine_codec codecs[] = {{0, "PCMU", 8000, 1},     {8, "PCMA", 8000, 1},
                                          {9, "G722", 8000, 1},     {107, "opus", 48000, 2},
                                          {96, "L16", 16000, 1},    {101, "telephone-event", 8000, 1}};
    struct engine_remote remote = {.address = "127.0.0.1",
                                   .port = port,
                                   .rtcp_address = "127.0.0.1",
                                   .rtcp_port = port,
                                   .rtcp_mux = (int)(seed & 1),
                                   .send = 1,
                                   .receive = 1,
                                   .latch = (int)(seed >> 1 & 1),
                                   .packet_time = 10 * (int)(1 + seed % 4),
                                   .no_media_timeout = 50,
                                   .codec_count = (int)(seed % 3) + 1,
                                   .codecs = codecs + seed / 3 % 4};
    assert(engine_set_remote(engine, group, stream, &remote) == 0);
}

/* Files and tones in turn, alone or shared, and everything that can be done with them while they play. */
static void play_sounds(uint64_t group, uint64_t stream, uint64_t play, unsigned seed) {
    const char *const listed[] = {sound, "tone:425/40,0/20", sounds[seed % sound_count], "/nonexistent"};
    struct engine_sounds wanted = {.count = 1 + (int)(seed >> 5 & 3),
                                   .sounds = listed,
                                   .loop = (int)(seed >> 7 & 1),
                                   .shared = (seed >> 9 & 3) == 0,
                                   .start = (int)(seed >> 11 & 0xff),
                                   .volume = -(int)(seed >> 3 & 7),
                                   .stopped_by = "5#"};
    assert(engine_play(engine, group, stream, play, &wanted) == 0);
    engine_pause_playing(engine, group, stream, play, 1);
    engine_seek_playing(engine, group, stream, play, (int)(seed & 0xfff) - 2048);
    engine_pause_playing(engine, group, stream, play, 0);
    engine_set_volume(engine, group, stream, play, -(int)(seed >> 4 & 3));
}

static struct { /* of each caller: the group that it has moved, and the number that this has then */
    atomic_ulong from, to;
} moves[CALLERS + 1];

/* Gives no command of the group before it has arrived. */
static uint64_t move(unsigned caller, uint64_t group) {
    atomic_store(&moves[caller].to, 0);
    atomic_store(&moves[caller].from, group);
    assert(engine_move(engine, group, group + 1) == 0);
    uint64_t to;
    while ((to = atomic_load(&moves[caller].to)) == 0 && !atomic_load(&over))
        usleep(200);
    return to == 0 ? group : to;
}

static void arrived(const struct engine_event *event) {
    for (int caller = 1; caller <= CALLERS; caller++)
        if (atomic_load(&moves[caller].from) == event->stream)
            atomic_store(&moves[caller].to, event->object);
}

static void mix(uint64_t group, uint64_t a, uint64_t b, unsigned seed) {
    uint64_t room = MIXES + (uint64_t)engine_thread(engine, group), play = atomic_fetch_add(&names, 2), tape = play + 1;
    const struct engine_role all = {0}, whisper = {.hearer_count = 1, .hearers = &a}, listens = {.mute = 1};
    char path[512];
    snprintf(path, sizeof path, "%s/%llu.wav", folder, (unsigned long long)tape);
    engine_join(engine, group, a, room, 16000, &all);
    engine_join(engine, group, b, room, 48000, seed & 1 ? &whisper : &listens);
    play_sounds(group, room, play, seed);
    engine_record(engine, group, tape, room, 0, path, &(struct engine_tape){0});
    atomic_fetch_add(&played, 1);
    atomic_fetch_add(&recorded, 1);
    usleep(seed % 50000);
    engine_set_role(engine, group, a, seed & 4 ? &all : &listens);
    if (seed & 8)
        engine_leave(engine, group, a);
    if (seed & 16)
        engine_connect(engine, group, a, b);
    if (seed & 32)
        engine_stop_playing(engine, group, room, play);
    if (seed & 64)
        engine_stop_recording(engine, group, tape);
    usleep(seed % 20000);
}

static void process(uint64_t group, uint64_t stream, unsigned seed) {
    const struct engine_processing wish = {
        .level = seed & 1 ? -20 : 0, .noise = seed & 2 ? 15 : 0, .echo = seed & 4 ? 100 : 0};
    assert(engine_process(engine, group, stream, &wish) == (engine_processes() ? 0 : -ENOTSUP));
}

/* Some streams are encrypted, under keys that the senders have, and change them. */
static void set_keys(uint64_t group, uint64_t stream, unsigned seed) {
#ifdef HAVE_LIBSRTP2
    static const int sizes[] = {0, 30, 30, 46, 46, 28, 44};
    uint8_t ours[ENGINE_KEY_SIZE], theirs[ENGINE_KEY_SIZE] = {0}, mki[4] = {0, 0, 0, 1};
    int suite = (int)(seed % 6) + 1;
    memset(ours, (int)(seed >> 4 & 3), sizeof ours);
    const struct engine_key receive = {.suite = seed & 0x80 ? 1 : suite,
                                       .key = theirs,
                                       .key_size = sizes[seed & 0x80 ? 1 : suite],
                                       .mki = mki,
                                       .mki_size = seed & 0x40 ? 4 : 0};
    const struct engine_key send = {.suite = suite, .key = ours, .key_size = sizes[suite]};
    assert(engine_set_keys(engine, group, stream, (seed & 0x700) != 0, &receive, seed & 0x800 ? &send : NULL,
                           (int)(seed >> 12 & 1)) == 0);
#else
    (void)group, (void)stream, (void)seed;
#endif
}

#ifdef HAVE_LIBSRTP2
static int counted_unprotect(void *session, void *packet, int *size) {
    int status = library_unprotect(session, packet, size);
    atomic_fetch_add(&unsealed, status == 0);
    return status;
}

static int counted_protect(void *session, void *packet, int *size) {
    int status = library_protect(session, packet, size);
    atomic_fetch_add(&sealed, status == 0);
    return status;
}
#endif

static void *call(void *argument) {
    unsigned caller = (unsigned)(uintptr_t)argument, seed = caller;
    while (!atomic_load(&over)) {
        uint64_t group = engine_new_group(engine), a = atomic_fetch_add(&names, 4), b = a + 1, play = a + 2, tape = a + 3;
        char path[512];
        snprintf(path, sizeof path, "%s/%llu.wav", folder, (unsigned long long)tape);
        seed = seed * 1103515245u + 12345u;
        engine_open(engine, group, a, "127.0.0.1");
        engine_open(engine, group, b, "127.0.0.1");
        set_remote(group, a, 33000, seed >> 8);
        set_remote(group, b, 33001, seed >> 16);
        if (seed & 0x4000)
            set_keys(group, a, seed >> 12);
        set_keys(group, b, seed >> 15);
        engine_connect(engine, group, a, b);
        if (seed & 0x100) {
            atomic_fetch_add(&recorded, 1);
            struct engine_tape wanted = {.format = (enum engine_format)(seed >> 13 & 3) % 3,
                                         .mixed = (int)(seed >> 15 & 1),
                                         .maximum = seed & 0x200 ? 20 : 0};
            engine_record(engine, group, tape, a, b, path, &wanted);
        }
        if (seed & 0x400) {
            atomic_fetch_add(&played, 1);
            play_sounds(group, b, play, seed);
        }
        engine_hear_digits(engine, group, a, (int)(seed >> 12 & 1), (int)(seed >> 13) % 3);
        engine_send_digits(engine, group, a, "1#", 60);
        engine_take_digit(engine, group, b, '5');
        process(group, a, seed >> 3);
        process(group, b, seed >> 9);
        engine_mute(engine, group, a, 0, (int)(seed >> 11 & 1));
        usleep(1000 + seed % 60000);
        engine_query(engine, group, a);
        if (seed & 0x4000)
            group = move(caller, group);
        if (seed & 0x8000)
            mix(group, a, b, seed >> 16);
        if (seed & 0x10000)
            group = move(caller, group);
        set_keys(group, b, seed >> 7);
        process(group, a, seed >> 17);
        set_remote(group, a, 33002, seed >> 20);
        engine_pause_recording(engine, group, tape, 1);
        engine_disconnect(engine, group, b);
        engine_connect(engine, group, b, b);
        engine_pause_recording(engine, group, tape, 0);
        usleep(seed % 20000);
        if (seed & 0x1000)
            engine_stop_recording(engine, group, tape);
        if (seed & 0x2000)
            engine_stop_playing(engine, group, b, play);
        engine_close(engine, group, a);
        engine_close(engine, group, b);
        engine_query(engine, group, a);
        play_sounds(group, a, atomic_fetch_add(&names, 1), seed);
        atomic_fetch_add(&played, 1);
    }
    return NULL;
}

/* Calls of two, and one room, each in a group of its own. */
static void *reside(void *argument) {
    (void)argument;
    uint64_t group = 0;
    for (unsigned i = 0; i < RESIDENTS; i++) {
        struct resident *resident = &residents[i];
        if (i < ROOM_FROM ? i % 2 == 0 : i == ROOM_FROM)
            group = engine_new_group(engine);
        move_in(engine, resident, i, group, atomic_fetch_add(&names, 1));
        if (i % 3 == 0)
            secure_resident(engine, resident);
        if (i >= ROOM_FROM)
            engine_join(engine, group, resident->stream, RESIDENT_ROOM, 16000, &(struct engine_role){0});
        else if (i % 2 == 1)
            engine_connect(engine, group, resident[-1].stream, resident->stream);
        if (i % 4 == 1)
            process(group, resident->stream, 3);
        if (i % 4 == 3 && i < ROOM_FROM) {
            uint64_t tape = atomic_fetch_add(&names, 1);
            char path[512];
            snprintf(path, sizeof path, "%s/%llu.wav", folder, (unsigned long long)tape);
            atomic_fetch_add(&recorded, 1);
            engine_record(engine, group, tape, resident[-1].stream, resident->stream, path, &(struct engine_tape){0});
        }
    }
    uint64_t play = atomic_fetch_add(&names, 1);
    atomic_fetch_add(&played, 1);
    engine_play(engine, group, RESIDENT_ROOM, play, &(struct engine_sounds){.count = 1, .sounds = &sound});
    for (uint32_t turn = 0; !atomic_load(&over); turn++) {
        for (unsigned i = 0; i < RESIDENTS; i++)
            if (atomic_load(&residents[i].towards) != 0)
                speak(&residents[i], turn + i * 7);
        usleep(20000);
    }
    for (unsigned i = 0; i < RESIDENTS; i++)
        move_out(engine, &residents[i]);
    return NULL;
}

static void *throw_packets(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(33000 + seed)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert(bind(fd, (struct sockaddr *)&local, sizeof local) == 0);
#ifdef HAVE_LIBSRTP2
    uint8_t key[SESSION_KEY_SIZE] = {0};
    srtp_t session = library_sender(key);
#endif
    static const uint8_t types[] = {0, 8, 9, 107, 96, 101, 18, 72};
    for (uint32_t number = 0; !atomic_load(&over); number++) {
        uint8_t data[256];
        seed = seed * 1103515245u + 12345u;
        for (size_t i = 0; i < 200; i++)
            data[i] = (uint8_t)(seed >> (i % 24));
        if (seed & 0xf000) {
            data[0] = 0x80;
            data[1] = types[seed >> 16 & (seed >> 20 & 1 ? 7 : 0)];
            uint32_t place = number / 100, fields[3];
            data[2] = (uint8_t)(place >> 8);
            data[3] = (uint8_t)place;
            fields[0] = htonl(place * 160);
            fields[1] = htonl(7 + (seed >> 24 == 0));
            memcpy(data + 4, fields, 8);
        }
        struct sockaddr_in to = local;
        to.sin_port = htons((uint16_t)(FIRST + number % (LAST - FIRST + 1)));
        int size = 12 + (int)(seed % 188);
#ifdef HAVE_LIBSRTP2
        if (seed & 0x100000)
            srtp_protect(session, data, &size);
#endif
        sendto(fd, data, (size_t)size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
        if (number % 20 == 0)
            usleep(500);
    }
    close(fd);
#ifdef HAVE_LIBSRTP2
    srtp_dealloc(session);
#endif
    return NULL;
}

static void add_up(const struct engine_counts *counts) {
    atomic_fetch_add(&sent, counts->sent_packets);
    atomic_fetch_add(&transcoded, counts->transcoded_packets);
    atomic_fetch_add(&concealed, counts->concealed);
    atomic_fetch_add(&processed, counts->processed);
    atomic_fetch_add(&unauthentic, counts->dropped_unauthentic);
}

static void count(const struct engine_event *event) {
    switch (event->kind) {
    case ENGINE_OPENED:
        for (unsigned i = 0; i < RESIDENTS; i++)
            if (event->stream == atomic_load(&residents[i].stream))
                atomic_store(&residents[i].towards, event->port);
        atomic_fetch_add(&opened, 1);
        break;
    case ENGINE_CLOSED:
        if (strcmp(event->text, "no such stream") != 0)
            atomic_fetch_add(&closed, 1), add_up(&event->counts);
        break;
    case ENGINE_ACTIVE_SPEAKER:
        atomic_fetch_add(&speakers, event->stream != 0);
        break;
    case ENGINE_RECORDING_ENDED:
        atomic_fetch_add(&taped, event->octets > 0);
        atomic_fetch_add(&record_ended, 1);
        break;
    case ENGINE_RECORDING_FAILED:
        atomic_fetch_add(&record_ended, 1);
        break;
    case ENGINE_MOVED:
        arrived(event);
        break;
    case ENGINE_PLAY_ENDED:
        atomic_fetch_add(&play_ended, 1);
        atomic_fetch_add(&heard_to_end, event->text[0] == '\0' && event->milliseconds > 0);
        break;
    default:
        atomic_fetch_add(&others, 1);
        break;
    }
}

static void drain(void) {
    struct engine_event events[32];
    for (int number; (number = engine_drain(engine, events, 32)) > 0;)
        for (int i = 0; i < number; i++)
            count(&events[i]);
}

static void *listen_to_events(void *argument) {
    (void)argument;
    while (!atomic_load(&over)) {
        struct pollfd poll_for = {.fd = engine_fileno(engine), .events = POLLIN};
        poll(&poll_for, 1, 50);
        drain();
        struct engine_counters counters;
        engine_read_counters(engine, &counters);
    }
    return NULL;
}

/* Whether all that is to be looked at under stress has happened at least once. */
static bool seen_all(void) {
    bool seen = sent > 0 && transcoded > 0 && concealed > 0 && heard_to_end > 0 && taped > 0 && speakers > 0;
    for (unsigned i = 0; i < RESIDENTS; i++)
        seen = seen && residents[i].heard > 0;
#ifdef HAVE_LIBSRTP2
    seen = seen && unsealed > 0 && unauthentic > 0 && sealed > 0;
#endif
    return seen && (!engine_processes() || processed > 0);
}

int main(int count_of_arguments, char **arguments) {
    assert(count_of_arguments >= 4);
    folder = arguments[1];
    sound = arguments[3];
    sounds = arguments + 3;
    sound_count = (unsigned)count_of_arguments - 3;
    char text[160];
#ifdef HAVE_LIBSRTP2
    assert(srtp_init() == srtp_err_status_ok);
    struct engine_srtp library = library_functions;
    library.protect = counted_protect;
    library.unprotect = counted_unprotect;
#endif
    engine = engine_create(&(struct engine_options){.first_port = FIRST,
                                                    .last_port = LAST,
                                                    .drain = 1,
                                                    .workers = WORKERS,
                                                    .writers = 2,
                                                    .traffic_class = 184,
                                                    .cache_mebibytes = 1,
                                                    .backlog_mebibytes = 4,
#ifdef HAVE_LIBSRTP2
                                                    .srtp = &library,
#endif
                                                },
                           text, sizeof text);
    assert(engine != NULL);
    pthread_t threads[CALLERS + SENDERS + 2];
    for (uintptr_t i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, call, (void *)(i + 1));
    for (uintptr_t i = 0; i < SENDERS; i++)
        pthread_create(&threads[CALLERS + i], NULL, throw_packets, (void *)i);
    pthread_create(&threads[CALLERS + SENDERS], NULL, listen_to_events, NULL);
    pthread_create(&threads[CALLERS + SENDERS + 1], NULL, reside, NULL);
    usleep((useconds_t)(atof(arguments[2]) * 1e6));
    /* A sanitizer on a machine with other work may need longer than that for everything to happen once. */
    for (int tenths = 0; tenths < 10 * PATIENCE && !seen_all(); tenths++)
        usleep(100000);
    atomic_store(&over, true);
    for (int i = 0; i < CALLERS + SENDERS + 2; i++)
        pthread_join(threads[i], NULL);
    engine_stop(engine);
    drain();
    printf("%lu streams opened, %lu closed; %lu recordings, %lu ended; %lu plays, %lu ended; %lu other events\n",
           opened, closed, recorded, record_ended, played, play_ended, others);
    printf("%lu packets sent, %lu decoded, %lu ms made up, %lu ms processed; SRTP: %lu opened, %lu refused, %lu sealed; "
           "%lu plays heard, %lu recordings whole, %lu changes of the floor\n",
           sent, transcoded, concealed, processed, unsealed, unauthentic, sealed, heard_to_end, taped, speakers);
    assert(seen_all());
    /* Where no port was free, a stream that was never opened is closed. */
    assert(opened > 0 && closed >= opened && recorded == record_ended && played == play_ended);
    engine_free(engine);
    return 0;
}
