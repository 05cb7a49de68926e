/*
 * SRTP and SRTCP (RFC 3711) of one stream, by the libsrtp that the caller has handed over as function pointers.
 *
 * A stream with a `srtp` is secured: what it receives must authenticate before anybody looks at it, what it sends goes
 * protected, and without keys (a DTLS handshake that is not over) nothing passes either way. Where the keys come from is the
 * caller's business.
 */
#ifndef TANDEM_SRTP_H
#define TANDEM_SRTP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/engine.h"

struct stream;
struct worker;

enum {
    SRTP_MKI_ROOM = 128,         /* RFC 4568 6.1: the length of an MKI is 1 to 128 octets */
    SRTP_TRAILER = 64            /* more than protection adds to a packet */
};

struct srtp_key { /* of one direction */
    int suite;                   /* enum engine_suite; 0: there is none yet */
    int key_size, mki_size;
    uint8_t key[ENGINE_KEY_SIZE]; /* master key, then master salt; zeroes behind, here and in the MKI */
    uint8_t mki[SRTP_MKI_ROOM];
};

struct srtp_keys {
    bool secured;                /* false: plain RTP again */
    bool after_peer;             /* our new key waits until the peer is heard under its own */
    struct srtp_key receive, send;
};

/*
 * What streams that have ended knew of their peers' packets. A call that is transferred gets streams of its own, and its peer goes
 * on under the key that it has: its count of wraps (RFC 3711 3.3.1) stands in no packet, and who begins to count anew does not
 * open one any more.
 */
struct srtp_shelf {
    pthread_mutex_t lock;
    unsigned next;
    struct srtp_kept {
        struct context *context;     /* NULL: a free place */
        uint64_t until;
    } places[256];
};

void srtp_shelf_init(struct srtp_shelf *shelf);
void srtp_shelf_clear(struct srtp_shelf *shelf, const struct engine_srtp *library);

/* NULL if these functions are those of a libsrtp that we know, else what is wrong with them. */
const char *srtp_fault(const struct engine_srtp *library);

/* False for a key that is none: its suite unknown, its size another than the suite's. No key (NULL) is good. */
bool srtp_copy_key(struct srtp_key *to, const struct engine_key *from);

/* A key that is there already goes on with its packet counts; a new one of the peer's is tried beside the old one for a
   while. False when libsrtp refuses, or there is no memory: then the stream must be closed. */
bool srtp_set_keys(struct stream *stream, const struct srtp_keys *keys);
void srtp_end(struct stream *stream);

/* Takes the protection off in place; false, and counted, if it does not hold. Sets `length` to that of the plain packet. */
bool srtp_unseal(struct worker *worker, struct stream *stream, uint8_t *data, size_t *length, bool rtcp);

/* Before the next packet gets its number: our key changes, if it waited for the peer's to. */
void srtp_prepare(struct stream *stream);
/* A protected copy, good until the next call on this thread; NULL, and counted, if there can be none. */
const uint8_t *srtp_seal(struct stream *stream, const uint8_t *data, size_t *length, bool rtcp);

#endif
