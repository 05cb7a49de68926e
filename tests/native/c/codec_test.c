/*
 * Codecs against what nobody here wrote: all 65,536 samples of G.711 as Python's audioop encodes them, and the ITU's own
 * sequences for G.722 (appendix II), bit by bit.
 *
 *     codec_test VECTORS
 */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "g711.h"

#ifdef HAVE_SPANDSP
#define SPANDSP_EXPOSE_INTERNAL_STRUCTURES
#include <spandsp.h>
#endif

enum { MOST = 1 << 18 };

static const char *folder;

static size_t read_file(const char *name, uint8_t *data) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t length = fread(data, 1, MOST, file);
    fclose(file);
    return length;
}

static void test_g711(uint8_t kind, const char *in, const char *out) {
    static uint8_t samples[MOST], octets[MOST];
    const struct codec_format format = {.kind = kind, .channels = 1, .clock = 8000};
    struct encoder *encoder = encoder_new(&format, &(struct encoder_options){.rate = 8000});
    size_t count = read_file(in, samples) / 2;
    assert(count == 65536 && read_file(out, octets) == count);
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        int16_t sample = (int16_t)(samples[2 * i] | samples[2 * i + 1] << 8);
        uint8_t octet;
        encoder_run(encoder, &sample, 1, &octet);
        wrong += octet != octets[i];
    }
    encoder_free(encoder);
    printf("%s: %u of %zu differ\n", out, wrong, count);
    assert(wrong == 0);
}

/* From one to the other and back each octet stays what it was, but where A-law has no finer step. */
static void test_translation(void) {
    g711_fill_tables();
    for (int octet = 0; octet < 256; octet++) {
        assert(g711_ulaw_to_alaw[octet] == g711_to_alaw(g711_ulaw_samples[octet]));
        assert(g711_alaw_to_ulaw[octet] == g711_to_ulaw(g711_alaw_samples[octet]));
        int there = g711_ulaw_samples[octet], back = g711_alaw_samples[g711_ulaw_to_alaw[octet]];
        assert(abs(there - back) <= 16 + abs(there) / 32);
    }
}

#ifdef HAVE_SPANDSP
/* The words between the resets at both ends; returns how many. */
static size_t read_words(const char *name, int16_t *words) {
    static uint8_t data[MOST];
    size_t count = read_file(name, data) / 2, kept = 0;
    bool begun = false;
    for (size_t i = 0; i < count; i++) {
        int16_t word = (int16_t)(data[2 * i] << 8 | data[2 * i + 1]);
        if (word & 1) {
            if (begun)
                break;
            continue;
        }
        begun = true;
        words[kept++] = word;
    }
    return kept;
}

static void test_g722_encoder(const char *in, const char *out) {
    static int16_t said[MOST], wanted[MOST];
    static uint8_t octets[MOST];
    size_t count = read_words(in, said), codes = read_words(out, wanted), wrong = 0;
    g722_encode_state_t *encoder = g722_encode_init(NULL, 64000, 0);
    encoder->itu_test_mode = 1;
    size_t made = (size_t)g722_encode(encoder, octets, said, (int)count);
    assert(made == count && codes == count);
    for (size_t i = 0; i < made; i++)
        wrong += octets[i] != (uint8_t)(wanted[i] >> 8);
    g722_encode_free(encoder);
    printf("%s: %zu of %zu differ\n", in, wrong, made);
    assert(wrong == 0);
}

static void test_g722_decoder(const char *in, const char *low, const char *high) {
    static int16_t codes[MOST], wanted_low[MOST], wanted_high[MOST], made[2 * MOST];
    static uint8_t octets[MOST];
    size_t count = read_words(in, codes), wrong = 0;
    assert(read_words(low, wanted_low) == count && read_words(high, wanted_high) == count);
    for (size_t i = 0; i < count; i++)
        octets[i] = (uint8_t)(codes[i] >> 8);
    g722_decode_state_t *decoder = g722_decode_init(NULL, 64000, 0);
    decoder->itu_test_mode = 1;
    size_t samples = (size_t)g722_decode(decoder, made, octets, (int)count);
    assert(samples == 2 * count);
    for (size_t i = 0; i < count; i++)
        wrong += made[2 * i] != wanted_low[i] || made[2 * i + 1] != wanted_high[i];
    g722_decode_free(decoder);
    printf("%s: %zu of %zu differ\n", in, wrong, count);
    assert(wrong == 0);
}
#endif

int main(int count, char **arguments) {
    assert(count == 2);
    folder = arguments[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_g711(CODEC_PCMU, "g711/ulaw_all65536_in.s16le", "g711/ulaw_all65536_out.ulaw");
    test_g711(CODEC_PCMA, "g711/alaw_all65536_in.s16le", "g711/alaw_all65536_out.alaw");
    test_translation();
#ifdef HAVE_SPANDSP
    test_g722_encoder("g722/itu/bt1c1.xmt", "g722/itu/bt2r1.cod");
    test_g722_encoder("g722/itu/bt1c2.xmt", "g722/itu/bt2r2.cod");
    test_g722_decoder("g722/itu/bt2r1.cod", "g722/itu/bt3l1.rc1", "g722/itu/bt3h1.rc0");
    test_g722_decoder("g722/itu/bt2r2.cod", "g722/itu/bt3l2.rc1", "g722/itu/bt3h2.rc0");
    test_g722_decoder("g722/itu/bt1d3.cod", "g722/itu/bt3l3.rc1", "g722/itu/bt3h3.rc0");
#endif
    printf("codecs ok\n");
    return 0;
}
