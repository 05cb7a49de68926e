/* What routers and hosts say by ICMP of the packets that we send. */
#ifndef TANDEM_REFUSAL_H
#define TANDEM_REFUSAL_H

#include <stdbool.h>

#include "stream.h"

/* Have the system keep ICMP errors for a socket, which it drops otherwise for one that is not connected. */
bool refusal_ask(int fd, int family);
/* The system has kept some. */
void refusal_read(struct endpoint *endpoint);

#endif
