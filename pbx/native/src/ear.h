/*
 * Keys that a peer presses as tones in its voice (ITU-T Q.23), heard in what it says: for a stream whose peer sends them no
 * other way. The voice is decoded for it (by a listener, so that what is lost or late is made up), which costs what one
 * direction of transcoding does without its encoder: nothing has an ear that nobody asked for.
 */
#ifndef TANDEM_EAR_H
#define TANDEM_EAR_H

#include "listener.h"
#include "stream.h"

struct ear;

/* Whether this build can hear keys. */
bool ear_available(void);
/* Hears keys from now on, or no more. False if this build can't, or there is no memory. */
bool ear_listen(struct stream *stream, bool on);
/* Keeps what is heard as a key out of what goes to the stream that this one is connected to, and is told it another way; enum
   engine_clamp. Sound is then decoded on its way, and the ear hears that. */
void ear_clamp(struct stream *stream, int clamp);
/* Whether it does: to be asked when what is connected, or negotiated there, has changed. */
bool ear_clamps(const struct stream *stream);
/* A packet that the stream accepted. */
void ear_take(struct stream *stream, const struct packet *packet);
/* Sound that goes on, if the ear clamps: it is heard, and changed in place. Returns what it is made of then. */
enum heard ear_run(struct stream *stream, int16_t *samples, size_t count, uint32_t rate, enum heard heard);
/* Such sound comes no more. */
void ear_rest(struct stream *stream);
struct timer *ear_timer(struct ear *ear);

#endif
