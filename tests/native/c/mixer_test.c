/*
 * The sums of a mix, sample by sample, and who has the floor.
 *
 *     mixer_test
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixer.h"
#include "talker.h"

enum { COUNT = 320, RATE = 16000, MOST = 64 };

static struct mixer mixer;
static struct mixer_seat seats[MOST], *order[MOST];

static void sit(size_t count) {
    mixer_init(&mixer, COUNT);
    memset(seats, 0, sizeof seats);
    for (size_t i = 0; i < count; i++) {
        seats[i].id = i + 1;
        order[i] = &seats[i];
    }
}

static void say(size_t seat, int16_t value) {
    seats[seat].says = true;
    for (size_t i = 0; i < COUNT; i++)
        seats[seat].said[i] = value;
}

static void mix(size_t count) {
    mixer_begin(&mixer);
    mixer_run(&mixer, order, count);
}

static void hears(size_t seat, int16_t value) {
    for (size_t i = 0; i < COUNT; i++)
        assert(seats[seat].heard[i] == value);
}

/* Each hears the others bit by bit, at any size. */
static void minus_one(void) {
    srand(1);
    for (size_t members = 1; members <= MOST; members++) {
        sit(members);
        for (size_t m = 0; m < members; m++) {
            seats[m].says = m % 3 != 2;
            for (size_t i = 0; i < COUNT; i++)
                seats[m].said[i] = (int16_t)(rand() % 401 - 200);
        }
        mix(members);
        for (size_t m = 0; m < members; m++) {
            for (size_t i = 0; i < COUNT; i++) {
                int32_t expected = 0;
                for (size_t other = 0; other < members; other++)
                    expected += other != m && seats[other].says ? seats[other].said[i] : 0;
                assert(seats[m].heard[i] == expected);
            }
            assert(seats[m].apart == seats[m].says);
            assert(seats[m].apart || seats[m].heard == mixer.common);
        }
    }
}

/* Sums are cut at the end only: what one adds itself never comes back, not even where all together are too loud. */
static void saturation(void) {
    sit(4);
    say(0, 30000);
    say(1, 30000);
    say(2, -20000);
    mix(4);
    hears(0, 10000);
    hears(1, 10000);
    hears(2, 32767);
    hears(3, 32767);
    say(0, -32768);
    say(1, -32768);
    mix(4);
    hears(0, -32768);
    hears(2, -32768);
    hears(3, -32768);
    say(2, 32767);
    mix(4);
    hears(0, -1);
}

/* Customer 0, agent 1, supervisor 2, another listener 3. */
static void hearing(void) {
    sit(4);
    say(0, 1);
    say(1, 10);
    say(2, 100);
    say(3, 1000);
    seats[3].muted = true;
    mix(4); /* barge in */
    hears(0, 110);
    hears(1, 101);
    hears(2, 11);
    hears(3, 111);
    assert(!seats[3].apart);

    seats[2].hearer_count = 1; /* whisper */
    seats[2].hearers[0] = 2;
    mix(4);
    hears(0, 10);
    hears(1, 101);
    hears(2, 11);
    hears(3, 11);

    seats[2].muted = true; /* listen */
    mix(4);
    hears(0, 10);
    hears(1, 1);
    hears(2, 11);

    seats[2].muted = false;
    seats[1].deaf = true;
    mix(4);
    hears(0, 10);
    hears(1, 0);
    hears(2, 11);

    seats[1].deaf = false; /* two whisper to each other's sets, one of whom is not there */
    seats[0].hearer_count = 2;
    seats[0].hearers[0] = 3;
    seats[0].hearers[1] = 99;
    mix(4);
    hears(0, 10);
    hears(1, 100);
    hears(2, 11);
    hears(3, 10);
}

static void sounds(void) {
    int16_t prompt[COUNT];
    sit(3);
    for (size_t i = 0; i < COUNT; i++)
        prompt[i] = 7;
    say(0, 100);
    seats[2].deaf = true;
    mixer_begin(&mixer);
    mixer_add(&mixer, prompt);
    mixer_run(&mixer, order, 3);
    hears(0, 7);
    hears(1, 107);
    hears(2, 0);
    assert(mixer.common[5] == 107);
}

static double level_at(const int16_t *samples, double frequency) {
    double real = 0, imaginary = 0;
    for (size_t i = 0; i < COUNT; i++) {
        double angle = 2 * M_PI * frequency * (double)i / RATE;
        real += samples[i] * cos(angle);
        imaginary += samples[i] * sin(angle);
    }
    return 2 * sqrt(real * real + imaginary * imaginary) / COUNT;
}

/* Frequencies that fit a whole number of times into 20 ms. */
static void tones(void) {
    static const double frequencies[] = {450, 700, 1000};
    sit(3);
    for (size_t m = 0; m < 3; m++) {
        seats[m].says = true;
        for (size_t i = 0; i < COUNT; i++)
            seats[m].said[i] = (int16_t)lrint(5000 * sin(2 * M_PI * frequencies[m] * (double)i / RATE));
    }
    mix(3);
    for (size_t hearer = 0; hearer < 3; hearer++)
        for (size_t m = 0; m < 3; m++)
            assert(fabs(level_at(seats[hearer].heard, frequencies[m]) - (m == hearer ? 0 : 5000)) < 1);
}

static void power(void) {
    int16_t samples[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        samples[i] = i % 2 ? INT16_MIN : INT16_MIN;
    assert(mixer_power(samples, COUNT) == 1u << 30);
    assert(mixer_power(samples, 0) == 0);
}

/* Ticks of 20 ms; returns how often the floor changed. */
static struct talker people[2];
static struct floor talk;
static int tell(int ticks, uint32_t first, uint32_t second) {
    int changes = 0;
    for (int tick = 0; tick < ticks; tick++) {
        talker_hear(&people[0], first, 20);
        talker_hear(&people[1], second, 20);
        uint64_t loudest = 0;
        for (uint64_t i = 0; i < 2; i++)
            if (talker_talks(&people[i]) && (loudest == 0 || people[i].loudness > people[loudest - 1].loudness))
                loudest = i + 1;
        changes += floor_judge(&talk, talk.holder == 0 ? NULL : &people[talk.holder - 1], loudest,
                               loudest == 0 ? NULL : &people[loudest - 1], 20);
    }
    return changes;
}

static void floor_changes(void) {
    const uint32_t voice = 4000000, shout = 40000000, hiss = 5000;
    assert(tell(100, 0, 0) == 0 && talk.holder == 0);
    assert(tell(50, hiss, hiss) == 0 && talk.holder == 0 && talker_counts(&people[0]));
    assert(tell(2, voice, 0) == 0);                            /* a click takes no floor */
    assert(tell(50, 0, 0) == 0 && talk.holder == 0);
    assert(tell(50, voice, 0) == 1 && talk.holder == 1);
    assert(talker_level(&people[0]) == -24);
    assert(tell(100, voice, voice) == 0 && talk.holder == 1);  /* as loud is not louder */
    assert(tell(10, voice, shout) == 0 && talk.holder == 1);   /* a laugh */
    assert(tell(50, voice, 0) == 0 && talk.holder == 1);
    assert(tell(50, voice, shout) == 1 && talk.holder == 2);   /* one who talks over the other */
    assert(tell(50, voice, 0) == 1 && talk.holder == 1);       /* the other stops */
    assert(tell(50, 0, 0) == 0 && talk.holder == 1);           /* between two sentences */
    assert(tell(60, 0, 0) == 1 && talk.holder == 0);
    assert(!talker_counts(&people[0]) && talker_level(&people[0]) == -127);
    for (int tick = 0, changes = 0; tick < 100; tick++) {      /* they alternate as fast as can be: a few changes a second */
        changes += tell(1, tick / 6 % 2 ? shout : 0, tick / 6 % 2 ? 0 : shout);
        assert(changes <= 5 && (tick < 99 || changes > 0));
    }
    assert(floor_judge(&talk, NULL, 0, NULL, 20) && talk.holder == 0); /* who has it leaves */
    people[0] = (struct talker){0};                            /* a fan is background after a while, a sentence isn't */
    tell(1000, 60000, 0);
    assert(!talker_talks(&people[0]));
    for (int sentence = 0; sentence < 20; sentence++)
        tell(100, voice, 0), assert(talker_talks(&people[0])), tell(10, 500, 0);
}

int main(void) {
    minus_one();
    saturation();
    hearing();
    sounds();
    tones();
    power();
    floor_changes();
    puts("mixer: well");
    return 0;
}
