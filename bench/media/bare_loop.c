/*
 * The least that a forwarder in C can do: epoll, recvfrom, sendto. What a relay costs is measured beside it.
 *
 *     bare_loop CALLS        forwards until it is killed; says "ready" once every port is bound
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"

struct side {
    int fd;
    struct side *other;
    struct sockaddr_in generator;
};

int main(int count_of_arguments, char **arguments) {
    int count;
    if (count_of_arguments != 2)
        return 2;
    struct call *calls = read_calls(arguments[1], &count);
    struct side *sides = calloc((size_t)count * 2, sizeof *sides);
    int epoll = epoll_create1(0);
    for (int i = 0; i < 2 * count; i++) {
        struct side *side = &sides[i];
        struct sockaddr_in local = loopback(calls[i / 2].server[i % 2]);
        side->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        side->other = &sides[i ^ 1];
        side->generator = loopback(calls[i / 2].generator[i % 2]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};
        if (side->fd < 0 || bind(side->fd, (struct sockaddr *)&local, sizeof local) < 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, side->fd, &event) < 0)
            die("bind");
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            struct side *side = events[i].data.ptr, *other = side->other;
            char data[2048];
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t size = recvfrom(side->fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
            if (size > 0)
                sendto(other->fd, data, (size_t)size, MSG_DONTWAIT, (struct sockaddr *)&other->generator,
                       sizeof other->generator);
        }
    }
}
