/* Socket addresses, IPv4 and IPv6, without names: numeric text in, numeric text out. */
#ifndef TANDEM_ADDRESS_H
#define TANDEM_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t length; /* 0: no address */
};

/* False when `text` is not a numeric address, and the address is none then. */
bool address_parse(struct address *address, const char *text, int port);
/* The host alone; `room` is at least INET6_ADDRSTRLEN. */
void address_host(const struct address *address, char *text, size_t room);
/* `host:port`, `[host]:port`; empty for no address. */
void address_text(const struct address *address, char *text, size_t room);

static inline int address_port(const struct address *address) {
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

static inline void address_set_port(struct address *address, int port) {
    if (address->any.sa_family == AF_INET6)
        address->v6.sin6_port = htons((uint16_t)port);
    else
        address->v4.sin_port = htons((uint16_t)port);
}

static inline bool address_same_host(const struct address *a, const struct address *b) {
    if (a->length == 0 || b->length == 0 || a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static inline bool address_same(const struct address *a, const struct address *b) {
    return address_same_host(a, b) && a->v4.sin_port == b->v4.sin_port; /* the port lies at the same place in both */
}

#endif
