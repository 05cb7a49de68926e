/*
 * Any packets at any time into a listener, and sound taken out in any pieces. For libFuzzer.
 *
 * The input is a list of steps of six octets and a payload: what, how much later, sequence, timestamp and SSRC off what
 * would follow, octets.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "listener.h"

enum { STEP = 6 };

static const struct codec_format formats[] = {
    {CODEC_PCMU, 1, 8000},  {CODEC_PCMA, 1, 8000},   {CODEC_G722, 1, 8000},  {CODEC_OPUS, 2, 48000},
    {CODEC_L16, 1, 16000},  {CODEC_L16, 2, 44100},   {CODEC_G729, 1, 8000},  {CODEC_EVENT, 1, 8000},
    {CODEC_COMFORT, 1, 8000}, {CODEC_COMFORT, 1, 16000}, {CODEC_OTHER, 1, 8000}, {CODEC_L16, 8, 192000},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static void take(struct listener *listener, uint32_t rate, unsigned milliseconds, uint64_t now) {
    int16_t samples[48 * LISTENER_MOST_MILLISECONDS];
    size_t count = rate * (1 + milliseconds % LISTENER_MOST_MILLISECONDS) / 1000;
    enum heard heard = listener_take(listener, samples, count, now);
    assert(heard <= HEARD_VOICE);
    struct listener_counts counts;
    listener_counts(listener, &counts);
    assert(counts.level <= 32768);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t rates[] = {8000, 16000, 48000};
    if (size == 0)
        return 0;
    uint32_t rate = rates[data[0] % 3], timestamp = 0xfffffff0u;
    struct listener *listener = listener_new(rate);
    assert(listener != NULL);
    uint64_t now = SECOND;
    uint16_t sequence = 65530;
    for (size_t at = 1, length; at + STEP <= size; at += STEP + length) {
        const uint8_t *step = data + at;
        length = step[5];
        if (length > size - at - STEP)
            length = size - at - STEP;
        now += step[1] * (step[1] > 200 ? 50 : 1) * MILLISECOND;
        if (step[0] & 0x80) {
            take(listener, rate, step[2], now);
            continue;
        }
        uint8_t payload[RTP_HEADER + 256];
        memcpy(payload + RTP_HEADER, step + STEP, length);
        const struct codec_format *format = &formats[step[0] % FORMATS];
        sequence = (uint16_t)(sequence + 1 + (int8_t)step[2]);
        timestamp += format->clock / 50 + (uint32_t)((int8_t)step[3] * (step[0] & 0x40 ? 1 << 24 : 80));
        listener_put(listener,
                     &(struct packet){.payload = payload + RTP_HEADER, .length = length, .datagram = length + RTP_HEADER,
                                      .timestamp = timestamp, .ssrc = step[4], .sequence = sequence, .type = step[0] & 0x7f},
                     format, now);
    }
    listener_free(listener);
    return 0;
}
