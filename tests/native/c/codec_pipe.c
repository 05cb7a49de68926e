/*
 * The engine's codecs as a filter, for other programs to be compared with: packets of 20 ms, each behind its length as two
 * octets, and samples of 16 bits as this machine has them.
 *
 *     codec_pipe encode CODEC RATE < samples > packets
 *     codec_pipe decode CODEC RATE < packets > samples
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"

static int encode(const struct codec_format *format, uint32_t rate) {
    struct encoder *encoder = encoder_new(format, &(struct encoder_options){.rate = rate, .live = true});
    int16_t samples[CODEC_SAMPLES];
    uint8_t packet[2 + CODEC_OCTETS];
    size_t count = rate / 50;
    if (encoder == NULL)
        return 1;
    while (fread(samples, sizeof *samples, count, stdin) == count) {
        size_t length = encoder_run(encoder, samples, count, packet + 2);
        packet[0] = (uint8_t)(length >> 8);
        packet[1] = (uint8_t)length;
        fwrite(packet, 1, 2 + length, stdout);
    }
    encoder_free(encoder);
    return 0;
}

static int decode(const struct codec_format *format, uint32_t rate) {
    struct decoder *decoder = decoder_new(format, rate);
    uint8_t head[2], packet[65536];
    int16_t samples[CODEC_SAMPLES];
    if (decoder == NULL)
        return 1;
    while (fread(head, 1, 2, stdin) == 2) {
        size_t length = (size_t)(head[0] << 8 | head[1]);
        if (fread(packet, 1, length, stdin) != length)
            return 1;
        fwrite(samples, sizeof *samples, decoder_run(decoder, packet, length, samples), stdout);
    }
    decoder_free(decoder);
    return 0;
}

int main(int count, char **arguments) {
    if (count != 4)
        return 2;
    struct codec_format format = {.kind = (uint8_t)codec_named(arguments[2]), .channels = 1, .clock = 8000};
    uint32_t rate = (uint32_t)atoi(arguments[3]);
    if (format.kind == CODEC_OPUS)
        format.channels = 2, format.clock = 48000;
    return strcmp(arguments[1], "encode") == 0 ? encode(&format, rate) : decode(&format, rate);
}
