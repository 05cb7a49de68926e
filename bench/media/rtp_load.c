/*
 * Both ends of many calls: 50 packets a second each way, through a server, and what became of them.
 *
 *     rtp_load CALLS WARM_UP SECONDS
 *
 * Sends G.711-sized packets with the time in them, each call at its own phase of the 20 ms, for WARM_UP + SECONDS;
 * counts what is sent after the warm-up and what of it arrives, and prints one line of JSON: packets sent and received,
 * packets that arrived twice, packets that should have been encrypted and do not authenticate, the delay in microseconds at the
 * median, 90 %, 99 %, 99.9 % and the greatest, and the most that the generator itself was behind with sending.
 * Calls share sockets (as many as there are generator ports), so that the generator costs less than what it measures.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "seal.h"

#define PERIOD 20000000ull /* ns */
#define PAYLOAD 160
#define HEADER 12
#define BATCH 64
#define FILLING 0xd5 /* of a payload behind its stamp: `capacity.py` looks for it in recordings */
#define BUCKETS 200000 /* of a microsecond */

struct sender {
    int fd, to;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
    uint64_t next_stamp_heard; /* to tell what arrives twice */
    seal out, in;              /* of this side: what it sends, and what it hears; NULL: plain */
};

struct stamp { /* in the payload */
    uint64_t sent;
    uint32_t sender;
    uint32_t number;
};

static int fd_of_port[65536];
static uint32_t side_of_port[65536]; /* who hears what comes from there, where it is encrypted: its number, and one */
static uint32_t histogram[BUCKETS + 1];
static uint64_t sent, received, doubled, unauthentic, behind;
static uint64_t count_from, count_until;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int generator_socket(int epoll, int port) {
    if (fd_of_port[port] != 0)
        return fd_of_port[port];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), room = 4 << 20;
    struct sockaddr_in local = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof local) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("generator port");
    return fd_of_port[port] = fd;
}

static void send_one(struct sender *sender, uint32_t index, uint64_t at) {
    uint8_t data[HEADER + PAYLOAD + TRAILER] __attribute__((aligned(8)));
    struct stamp stamp = {at, index, sender->sequence};
    struct sockaddr_in to = loopback(sender->to);
    int length = HEADER + PAYLOAD;
    memset(data, FILLING, sizeof data);
    data[0] = 0x80;
    data[1] = 0; /* PCMU */
    *(uint16_t *)(void *)(data + 2) = htons(sender->sequence++);
    *(uint32_t *)(void *)(data + 4) = htonl(sender->timestamp);
    *(uint32_t *)(void *)(data + 8) = htonl(sender->ssrc);
    memcpy(data + HEADER, &stamp, sizeof stamp);
    sender->timestamp += PAYLOAD;
    if (sender->out != NULL && !close_seal(sender->out, data, &length))
        die("srtp_protect");
    if (sendto(sender->fd, data, (size_t)length, 0, (struct sockaddr *)&to, sizeof to) == length && at >= count_from &&
        at < count_until)
        sent++;
}

static void take(uint8_t *data, int length, const struct sockaddr_in *from, struct sender *senders, uint32_t count, uint64_t at) {
    struct stamp stamp;
    uint32_t side = side_of_port[ntohs(from->sin_port)];
    if (length < HEADER || data[0] != 0x80 || (data[1] >= 192 && data[1] <= 223))
        return; /* RTCP */
    if (side > 0 && !open_seal(senders[side - 1].in, data, &length)) {
        unauthentic++;
        return;
    }
    if (length != HEADER + PAYLOAD)
        return;
    memcpy(&stamp, data + HEADER, sizeof stamp);
    if (stamp.sender >= count || stamp.sent < count_from || stamp.sent >= count_until)
        return;
    if (stamp.sent < senders[stamp.sender].next_stamp_heard) {
        doubled++;
        return;
    }
    senders[stamp.sender].next_stamp_heard = stamp.sent + 1;
    uint64_t delay = (at - stamp.sent) / 1000;
    histogram[delay < BUCKETS ? delay : BUCKETS]++;
    received++;
}

static void receive_all(int fd, struct sender *senders, uint32_t count) {
    static uint8_t data[BATCH][2048] __attribute__((aligned(8)));
    static struct iovec parts[BATCH];
    static struct sockaddr_in from[BATCH];
    static struct mmsghdr messages[BATCH];
    int number;
    do {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){data[i], sizeof data[i]};
            messages[i].msg_hdr = (struct msghdr){
                .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
        }
        number = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        uint64_t at = now();
        for (int i = 0; i < number; i++)
            take(data[i], (int)messages[i].msg_len, &from[i], senders, count, at);
    } while (number == BATCH);
}

/* Which end hears what a port of the server sends, and under which key. */
static void set_keys(struct sender *sender, uint32_t index, const struct call *call) {
    const char *key = call->key[index % 2];
    if (key[0] == '-')
        return;
    sender->out = new_seal(key, true, sender->ssrc, index % 2 == 0);
    sender->in = new_seal(key, false, 0, index % 2 == 0);
    side_of_port[sender->to] = index + 1;
}

static unsigned percentile(double share) {
    uint64_t wanted = (uint64_t)((double)received * share), seen = 0;
    for (unsigned i = 0; i <= BUCKETS; i++)
        if ((seen += histogram[i]) > wanted)
            return i;
    return BUCKETS;
}

static unsigned greatest(void) {
    for (unsigned i = BUCKETS; i > 0; i--)
        if (histogram[i] > 0)
            return i;
    return 0;
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments < 4)
        return 2;
    int calls_count, epoll = epoll_create1(0);
    start_sealing();
    struct call *calls = read_calls(arguments[1], &calls_count);
    uint64_t warm_up = (uint64_t)(atof(arguments[2]) * 1e9), span = (uint64_t)(atof(arguments[3]) * 1e9);
    uint32_t count = (uint32_t)calls_count * 2;
    struct sender *senders = calloc(count, sizeof *senders);
    for (uint32_t i = 0; i < count; i++) {
        struct call *call = &calls[i / 2];
        senders[i] = (struct sender){.fd = generator_socket(epoll, call->generator[i % 2]),
                                     .to = call->server[i % 2],
                                     .ssrc = 0x10000 + i,
                                     .sequence = (uint16_t)(i * 7919u),
                                     .timestamp = i * 104729u};
        set_keys(&senders[i], i, call);
    }
    uint64_t start = now(), end = start + warm_up + span;
    count_from = start + warm_up;
    count_until = end;
    for (uint64_t turn = 0;; turn++) { /* sender number turn % count is due at turn * PERIOD / count */
        uint64_t due = start + (turn / count) * PERIOD + (turn % count) * PERIOD / count, at;
        if (due >= end)
            break;
        while ((at = now()) < due) {
            struct epoll_event events[64];
            struct timespec wait = {0, (long)(due - at)};
            int ready = epoll_pwait2(epoll, events, 64, &wait, NULL);
            for (int i = 0; i < ready; i++)
                receive_all(events[i].data.fd, senders, count);
        }
        if (turn % 32 == 0) { /* never late with hearing, even when late with sending */
            struct epoll_event events[64];
            int ready = epoll_wait(epoll, events, 64, 0);
            for (int i = 0; i < ready; i++)
                receive_all(events[i].data.fd, senders, count);
        }
        at = now();
        if (due >= count_from && at - due > behind)
            behind = at - due;
        send_one(&senders[turn % count], (uint32_t)(turn % count), at);
    }
    for (uint64_t until = now() + 500000000ull; now() < until;) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 100);
        for (int i = 0; i < ready; i++)
            receive_all(events[i].data.fd, senders, count);
    }
    printf("{\"sent\": %llu, \"received\": %llu, \"doubled\": %llu, \"unauthentic\": %llu, \"behind\": %llu, \"p50\": %u, "
           "\"p90\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}\n",
           (unsigned long long)sent, (unsigned long long)received, (unsigned long long)doubled, (unsigned long long)unauthentic,
           (unsigned long long)behind / 1000, percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999), greatest());
    free(senders);
    free(calls);
    return 0;
}
