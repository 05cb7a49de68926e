#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "address_same");

bool address_parse(struct address *address, const char *text, int port) {
    memset(address, 0, sizeof *address);
    if (port < 0 || port > 65535)
        return false;
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->length = sizeof address->v4;
    } else if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->length = sizeof address->v6;
    } else {
        return false;
    }
    address_set_port(address, port);
    return true;
}

void address_host(const struct address *address, char *text, size_t room) {
    const void *host = address->any.sa_family == AF_INET6 ? (const void *)&address->v6.sin6_addr
                                                          : (const void *)&address->v4.sin_addr;
    if (address->length == 0 || inet_ntop(address->any.sa_family, host, text, (socklen_t)room) == NULL)
        text[0] = '\0';
}

void address_text(const struct address *address, char *text, size_t room) {
    char host[INET6_ADDRSTRLEN];
    text[0] = '\0';
    if (address->length == 0)
        return;
    address_host(address, host, sizeof host);
    snprintf(text, room, address->any.sa_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host, address_port(address));
}
