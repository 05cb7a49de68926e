/*
 * Keys that a peer presses as tones in its voice (ITU-T Q.23), heard in what it says: for a stream whose peer sends them no
 * other way. The voice is decoded for it (by a listener, so that what is lost or late is made up), which costs what one
 * direction of transcoding does without its encoder: nothing has an ear that nobody asked for.
 */
#ifndef TANDEM_EAR_H
#define TANDEM_EAR_H

#include "stream.h"

struct ear;

/* Whether this build can hear keys. */
bool ear_available(void);
/* Hears keys from now on, or no more. False if this build can't, or there is no memory. */
bool ear_listen(struct stream *stream, bool on);
/* A packet that the stream accepted. */
void ear_take(struct stream *stream, const struct packet *packet);
struct timer *ear_timer(struct ear *ear);

#endif
