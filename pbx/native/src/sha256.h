/* SHA-256 (FIPS 180-4), by the processor's own instructions where it has them. */
#ifndef TANDEM_SHA256_H
#define TANDEM_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t octets;
    uint8_t block[64];
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t length);
/* 64 hexadecimal digits and a terminating null. */
void sha256_end(struct sha256 *hash, char text[65]);

#endif
