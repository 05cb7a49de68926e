#include "refusal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

/* Read at once: whoever floods us with ICMP must not hold up the thread. */
#define MOST 16

bool refusal_ask(int fd, int family) {
    int one = 1;
    if (family == AF_INET6)
        return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof one) == 0;
    return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof one) == 0;
}

static const struct sock_extended_err *error_of(struct msghdr *message) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part))
        if ((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
            (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR))
            return (const struct sock_extended_err *)CMSG_DATA(part);
    return NULL;
}

static enum engine_refusal refusal_of(const struct sock_extended_err *error) {
    switch (error->ee_errno) {
    case ECONNREFUSED:
        return ENGINE_REFUSED_PORT;
    case EHOSTUNREACH:
        /* RFC 1122 3.2.2.1, RFC 1812 5.2.7.1: 9, 10 and 13 are "administratively prohibited". */
        if (error->ee_origin == SO_EE_ORIGIN_ICMP && (error->ee_code == 10 || error->ee_code == 13))
            return ENGINE_REFUSED_POLICY;
        return ENGINE_REFUSED_HOST;
    case EACCES: /* ICMPv6 1/1 */
        return ENGINE_REFUSED_POLICY;
    case ENETUNREACH:
        return error->ee_origin == SO_EE_ORIGIN_ICMP && error->ee_code == 9 ? ENGINE_REFUSED_POLICY : ENGINE_REFUSED_HOST;
    default:
        return ENGINE_REFUSED_HOST;
    }
}

void refusal_read(struct endpoint *endpoint) {
    struct stream *stream = endpoint->stream;
    for (int i = 0; i < MOST; i++) {
        struct address to = {.length = 0};
        union {
            struct cmsghdr aligned;
            char room[512];
        } control;
        uint8_t payload[1];
        struct iovec part = {.iov_base = payload, .iov_len = sizeof payload};
        struct msghdr message = {.msg_name = &to.any,
                                 .msg_namelen = sizeof to.v6,
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        if (recvmsg(endpoint->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        to.length = message.msg_namelen;
        const struct sock_extended_err *error = error_of(&message);
        if (error == NULL || error->ee_errno == EMSGSIZE || (error->ee_origin != SO_EE_ORIGIN_ICMP && error->ee_origin != SO_EE_ORIGIN_ICMP6)) {
            stream->counts.send_errors++;
        } else if (endpoint->rtcp) {
            stream->refusals.rtcp++;
        } else if (address_same(&to, &stream->peer)) {
            /* Of an address that we no longer send to it says nothing. */
            stream->refusals.rtp++;
            stream->refusals.last = refusal_of(error);
        }
    }
}
