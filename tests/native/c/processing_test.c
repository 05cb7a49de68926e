/*
 * What processing does to real speech, measured: noise, level, echo, and what it takes for speech.
 *
 *     processing_test WAV...         mono, 16 bit, 8000, 16000 or 48000 Hz, a header of 44 octets
 */
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "processing.h"
#include "resample.h"

enum { MOST = 48000 * 30, ROUNDS = 3 };

static int16_t speech[MOST], in[MOST], out[MOST], far_end[MOST];
static size_t count;                  /* samples of `speech` */
static uint32_t rate;

static bool read_speech(const char *path) {
    uint8_t header[44];
    FILE *file = fopen(path, "rb");
    assert(file != NULL && fread(header, 1, sizeof header, file) == sizeof header);
    rate = header[24] | (uint32_t)header[25] << 8;
    count = fread(speech, sizeof *speech, MOST / ROUNDS - 48000, file);
    fclose(file);
    return count > 0;
}

/* Decibels below full of `samples`, -120 for none. */
static double level(const int16_t *samples, size_t number) {
    double sum = 0;
    for (size_t i = 0; i < number; i++)
        sum += (double)samples[i] * samples[i];
    return sum == 0 ? -120 : 10 * log10(sum / (double)number / (32768.0 * 32768));
}

/* Rounds of the speech and a second of pause each, at a gain. */
static size_t talk(int16_t *to, double gain) {
    size_t length = count + rate;
    for (size_t i = 0; i < ROUNDS * length; i++)
        to[i] = i % length < count ? (int16_t)lrint(fmax(-32768, fmin(32767, speech[i % length] * gain))) : 0;
    return ROUNDS * length;
}

static double gain_to(double wanted) {
    return pow(10, (wanted - level(speech, count)) / 20);
}

static uint32_t seed = 1;

static double noise(double amplitude) {
    seed = seed * 1664525u + 1013904223u;
    return ((int32_t)seed / 2147483648.0) * amplitude;
}

static void add_noise(int16_t *to, size_t number, double dBov) {
    double amplitude = 32768 * pow(10, dBov / 20) * sqrt(3);
    for (size_t i = 0; i < number; i++)
        to[i] = (int16_t)lrint(fmax(-32768, fmin(32767, to[i] + noise(amplitude))));
}

static void process(struct processing *processing, size_t number, int milliseconds) {
    size_t step = rate / 1000 * (size_t)milliseconds;
    memcpy(out, in, number * sizeof *in);
    for (size_t at = 0; at + step <= number; at += step)
        processing_run(processing, out + at, step, rate);
}

/* Correlation of what came out in the last round with the speech, where it fits best. */
static double likeness(const int16_t *said) {
    size_t length = count + rate, start = (ROUNDS - 1) * length, most = rate / 33;
    double best = 0;
    for (size_t delay = 0; delay < most; delay += rate / 8000) {
        double both = 0, one = 0, other = 0;
        for (size_t i = start; i + most < start + count; i += 3) {
            both += (double)said[i] * out[i + delay];
            one += (double)said[i] * said[i];
            other += (double)out[i + delay] * out[i + delay];
        }
        double found = both / sqrt(one * other + 1);
        best = found > best ? found : best;
    }
    return best;
}

static const int16_t *last_pause(const int16_t *samples) {
    return samples + ROUNDS * (count + rate) - rate * 7 / 10;
}

static void suppresses_noise(int milliseconds) {
    static int16_t clean[MOST];
    size_t number = talk(clean, gain_to(-24));
    memcpy(in, clean, number * sizeof *in);
    add_noise(in, number, -45);
    struct processing *processing = processing_new(&(struct engine_processing){.noise = 15});
    assert(processing != NULL);
    process(processing, number, milliseconds);
    double before = level(last_pause(in), rate / 2), after = level(last_pause(out), rate / 2), like = likeness(clean);
    printf("noise, %u Hz, %d ms: %.1f dBov in the pause, %.1f after; correlation with the speech %.3f\n", rate, milliseconds,
           before, after, like);
    assert(after < before - 8 && like > 0.95);
    processing_free(processing);
}

static void brings_to_level(double from, bool lifts) {
    size_t number = talk(in, gain_to(from)), length = count + rate;
    struct processing *processing = processing_new(&(struct engine_processing){.level = -20});
    assert(processing != NULL);
    process(processing, number, 20);
    const int16_t *before = in + (ROUNDS - 1) * length, *after = out + (ROUNDS - 1) * length;
    size_t clipped = 0;
    for (size_t i = 0; i < number; i++)
        clipped += (out[i] == 32767 || out[i] == -32768) && abs(in[i]) < 32767;
    printf("level, %u Hz: %.1f dBov becomes %.1f; %zu samples clipped; correlation %.3f\n", rate, level(before, count),
           level(after, count), clipped, likeness(in));
    if (lifts)
        assert(level(after, count) > level(before, count) + 8);
    assert(clipped == 0 && likeness(in) > 0.9 && level(after, count) < -10);
    processing_free(processing);
}

/* The far end talks in all rounds, and is heard back after 60 ms, 12 dB softer and muffled; `near` talks in the last one. */
static void cancels_echo(bool near) {
    static int16_t said[MOST];
    size_t number = talk(far_end, gain_to(-24)), length = count + rate, delay = rate * 60 / 1000, step = rate / 50;
    memset(said, 0, sizeof said);
    for (size_t i = 0; near && i < count; i++) /* the same voice from its end: another text */
        said[(ROUNDS - 1) * length + i] = (int16_t)lrint(speech[count - 1 - i] * gain_to(-26));
    for (size_t i = 0; i < number; i++) {
        double echo = i < delay ? 0 : 0.25 * (0.6 * far_end[i - delay] + 0.3 * far_end[i - delay + (i > delay)] +
                                              (i < 2 * delay ? 0 : 0.2 * far_end[i - delay - rate / 200]));
        in[i] = (int16_t)lrint(fmax(-32768, fmin(32767, echo + said[i])));
    }
    add_noise(in, number, -70);
    memcpy(out, in, number * sizeof *in);
    struct processing *processing = processing_new(&(struct engine_processing){.echo = 200});
    assert(processing_wants_reference(processing));
    for (size_t at = 0; at + step <= number; at += step) {
        processing_run(processing, out + at, step, rate);
        processing_refer(processing, far_end + at, step, rate);
    }
    size_t last = (ROUNDS - 1) * length;
    double before = level(in + last, count), after = level(out + last, count);
    if (near) {
        printf("echo and near end, %u Hz: correlation with the near end %.3f, level %.1f dBov of %.1f\n", rate,
               likeness(said), after, level(said + last, count));
        assert(likeness(said) > 0.6 && after > level(said + last, count) - 6);
    } else {
        printf("echo, %u Hz: %.1f dBov becomes %.1f\n", rate, before, after);
        assert(after < before - 15);
    }
    processing_free(processing);
}

/* What is sent at another rate than what is heard is turned into that. */
static void cancels_echo_of_another_rate(void) {
    size_t number = talk(far_end, gain_to(-24)), length = count + rate, step = rate / 50, wide = 0;
    static int16_t wider[2 * MOST];
    struct resampler *up = resampler_new(rate, 2 * rate);
    for (size_t at = 0; at + step <= number; at += step)
        wide += resampler_run(up, far_end + at, step, wider + wide, 2 * step + 1);
    resampler_free(up);
    for (size_t i = 0; i < number; i++)
        in[i] = i < rate / 10 ? 0 : far_end[i - rate / 10] / 4;
    memcpy(out, in, number * sizeof *in);
    struct processing *processing = processing_new(&(struct engine_processing){.echo = 200});
    for (size_t at = 0; at + step <= number; at += step) {
        processing_run(processing, out + at, step, rate);
        processing_refer(processing, wider + 2 * at, 2 * step, 2 * rate);
    }
    double before = level(in + (ROUNDS - 1) * length, count), after = level(out + (ROUNDS - 1) * length, count);
    printf("echo of %u Hz, %u Hz: %.1f dBov becomes %.1f\n", 2 * rate, rate, before, after);
    assert(wide >= 2 * number - 2 * step && after < before - 15);
    processing_free(processing);
}

static uint64_t voiced(size_t number, uint64_t *processed) {
    struct engine_counts counts = {0};
    struct processing *processing = processing_new(&(struct engine_processing){.noise = 15});
    process(processing, number, 20);
    processing_count(processing, &counts);
    processing_free(processing);
    *processed = counts.processed;
    return counts.voiced;
}

static void tells_speech(void) {
    uint64_t all, of_speech, of_noise;
    size_t number = talk(in, gain_to(-24));
    add_noise(in, number, -60);
    of_speech = voiced(number, &all);
    assert(all == number * 1000 / rate / 20 * 20);
    uint64_t talked = ROUNDS * count * 1000 / rate;
    printf("speech, %u Hz: %llu ms of %llu", rate, (unsigned long long)of_speech, (unsigned long long)talked);
    assert(of_speech > talked * 6 / 10 && of_speech < talked * 12 / 10);
    memset(in, 0, number * sizeof *in);
    add_noise(in, number, -50);
    of_noise = voiced(number, &all);
    printf("; of %llu ms of noise %llu", (unsigned long long)all, (unsigned long long)of_noise);
    assert(of_noise < all / 10);
    memset(in, 0, number * sizeof *in);
    of_noise = voiced(number, &all);
    printf("; of silence %llu\n", (unsigned long long)of_noise);
    assert(of_noise < all / 20);
}

/* Rates and frames may change at any time, and what is sent may stop and go on, or come to nobody. */
static void survives(void) {
    static const uint32_t rates[] = {8000, 16000, 48000};
    struct processing *processing = processing_new(&(struct engine_processing){.noise = 60, .level = -6, .echo = 500});
    int16_t samples[48 * 60], sent[48 * 60];
    srand(1);
    for (int i = 0; i < 2000; i++) {
        uint32_t hertz = rates[rand() / 7 % 40 == 0 ? rand() % 3 : i / 700], other = rates[rand() / 7 % 20 == 0 ? rand() % 3 : 1];
        size_t length = hertz / 100 * (size_t)(1 + rand() % 6), more = other / 1000 * (size_t)(5 * (1 + rand() % 12));
        for (size_t k = 0; k < sizeof samples / sizeof *samples; k++)
            samples[k] = (int16_t)rand(), sent[k] = (int16_t)(rand() >> (i / 100 % 16));
        if (i % 200 < 150)
            processing_refer(processing, sent, more, other);
        if (i % 300 < 250)
            processing_run(processing, samples, length, hertz);
    }
    processing_free(processing);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void costs(const char *what, const struct engine_processing *wish) {
    size_t number = talk(in, 1), step = rate / 50;
    struct processing *processing = processing_new(wish);
    memcpy(out, in, number * sizeof *in);
    double start = seconds();
    for (size_t at = 0; at + step <= number; at += step) {
        processing_run(processing, out + at, step, rate);
        processing_refer(processing, in + at, step, rate);
    }
    printf("%s, %u Hz: %.2f %% of a core\n", what, rate, 100 * (seconds() - start) * rate / (double)number);
    processing_free(processing);
}

int main(int arguments, char **argument) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!processing_available()) {
        assert(processing_new(&(struct engine_processing){.noise = 15}) == NULL);
        printf("without speexdsp\n");
        return 0;
    }
    for (int i = 1; i < arguments && read_speech(argument[i]); i++) {
        suppresses_noise(20);
        suppresses_noise(10);
        brings_to_level(-35, true);
        brings_to_level(-12, false);
        cancels_echo(false);
        cancels_echo(true);
        if (rate < 48000)
            cancels_echo_of_another_rate();
        tells_speech();
        costs("noise and level", &(struct engine_processing){.noise = 15, .level = -20});
        costs("all", &(struct engine_processing){.noise = 15, .level = -20, .echo = 200});
    }
    survives();
    return 0;
}
