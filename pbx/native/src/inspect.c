#include "inspect.h"

#include <string.h>

/* So many samples in a row at the same end of the scale are cut off: the top of a loud tone has fewer. */
#define CUT_OFF 4
/* The shortest packet that says anything by being the same all over. */
#define LEAST 16
/* libopus makes these of digital silence, and shorter ones (RFC 7587 3.1.3) of a pause. */
#define OPUS_SILENCE 3

/* Every `step` octets the same ones again. */
static bool is_constant(const uint8_t *payload, size_t length, size_t step) {
    return length >= LEAST && memcmp(payload, payload + step, length - step) == 0;
}

/* L16 of any rate and number of channels: no sample beyond the last bit, which dither may set. */
static bool is_still(const uint8_t *payload, size_t length) {
    for (size_t at = 0; at + 1 < length; at += 2) {
        int16_t sample = (int16_t)get_16(payload + at);
        if (sample > 1 || sample < -1)
            return false;
    }
    return length >= LEAST;
}

static bool is_silent(const struct packet *packet, const struct codec_format *format) {
    switch (format->kind) {
    case CODEC_PCMU:
    case CODEC_PCMA:
    case CODEC_G722: /* its steps are adapted to nothing, and stay so */
        return is_constant(packet->payload, packet->length, 1);
    case CODEC_L16:
        return is_still(packet->payload, packet->length) || is_constant(packet->payload, packet->length, 2);
    case CODEC_OPUS:
        return packet->length <= OPUS_SILENCE;
    default:
        return false;
    }
}

/* `full` is the octet of the greatest magnitude, without its sign, which is the topmost bit in both laws. */
static bool is_cut_off(const uint8_t *payload, size_t length, uint8_t full) {
    int row = 0;
    for (size_t at = 0; at < length; at++) {
        if ((payload[at] & 0x7f) != full)
            row = 0;
        else if (++row > 1 && payload[at] != payload[at - 1])
            row = 1;
        if (row >= CUT_OFF)
            return true;
    }
    return false;
}

static bool is_cut_off_linear(const uint8_t *payload, size_t length) {
    int row = 0;
    for (size_t at = 0; at + 1 < length; at += 2) {
        uint16_t sample = get_16(payload + at);
        if (sample != 0x7fff && sample != 0x8000)
            row = 0;
        else if (++row > 1 && sample != get_16(payload + at - 2))
            row = 1;
        if (row >= CUT_OFF)
            return true;
    }
    return false;
}

static bool is_clipped(const struct packet *packet, const struct codec_format *format) {
    switch (format->kind) {
    case CODEC_PCMU:
        return is_cut_off(packet->payload, packet->length, 0x00);
    case CODEC_PCMA: /* every other bit is inverted (G.711 3.2) */
        return is_cut_off(packet->payload, packet->length, 0x2a);
    case CODEC_L16:
        return is_cut_off_linear(packet->payload, packet->length);
    default:
        return false;
    }
}

void inspect(struct inspection *inspection, const struct packet *packet, const struct codec_format *format) {
    if (format->kind == CODEC_EVENT || format->kind == CODEC_COMFORT || format->kind == CODEC_OTHER)
        return;
    inspection->inspected++;
    if (is_silent(packet, format))
        inspection->silent++;
    else
        inspection->clipped += is_clipped(packet, format);
}
