/* Numbers that cannot be guessed. */
#ifndef TANDEM_RANDOM_H
#define TANDEM_RANDOM_H

#include <stdint.h>
#include <sys/random.h>

/* The kernel gives up to 256 octets without ever failing or stopping short, once it has booted. */
static inline uint32_t random_32(void) {
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        __builtin_trap();
    return number;
}

#endif
