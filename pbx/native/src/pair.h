/* The two sockets of a stream. They are bound by whoever asks for the stream, so that it is known at once where they are. */
#ifndef TANDEM_PAIR_H
#define TANDEM_PAIR_H

#include "address.h"
#include "ports.h"

struct pair {
    struct ports *ports; /* that it goes back to */
    struct address local; /* of RTP; RTCP is at the next port */
    int rtp, rtcp;
};

/* Binds a free pair at an address; 0, or the error: ENOSPC if the range has no free one, EADDRINUSE if other programs hold
   what is free. */
int pair_bind(struct pair *pair, struct ports *ports, const struct address *address, int traffic_class);
/* What such an error says. */
const char *pair_fault(int error);
/* Closes the sockets; the ports rest. */
void pair_close(const struct pair *pair);
/* The same of a pair that no peer was ever told of: its ports may be had at once. */
void pair_return(const struct pair *pair);

#endif
