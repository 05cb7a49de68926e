/* A libsrtp for the programs here: the system's, where it is installed. */
#ifndef TANDEM_LIBRARY_SRTP_H
#define TANDEM_LIBRARY_SRTP_H

#ifdef HAVE_LIBSRTP2
#include <assert.h>
#include <srtp2/srtp.h>
#include <string.h>

#include "../../../pbx/native/include/engine.h"

enum { SESSION_KEY_SIZE = 30 };

static int library_create(void **session, const void *policy) {
    return (int)srtp_create((srtp_t *)session, policy);
}
static int library_dealloc(void *session) { return (int)srtp_dealloc(session); }
static int library_protect(void *session, void *packet, int *size) { return (int)srtp_protect(session, packet, size); }
static int library_unprotect(void *session, void *packet, int *size) { return (int)srtp_unprotect(session, packet, size); }
static int library_protect_rtcp(void *session, void *packet, int *size) {
    return (int)srtp_protect_rtcp(session, packet, size);
}
static int library_unprotect_rtcp(void *session, void *packet, int *size) {
    return (int)srtp_unprotect_rtcp(session, packet, size);
}
static int library_remove_stream(void *session, unsigned int ssrc) { return (int)srtp_remove_stream(session, ssrc); }

static const struct engine_srtp library_functions = {
    .create = library_create,
    .dealloc = library_dealloc,
    .protect = library_protect,
    .unprotect = library_unprotect,
    .protect_rtcp = library_protect_rtcp,
    .unprotect_rtcp = library_unprotect_rtcp,
    .remove_stream = library_remove_stream,
    .policy_size = sizeof(srtp_policy_t),
};

/* One direction under AES_CM_128_HMAC_SHA1_80. */
static inline srtp_t library_session(uint8_t key[SESSION_KEY_SIZE], srtp_ssrc_type_t direction) {
    srtp_policy_t policy;
    srtp_t session;
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.ssrc.type = direction;
    policy.key = key;
    policy.allow_repeat_tx = 1;
    assert(srtp_create(&session, &policy) == srtp_err_status_ok);
    return session;
}

/* What a peer protects with. */
static inline srtp_t library_sender(uint8_t key[SESSION_KEY_SIZE]) { return library_session(key, ssrc_any_outbound); }

/* What it opens what comes with. */
static inline srtp_t library_receiver(uint8_t key[SESSION_KEY_SIZE]) { return library_session(key, ssrc_any_inbound); }
#endif

#endif
