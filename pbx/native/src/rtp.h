/* RTP packets as they lie in a buffer (RFC 3550 5.1), and which protocol a datagram belongs to (RFC 7983). */
#ifndef TANDEM_RTP_H
#define TANDEM_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RTP_HEADER = 12,
    RTCP_HEADER = 8, /* with the sender's SSRC */
    DATAGRAM_ROOM = 4096, /* the largest datagram taken; 20 ms of 48 kHz stereo L16 are 3852 octets */
};

static inline uint16_t get_16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static inline uint32_t get_32(const uint8_t *at) { return (uint32_t)get_16(at) << 16 | get_16(at + 2); }
static inline void put_16(uint8_t *at, uint16_t number) {
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
}
static inline void put_32(uint8_t *at, uint32_t number) {
    put_16(at, (uint16_t)(number >> 16));
    put_16(at + 2, (uint16_t)number);
}

enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_RTP, PROTOCOL_RTCP, PROTOCOL_STUN };

/* RFC 7983 7 by the first octet, RFC 5761 4 by the second. */
static inline enum protocol protocol_of(const uint8_t *data, size_t length) {
    if (length >= 2 && data[0] >> 6 == 2)
        return data[1] >= 192 && data[1] <= 223 ? PROTOCOL_RTCP : PROTOCOL_RTP;
    /* RFC 8489 5: two zero bits, the magic cookie, a length that is a multiple of four. */
    if (length >= 20 && data[0] < 4 && get_32(data + 4) == 0x2112A442 && (size_t)get_16(data + 2) + 20 == length &&
        length % 4 == 0)
        return PROTOCOL_STUN;
    return PROTOCOL_UNKNOWN;
}

struct packet {
    uint8_t *payload; /* at least RTP_HEADER octets before it may be written over */
    size_t length;    /* of the payload, without padding */
    size_t datagram;  /* octets of the whole datagram */
    uint32_t timestamp, ssrc;
    uint16_t sequence;
    uint8_t type;
    bool marker;
};

/* False for what RFC 3550 A.1 calls invalid. Contributing sources, header extensions and padding are skipped: they are of
   the leg that they came on. */
static inline bool rtp_parse(struct packet *packet, uint8_t *data, size_t length) {
    if (length < RTP_HEADER || data[0] >> 6 != 2)
        return false;
    size_t start = RTP_HEADER + 4 * (size_t)(data[0] & 0x0f), end = length;
    if (data[0] & 0x10) {
        if (start + 4 > end)
            return false;
        start += 4 + 4 * (size_t)get_16(data + start + 2);
    }
    if (start > end)
        return false;
    if (data[0] & 0x20) { /* "The last octet of the padding contains a count ..., including itself" */
        size_t padding = data[length - 1];
        if (padding == 0 || padding > end - start)
            return false;
        end -= padding;
    }
    packet->payload = data + start;
    packet->length = end - start;
    packet->datagram = length;
    packet->marker = data[1] >> 7;
    packet->type = data[1] & 0x7f;
    packet->sequence = get_16(data + 2);
    packet->timestamp = get_32(data + 4);
    packet->ssrc = get_32(data + 8);
    return true;
}

/* Writes a header of twelve octets before the payload and returns where it starts. */
static inline uint8_t *rtp_write(uint8_t *payload, uint8_t type, bool marker, uint16_t sequence, uint32_t timestamp,
                                 uint32_t ssrc) {
    uint8_t *header = payload - RTP_HEADER;
    header[0] = 0x80;
    header[1] = (uint8_t)(marker << 7 | type);
    put_16(header + 2, sequence);
    put_32(header + 4, timestamp);
    put_32(header + 8, ssrc);
    return header;
}

#endif
