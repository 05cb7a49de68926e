/*
 * Both ends of many calls whose sides speak different codecs: 50 packets a second each way of real sound.
 *
 *     codec_load CALLS WARM_UP SECONDS  TYPE STEP FRAMES  TYPE STEP FRAMES
 *
 * For each side the payload type, the timestamps that pass in a packet, and a file of payloads, each behind its length as two
 * octets; they are sent round and round, each call at its own phase of the 20 ms. Prints one line of JSON: packets sent and
 * received after the warm-up; a packet that is not of the payload type that a side listens to counts as `wrong`.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

#define PERIOD 20000000ull /* ns */
#define HEADER 12
#define BATCH 64
#define FRAMES 4096

struct voice {
    int type;
    uint32_t step;
    int count;
    struct { uint8_t *data; size_t length; } frames[FRAMES];
};

struct sender {
    int fd, to;
    uint32_t ssrc, timestamp, frame;
    uint16_t sequence;
};

static int fd_of_port[65536];
static struct voice voices[2];
static uint64_t sent, received, wrong;
static int counting;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void read_voice(struct voice *voice, char **arguments) {
    voice->type = atoi(arguments[0]);
    voice->step = (uint32_t)atoi(arguments[1]);
    FILE *file = fopen(arguments[2], "rb");
    uint8_t head[2];
    if (file == NULL)
        die(arguments[2]);
    while (voice->count < FRAMES && fread(head, 1, 2, file) == 2) {
        size_t length = (size_t)(head[0] << 8 | head[1]);
        uint8_t *data = malloc(length);
        if (data == NULL || fread(data, 1, length, file) != length)
            die("frames");
        voice->frames[voice->count].data = data;
        voice->frames[voice->count++].length = length;
    }
    fclose(file);
    if (voice->count == 0)
        die("no frames");
}

static int generator_socket(int epoll, int port, uint32_t side) {
    if (fd_of_port[port] != 0)
        return fd_of_port[port];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), room = 4 << 20;
    struct sockaddr_in local = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)side << 32 | (uint32_t)fd};
    if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof local) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("generator port");
    return fd_of_port[port] = fd;
}

static void send_one(struct sender *sender, const struct voice *voice) {
    uint8_t data[2048];
    struct sockaddr_in to = loopback(sender->to);
    uint32_t frame = sender->frame++ % (uint32_t)voice->count;
    size_t length = voice->frames[frame].length;
    data[0] = 0x80;
    data[1] = (uint8_t)voice->type;
    *(uint16_t *)(void *)(data + 2) = htons(sender->sequence++);
    *(uint32_t *)(void *)(data + 4) = htonl(sender->timestamp);
    *(uint32_t *)(void *)(data + 8) = htonl(sender->ssrc);
    memcpy(data + HEADER, voice->frames[frame].data, length);
    sender->timestamp += voice->step;
    if (sendto(sender->fd, data, HEADER + length, 0, (struct sockaddr *)&to, sizeof to) > 0 && counting)
        sent++;
}

static void receive_all(uint64_t who) {
    static uint8_t data[BATCH][2048];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int fd = (int)(uint32_t)who, side = (int)(who >> 32), number;
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){data[i], sizeof data[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    do {
        number = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < number && counting; i++) {
            if (messages[i].msg_len < HEADER || (data[i][1] >= 192 && data[i][1] <= 223))
                continue; /* RTCP */
            if ((data[i][1] & 0x7f) == voices[side].type)
                received++;
            else
                wrong++;
        }
    } while (number == BATCH);
}

static void hear(int epoll, uint64_t until) {
    uint64_t at = now();
    struct epoll_event events[64];
    struct timespec wait = {0, at < until ? (long)(until - at) : 0};
    int ready = epoll_pwait2(epoll, events, 64, &wait, NULL);
    for (int i = 0; i < ready; i++)
        receive_all(events[i].data.u64);
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments < 10)
        return 2;
    int calls_count, epoll = epoll_create1(0);
    struct call *calls = read_calls(arguments[1], &calls_count);
    uint64_t warm_up = (uint64_t)(atof(arguments[2]) * 1e9), span = (uint64_t)(atof(arguments[3]) * 1e9);
    read_voice(&voices[0], arguments + 4);
    read_voice(&voices[1], arguments + 7);
    uint32_t count = (uint32_t)calls_count * 2;
    struct sender *senders = calloc(count, sizeof *senders);
    for (uint32_t i = 0; i < count; i++)
        senders[i] = (struct sender){.fd = generator_socket(epoll, calls[i / 2].generator[i % 2], i % 2),
                                     .to = calls[i / 2].server[i % 2],
                                     .ssrc = 0x10000 + i,
                                     .frame = i * 17,
                                     .sequence = (uint16_t)(i * 7919u),
                                     .timestamp = i * 104729u};
    uint64_t start = now(), end = start + warm_up + span;
    for (uint64_t turn = 0;; turn++) { /* sender number turn % count is due at turn * PERIOD / count */
        uint64_t due = start + (turn / count) * PERIOD + (turn % count) * PERIOD / count;
        if (due >= end)
            break;
        while (now() < due)
            hear(epoll, due);
        if (turn % 32 == 0)
            hear(epoll, 0);
        counting = due >= start + warm_up;
        send_one(&senders[turn % count], &voices[turn % count % 2]);
    }
    printf("{\"sent\": %llu, \"received\": %llu, \"wrong\": %llu}\n", (unsigned long long)sent, (unsigned long long)received,
           (unsigned long long)wrong);
    return 0;
}
