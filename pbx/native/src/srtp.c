#include "srtp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine_private.h"
#include "rtp.h"
#include "stream.h"

/* What libsrtp 2 calls its algorithms (srtp.h there). */
enum { CIPHER_ICM_128 = 1, CIPHER_ICM_256 = 5, CIPHER_GCM_128 = 6, CIPHER_GCM_256 = 7 };
enum { MAC_NONE = 0, MAC_HMAC_SHA1 = 3 };
enum { CONFIDENTIAL_AND_AUTHENTIC = 3 };
enum { ANY_INBOUND = 2, ANY_OUTBOUND = 3 };
enum { DONE = 0, REPLAY_FAIL = 9, REPLAY_OLD = 10, INDEX_OLD = 26 };

/* How libsrtp 2 lays out srtp_policy_t; `srtp_fault` compares its size. */
struct algorithms {
    int cipher, cipher_key_size, mac, mac_key_size, tag_size, services;
};
struct policy {
    int ssrc_kind;
    unsigned int ssrc;
    struct algorithms rtp, rtcp;
    unsigned char *key;
    void *keys;
    unsigned long key_count;
    void *ekt;
    unsigned long window;
    int allow_repeat;
    int *extensions;
    int extension_count;
    struct policy *next;
};

static const struct suite {
    int cipher, key_size, mac, mac_key_size;
    int tag_size, rtcp_tag_size;
} suites[] = {
    [ENGINE_AES_CM_128_HMAC_SHA1_80] = {CIPHER_ICM_128, 30, MAC_HMAC_SHA1, 20, 10, 10},
    /* RFC 4568 6.2.2, RFC 6188 3: the short tag is for RTP only. */
    [ENGINE_AES_CM_128_HMAC_SHA1_32] = {CIPHER_ICM_128, 30, MAC_HMAC_SHA1, 20, 4, 10},
    [ENGINE_AES_256_CM_HMAC_SHA1_80] = {CIPHER_ICM_256, 46, MAC_HMAC_SHA1, 20, 10, 10},
    [ENGINE_AES_256_CM_HMAC_SHA1_32] = {CIPHER_ICM_256, 46, MAC_HMAC_SHA1, 20, 4, 10},
    [ENGINE_AEAD_AES_128_GCM] = {CIPHER_GCM_128, 28, MAC_NONE, 0, 16, 16},
    [ENGINE_AEAD_AES_256_GCM] = {CIPHER_GCM_256, 44, MAC_NONE, 0, 16, 16},
};

#define SOURCES 8                    /* SSRCs of the peer's that one key remembers packet counts of */
#define WRAP_DISTANCE 256            /* packets that the peer may miss before it hears the first one under a new key */
#define HOLD (1 * SECOND)
#define OVERLAP (2 * SECOND)         /* how long after the first packet under a new key the old one is still good */

struct context { /* one key, and what is known of the packets under it */
    struct srtp_key key;
    void *session;                   /* libsrtp's */
    unsigned source_count;
    uint32_t sources[SOURCES];
};

#define KEPT (30 * SECOND)           /* on the shelf */

struct direction {
    struct context *now, *before;    /* NULL: none */
};

struct srtp {
    const struct engine_srtp *library;
    struct direction receive, send;
    bool heard;                      /* something under the peer's present key */
    uint64_t before_until;           /* once it was: the peer's old key is good until then */
    bool holding;                    /* what we send goes under our old key until something is, or a while has passed */
    uint64_t hold_until;
};

const char *srtp_fault(const struct engine_srtp *library) {
    if (library->policy_size != (int)sizeof(struct policy))
        return "the libsrtp that it was given is none of version 2";
    return NULL;
}

bool srtp_copy_key(struct srtp_key *to, const struct engine_key *from) {
    memset(to, 0, sizeof *to);
    if (from == NULL)
        return true;
    if (from->suite < 1 || from->suite >= (int)(sizeof suites / sizeof *suites) ||
        from->key_size != suites[from->suite].key_size || from->mki_size < 0 || from->mki_size > SRTP_MKI_ROOM)
        return false;
    to->suite = from->suite;
    to->key_size = from->key_size;
    to->mki_size = from->mki_size;
    memcpy(to->key, from->key, (size_t)from->key_size);
    if (from->mki_size > 0)
        memcpy(to->mki, from->mki, (size_t)from->mki_size);
    return true;
}

static void *new_session(const struct engine_srtp *library, const struct srtp_key *key, int ssrc_kind) {
    const struct suite *suite = &suites[key->suite];
    struct algorithms rtp = {suite->cipher,       suite->key_size, suite->mac,
                             suite->mac_key_size, suite->tag_size, CONFIDENTIAL_AND_AUTHENTIC};
    struct policy policy = {.ssrc_kind = ssrc_kind, .rtp = rtp, .rtcp = rtp};
    uint8_t copy[ENGINE_KEY_SIZE];
    void *session = NULL;
    memcpy(copy, key->key, sizeof copy);
    policy.rtcp.tag_size = suite->rtcp_tag_size;
    policy.key = copy;
    if (library->create(&session, &policy) != DONE)
        session = NULL;
    explicit_bzero(copy, sizeof copy);
    return session;
}

int engine_srtp_supports(const struct engine_srtp *library, int suite) {
    static const uint8_t zeroes[ENGINE_KEY_SIZE];
    struct srtp_key key;
    if (srtp_fault(library) != NULL || suite < 1 || suite >= (int)(sizeof suites / sizeof *suites))
        return 0;
    const struct engine_key try = {.suite = suite, .key = zeroes, .key_size = suites[suite].key_size};
    void *session = srtp_copy_key(&key, &try) ? new_session(library, &key, ANY_OUTBOUND) : NULL;
    return session != NULL && library->dealloc(session) == DONE;
}

static void free_context(const struct engine_srtp *library, struct context *context) {
    if (context == NULL)
        return;
    library->dealloc(context->session);
    explicit_bzero(context, sizeof *context);
    free(context);
}

static bool same_key(const struct context *context, const struct srtp_key *key) {
    return context != NULL && memcmp(&context->key, key, sizeof *key) == 0;
}

void srtp_shelf_init(struct srtp_shelf *shelf) {
    *shelf = (struct srtp_shelf){0};
    pthread_mutex_init(&shelf->lock, NULL);
}

void srtp_shelf_clear(struct srtp_shelf *shelf, const struct engine_srtp *library) {
    for (size_t i = 0; i < sizeof shelf->places / sizeof *shelf->places; i++)
        free_context(library, shelf->places[i].context);
    pthread_mutex_destroy(&shelf->lock);
}

/* Takes a context over. One that has heard nobody knows nothing. */
static void keep_context(struct stream *stream, struct context *context) {
    const struct srtp *srtp = stream->srtp;
    struct srtp_shelf *shelf = &stream->worker->engine->shelf;
    size_t count = sizeof shelf->places / sizeof *shelf->places;
    uint64_t now = stream->worker->now;
    if (context == NULL || context->source_count == 0) {
        free_context(srtp->library, context);
        return;
    }
    pthread_mutex_lock(&shelf->lock);
    struct srtp_kept *place = &shelf->places[shelf->next++ % count];
    struct context *oldest = place->context, *over = NULL;
    *place = (struct srtp_kept){context, now + KEPT};
    struct srtp_kept *next = &shelf->places[shelf->next % count]; /* so that keys do not lie about */
    if (next->context != NULL && next->until < now) {
        over = next->context;
        next->context = NULL;
    }
    pthread_mutex_unlock(&shelf->lock);
    free_context(srtp->library, oldest);
    free_context(srtp->library, over);
}

/* What is known of packets under a key; NULL if nothing is. */
static struct context *take_context(struct srtp_shelf *shelf, const struct srtp_key *key) {
    struct context *found = NULL;
    pthread_mutex_lock(&shelf->lock);
    for (size_t i = 0; found == NULL && i < sizeof shelf->places / sizeof *shelf->places; i++)
        if (same_key(shelf->places[i].context, key)) {
            found = shelf->places[i].context;
            shelf->places[i].context = NULL;
        }
    pthread_mutex_unlock(&shelf->lock);
    return found;
}

/* Two contexts of one key must never be: both would count packets from the start, and a keystream be used twice. */
static bool change_key(struct stream *stream, struct direction *direction, const struct srtp_key *key, int ssrc_kind) {
    const struct srtp *srtp = stream->srtp;
    if (key->suite == 0 || same_key(direction->now, key))
        return true;
    if (same_key(direction->before, key)) {
        struct context *context = direction->now;
        direction->now = direction->before;
        direction->before = context;
        return true;
    }
    free_context(srtp->library, direction->before);
    direction->before = direction->now;
    if (ssrc_kind == ANY_INBOUND && (direction->now = take_context(&stream->worker->engine->shelf, key)) != NULL)
        return true;
    struct context *context = direction->now = calloc(1, sizeof *context);
    if (context == NULL)
        return false;
    context->key = *key;
    context->session = new_session(srtp->library, key, ssrc_kind);
    if (context->session != NULL)
        return true;
    explicit_bzero(context, sizeof *context);
    free(context);
    direction->now = NULL;
    return false;
}

/* A new key counts wraps of the sequence from zero, on both sides (RFC 3711 3.3.1). A peer that misses the packets before a
   wrap would count one less than we do and never hear us again, so we are not near one when it begins. */
static void keep_from_wrap(struct sender *tx) {
    uint16_t distance = (uint16_t)-tx->sequence;
    if (distance > WRAP_DISTANCE)
        return;
    tx->sequence_offset = (uint16_t)(tx->sequence_offset + distance);
    tx->sequence = 0;
}

bool srtp_set_keys(struct stream *stream, const struct srtp_keys *keys) {
    if (!keys->secured) {
        srtp_end(stream);
        return true;
    }
    struct srtp *srtp = stream->srtp;
    if (srtp == NULL && (srtp = stream->srtp = calloc(1, sizeof *srtp)) == NULL)
        return false;
    srtp->library = stream->worker->engine->options.srtp;
    const struct context *heard = srtp->receive.now, *sent = srtp->send.now;
    bool good = change_key(stream, &srtp->receive, &keys->receive, ANY_INBOUND);
    good = change_key(stream, &srtp->send, &keys->send, ANY_OUTBOUND) && good;
    if (srtp->receive.now != heard)
        srtp->heard = false;
    if (srtp->send.now != sent) {
        srtp->holding = keys->after_peer && !srtp->heard && srtp->send.before != NULL;
        srtp->hold_until = stream->worker->now + HOLD;
        if (!srtp->holding)
            keep_from_wrap(&stream->tx);
    }
    return good;
}

void srtp_end(struct stream *stream) {
    struct srtp *srtp = stream->srtp;
    if (srtp == NULL)
        return;
    struct context *contexts[] = {srtp->receive.before, srtp->send.now, srtp->send.before};
    keep_context(stream, srtp->receive.now);
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
        free_context(srtp->library, contexts[i]);
    free(srtp);
    stream->srtp = NULL;
}

/* The MKI stands before the tag of HMAC (RFC 3711 3.1) and behind that of AEAD (RFC 7714 8.2); libsrtp sees none. False if it
   is not the one agreed on, or the packet too short for what it must hold. */
static bool strip(const struct srtp_key *key, uint8_t *data, size_t *length, bool rtcp) {
    const struct suite *suite = &suites[key->suite];
    size_t tag = (size_t)(rtcp ? suite->rtcp_tag_size : suite->tag_size), mki = (size_t)key->mki_size;
    if (*length < (rtcp ? 8 + 4 : (size_t)RTP_HEADER) + tag + mki)
        return false;
    if (mki == 0)
        return true;
    size_t behind = suite->mac == MAC_NONE ? 0 : tag;
    uint8_t *at = data + *length - behind - mki;
    if (memcmp(at, key->mki, mki) != 0)
        return false;
    memmove(at, at + mki, behind);
    *length -= mki;
    return true;
}

/* libsrtp keeps counts of every SSRC that has authenticated. Those of the newest few are enough; a peer that changes its
   SSRC at each packet must not make us grow. */
static void remember_source(struct srtp *srtp, struct context *context, uint32_t ssrc, uint32_t heard) {
    unsigned count = context->source_count < SOURCES ? context->source_count : SOURCES;
    for (unsigned i = 0; i < count; i++)
        if (context->sources[i] == ssrc)
            return;
    uint32_t *place = &context->sources[context->source_count++ % SOURCES];
    if (count == SOURCES) {
        if (*place == heard)
            place = &context->sources[context->source_count++ % SOURCES];
        srtp->library->remove_stream(context->session, htonl(*place));
    }
    *place = ssrc;
}

static int unseal(struct srtp *srtp, struct context *context, uint8_t *data, size_t *length, bool rtcp) {
    int size;
    if (!strip(&context->key, data, length, rtcp))
        return -1;
    size = (int)*length;
    int status = rtcp ? srtp->library->unprotect_rtcp(context->session, data, &size)
                      : srtp->library->unprotect(context->session, data, &size);
    *length = (size_t)size;
    return status;
}

static bool replayed(int status) {
    return status == REPLAY_FAIL || status == REPLAY_OLD || status == INDEX_OLD;
}

/* With the peer's old key, as long as it may not have changed to the new one. */
static int unseal_either(struct worker *worker, struct srtp *srtp, struct context **by, uint8_t *data, size_t *length,
                         bool rtcp) {
    uint8_t copy[DATAGRAM_ROOM];
    size_t copied = *length;
    memcpy(copy, data, copied);
    int status = unseal(srtp, srtp->receive.now, data, length, rtcp);
    if (status == DONE && !srtp->heard) {
        srtp->heard = true;
        srtp->before_until = worker->now + OVERLAP;
    } else if (srtp->heard && worker->now >= srtp->before_until) {
        free_context(srtp->library, srtp->receive.before);
        srtp->receive.before = NULL;
    } else if (status != DONE && !replayed(status)) {
        memcpy(data, copy, copied);
        *length = copied;
        *by = srtp->receive.before;
        status = unseal(srtp, *by, data, length, rtcp);
    }
    return status;
}

bool srtp_unseal(struct worker *worker, struct stream *stream, uint8_t *data, size_t *length, bool rtcp) {
    struct srtp *srtp = stream->srtp;
    struct context *by = srtp->receive.now;
    if (by == NULL) {
        stream->counts.dropped_unconnected++;
        return false;
    }
    uint32_t ssrc = get_32(data + (rtcp ? 4 : 8));
    int status = srtp->receive.before == NULL ? unseal(srtp, by, data, length, rtcp)
                                              : unseal_either(worker, srtp, &by, data, length, rtcp);
    if (status == DONE) {
        remember_source(srtp, by, ssrc, stream->rx.ssrc);
        return true;
    }
    if (replayed(status))
        stream->counts.dropped_replayed++;
    else
        stream->counts.dropped_unauthentic++;
    return false;
}

void srtp_prepare(struct stream *stream) {
    struct srtp *srtp = stream->srtp;
    if (!srtp->holding || (!srtp->heard && stream->worker->now < srtp->hold_until))
        return;
    srtp->holding = false;
    keep_from_wrap(&stream->tx);
}

const uint8_t *srtp_seal(struct stream *stream, const uint8_t *data, size_t *length, bool rtcp) {
    struct srtp *srtp = stream->srtp;
    struct context *under = srtp->holding ? srtp->send.before : srtp->send.now;
    uint8_t *sealed = stream->worker->sealed;
    if (under == NULL || *length > DATAGRAM_ROOM) {
        stream->counts.dropped_unconnected++;
        return NULL;
    }
    int size = (int)*length;
    memcpy(sealed, data, *length);
    int status = rtcp ? srtp->library->protect_rtcp(under->session, sealed, &size)
                      : srtp->library->protect(under->session, sealed, &size);
    *length = (size_t)size;
    if (status == DONE)
        return sealed;
    /* A number that was sent is never used again: two plaintexts under one keystream give both away. */
    if (status == REPLAY_FAIL || status == REPLAY_OLD)
        stream->counts.dropped_late++;
    else
        stream->counts.send_errors++;
    return NULL;
}
