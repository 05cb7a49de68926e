/* The calls of a run, as `run.py` writes them: a line "generator_a server_a generator_b server_b" of ports each. */
#ifndef TANDEM_BENCH_CALLS_H
#define TANDEM_BENCH_CALLS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

struct call {
    int generator[2], server[2];
};

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline struct call *read_calls(const char *path, int *count) {
    FILE *file = fopen(path, "r");
    struct call *calls = NULL, call;
    if (file == NULL)
        die(path);
    *count = 0;
    while (fscanf(file, "%d %d %d %d", &call.generator[0], &call.server[0], &call.generator[1], &call.server[1]) == 4) {
        calls = realloc(calls, sizeof *calls * (size_t)(*count + 1));
        if (calls == NULL)
            die("realloc");
        calls[(*count)++] = call;
    }
    fclose(file);
    return calls;
}

#endif
