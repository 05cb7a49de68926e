#include "pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include "clock.h"
#include "refusal.h"

/* Pairs to try when another program holds ports of our range. */
#define BIND_ATTEMPTS 64

/* The descriptor, or -1 and errno. */
static int bind_port(const struct address *local, int port, int traffic_class) {
    int fd = socket(local->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct address address = *local;
    address_set_port(&address, port);
    int one = 1;
    if (local->any.sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &traffic_class, sizeof traffic_class);
    } else {
        setsockopt(fd, IPPROTO_IP, IP_TOS, &traffic_class, sizeof traffic_class);
    }
    if (refusal_ask(fd, local->any.sa_family) && bind(fd, &address.any, address.length) == 0)
        return fd;
    int fault = errno;
    close(fd);
    errno = fault;
    return -1;
}

int pair_bind(struct pair *pair, struct ports *ports, const struct address *address, int traffic_class) {
    *pair = (struct pair){.ports = ports, .local = *address, .rtp = -1, .rtcp = -1};
    for (int attempt = 0; attempt < BIND_ATTEMPTS; attempt++) {
        uint64_t now = clock_now();
        uint16_t port = ports_take(ports, now);
        if (port == 0)
            return ENOSPC;
        pair->rtp = bind_port(address, port, traffic_class);
        if (pair->rtp >= 0) {
            pair->rtcp = bind_port(address, port + 1, traffic_class);
            if (pair->rtcp >= 0) {
                address_set_port(&pair->local, port);
                return 0;
            }
        }
        int fault = errno;
        if (pair->rtp >= 0)
            close(pair->rtp);
        pair->rtp = -1;
        ports_give(ports, port, now);
        if (fault != EADDRINUSE)
            return fault;
    }
    return EADDRINUSE;
}

const char *pair_fault(int error) {
    switch (error) {
    case ENOSPC:
        return "every port of the range is in use";
    case EADDRINUSE:
        return "other programs hold the ports of the range";
    default:
        return strerrordesc_np(error);
    }
}

static void close_sockets(const struct pair *pair) {
    close(pair->rtp);
    close(pair->rtcp);
}

void pair_close(const struct pair *pair) {
    close_sockets(pair);
    ports_give(pair->ports, (uint16_t)address_port(&pair->local), clock_now());
}

void pair_return(const struct pair *pair) {
    close_sockets(pair);
    ports_return(pair->ports, (uint16_t)address_port(&pair->local));
}
