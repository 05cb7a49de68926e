/* SRTP of the load generator, by the system's libsrtp: callers speak AES_CM_128_HMAC_SHA1_32 and callees AES_CM_128_HMAC_SHA1_80,
   and both send under one key. */
#ifndef TANDEM_BENCH_SEAL_H
#define TANDEM_BENCH_SEAL_H

#include <stdbool.h>
#include <string.h>

#include "calls.h"

#define TRAILER 10 /* octets that SRTP adds at the most: the tag */

#ifdef HAVE_LIBSRTP2
#include <srtp2/srtp.h>

typedef srtp_t seal;

/* One direction of one end: of its packets, with a source of their own, or of whatever comes under a key. */
static inline seal new_seal(const char *key, bool ours, uint32_t ssrc, bool caller) {
    unsigned char octets[KEY_TEXT / 2];
    srtp_policy_t policy;
    srtp_t session;
    memset(&policy, 0, sizeof policy);
    for (unsigned i = 0; i < sizeof octets; i++) {
        unsigned octet = i; /* `load.py` knows that key too */
        if (!ours && sscanf(key + 2 * i, "%2x", &octet) != 1)
            die("a key");
        octets[i] = (unsigned char)octet;
    }
    if (caller)
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp);
    else
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = ours ? ssrc_specific : ssrc_any_inbound;
    policy.ssrc.value = ssrc;
    policy.key = octets;
    if (srtp_create(&session, &policy) != srtp_err_status_ok)
        die("srtp_create");
    return session;
}

static inline bool close_seal(seal session, void *packet, int *length) {
    return srtp_protect(session, packet, length) == srtp_err_status_ok;
}

static inline bool open_seal(seal session, void *packet, int *length) {
    return srtp_unprotect(session, packet, length) == srtp_err_status_ok;
}

static inline void start_sealing(void) {
    if (srtp_init() != srtp_err_status_ok)
        die("srtp_init");
}
#else
typedef void *seal;

static inline seal new_seal(const char *key, bool ours, uint32_t ssrc, bool caller) {
    (void)key, (void)ours, (void)ssrc, (void)caller;
    fputs("compiled without libsrtp2\n", stderr);
    exit(1);
}
static inline bool close_seal(seal session, void *packet, int *length) { return session == packet && length == NULL; }
static inline bool open_seal(seal session, void *packet, int *length) { return session == packet && length == NULL; }
static inline void start_sealing(void) {}
#endif

#endif
