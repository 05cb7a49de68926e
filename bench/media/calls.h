/* The calls of a run, as `load.py` writes them: a line "generator_a server_a generator_b server_b key_a key_b" each, of four
   ports and the SRTP master keys, in hexadecimal, of what comes to either side: "-" for a side that speaks plain RTP. */
#ifndef TANDEM_BENCH_CALLS_H
#define TANDEM_BENCH_CALLS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_TEXT 60 /* hexadecimal, of 30 octets: master key and salt of AES_CM_128 */

struct call {
    int generator[2], server[2];
    char key[2][KEY_TEXT + 1];
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
    while (fscanf(file, "%d %d %d %d %60s %60s", &call.generator[0], &call.server[0], &call.generator[1], &call.server[1],
                  call.key[0], call.key[1]) == 6) {
        calls = realloc(calls, sizeof *calls * (size_t)(*count + 1));
        if (calls == NULL)
            die("realloc");
        calls[(*count)++] = call;
    }
    fclose(file);
    return calls;
}

#endif
