/*
 * What a listener makes where it has no packet: comfort noise where the peer is silent, what is like the sound before where something
 * was lost, or what a later packet carries of it.
 */
#ifndef TANDEM_GAP_H
#define TANDEM_GAP_H

#include "listener_parts.h"

/* So many samples more of noise. */
void gap_noise(struct listener *l, size_t count);
/* Some samples more in place of a packet that is missing: at least one. */
enum heard gap_loss(struct listener *l, size_t count);
/* Some samples more of a pause. */
enum heard gap_pause(struct listener *l, size_t count);
/* What a later packet carries of the one before it, when exactly that is missing; false if it carries nothing. */
bool gap_recover(struct listener *l, const struct waiting *next, int64_t missing);

#endif
