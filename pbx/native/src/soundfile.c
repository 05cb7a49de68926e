#include "soundfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foreign.h"
#include "resample.h"
#include "tone.h"

enum { WAVE_PCM = 1, WAVE_ALAW = 6, WAVE_ULAW = 7, WAVE_EXTENSIBLE = 0xfffe };

/* What may follow the sound of an MP3 file: tags, and what the decoder read ahead. */
#define MP3_TRAILER 8192

static const char cut_short[] = "the file was cut short, or says more than it has";

static uint32_t little(const uint8_t *at, int octets) {
    uint32_t number = 0;
    for (int i = octets - 1; i >= 0; i--)
        number = number << 8 | at[i];
    return number;
}

__attribute__((format(printf, 3, 4))) static bool fail(char *fault, size_t room, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault, room, format, arguments);
    va_end(arguments);
    return false;
}

/* Headerless files, as telephony keeps them. */
static const struct {
    const char *suffix;
    struct codec_format format;
} bare[] = {
    {".ulaw", {CODEC_PCMU, 1, 8000}}, {".ul", {CODEC_PCMU, 1, 8000}},   {".pcm", {CODEC_PCMU, 1, 8000}},
    {".alaw", {CODEC_PCMA, 1, 8000}}, {".al", {CODEC_PCMA, 1, 8000}},   {".g722", {CODEC_G722, 1, 8000}},
    {".sln", {CODEC_OTHER, 1, 8000}},   {".sln12", {CODEC_OTHER, 1, 12000}}, {".sln16", {CODEC_OTHER, 1, 16000}},
    {".sln24", {CODEC_OTHER, 1, 24000}}, {".sln32", {CODEC_OTHER, 1, 32000}}, {".sln44", {CODEC_OTHER, 1, 44100}},
    {".sln48", {CODEC_OTHER, 1, 48000}},
};

/* Suffixes that a sound's name may lack, those that lose nothing first. */
static const char *const suffixes[] = {".wav",  ".flac", ".sln48", ".sln44", ".sln32", ".sln24", ".sln16", ".sln12",
                                       ".sln",  ".aiff", ".g722",  ".opus",  ".ogg",   ".oga",   ".mp3",   ".ulaw",
                                       ".alaw", ".ul",   ".al",    ".pcm"};

static bool decode_with(struct soundfile *sound, const struct codec_format *format, char *fault, size_t room) {
    /* G.711 comes out at 8000 whatever the file says: the file's rate is how fast it is to be played. */
    uint32_t rate = format->kind == CODEC_G722 ? 16000 : 8000;
    if (!codec_available(format->kind))
        return fail(fault, room, "this build can't decode the file's codec");
    sound->decoder = decoder_new(format, rate);
    return sound->decoder != NULL || fail(fault, room, "out of memory");
}

/* Any length that is known and any rate that can be converted. */
static bool open_foreign(struct soundfile *sound, char *fault, size_t room) {
    uint8_t magic[3] = {0};
    decoder_free(sound->decoder);
    sound->decoder = NULL;
    if (fseeko(sound->file, 0, SEEK_SET) == 0 && fread(magic, 1, sizeof magic, sound->file) == sizeof magic)
        sound->approximate = memcmp(magic, "ID3", 3) == 0 || (magic[0] == 0xff && magic[1] >= 0xe0);
    sound->foreign =
        foreign_open(fileno(sound->file), &sound->rate, &sound->channels, &sound->samples, fault, room);
    if (sound->foreign == NULL)
        return false;
    sound->octets_a_sample = 1;
    sound->octets_left = sound->samples; /* counted in samples */
    if (sound->rate >= RESAMPLE_LEAST && sound->rate <= RESAMPLE_MOST)
        return true;
    return fail(fault, room, "a sound file of %u Hz", sound->rate);
}

static bool open_bare(struct soundfile *sound, const char *path, uint64_t size, char *fault, size_t room) {
    const char *suffix = strrchr(path, '.');
    for (size_t i = 0; suffix != NULL && i < sizeof bare / sizeof *bare; i++) {
        if (strcasecmp(suffix, bare[i].suffix) != 0)
            continue;
        const struct codec_format *format = &bare[i].format;
        sound->channels = 1;
        sound->octets_left = size;
        sound->rate = format->kind == CODEC_G722 ? 16000 : format->clock;
        sound->octets_a_sample = format->kind == CODEC_OTHER ? 2 : 1;
        sound->samples = format->kind == CODEC_G722 ? 2 * size : size / sound->octets_a_sample;
        return format->kind == CODEC_OTHER || decode_with(sound, format, fault, room);
    }
    return open_foreign(sound, fault, room);
}

static bool read_format(struct soundfile *sound, const uint8_t *chunk, size_t length, bool *foreign, char *fault,
                        size_t room) {
    unsigned tag = little(chunk, 2), bits = little(chunk + 14, 2), block = little(chunk + 12, 2);
    sound->channels = little(chunk + 2, 2);
    sound->rate = little(chunk + 4, 4);
    if (tag == WAVE_EXTENSIBLE && length >= 26)
        tag = little(chunk + 24, 2);
    if (sound->channels < 1 || sound->channels > 8)
        return fail(fault, room, "a WAV file of %u channels", sound->channels);
    if (sound->rate < RESAMPLE_LEAST || sound->rate > RESAMPLE_MOST)
        return fail(fault, room, "a WAV file of %u Hz", sound->rate);
    sound->octets_a_sample = sound->channels * (tag == WAVE_PCM ? 2 : 1);
    if (tag == WAVE_PCM && bits == 16 && block == sound->octets_a_sample)
        return true;
    if ((tag == WAVE_ALAW || tag == WAVE_ULAW) && bits == 8 && block == sound->octets_a_sample)
        return decode_with(sound, &(struct codec_format){tag == WAVE_ALAW ? CODEC_PCMA : CODEC_PCMU, 1, 8000}, fault, room);
    *foreign = true;
    return true;
}

/* Walks the chunks up to the sound. A length that goes beyond the file is a lie, or the file was cut short. */
static bool open_wav(struct soundfile *sound, uint64_t size, char *fault, size_t room) {
    uint8_t header[8], format[40];
    bool known = false, foreign = false;
    for (uint64_t at = 12; at + 8 <= size;) {
        if (fseeko(sound->file, (off_t)at, SEEK_SET) != 0 || fread(header, 1, 8, sound->file) != 8)
            break;
        uint64_t length = little(header + 4, 4), left = size - at - 8;
        if (memcmp(header, "data", 4) == 0) {
            if (!known)
                return fail(fault, room, "a WAV file without a format before its sound");
            if (length > left)
                return fail(fault, room, "a WAV file cut short: it says %llu octets of sound and has %llu",
                            (unsigned long long)length, (unsigned long long)left);
            if (foreign && length > 0)
                return open_foreign(sound, fault, room);
            sound->octets_left = length - length % sound->octets_a_sample;
            sound->samples = length / sound->octets_a_sample;
            return true;
        }
        if (length > left)
            break;
        if (memcmp(header, "fmt ", 4) == 0) {
            size_t wanted = length < sizeof format ? (size_t)length : sizeof format;
            if (known || wanted < 16 || fread(format, 1, wanted, sound->file) != wanted)
                return fail(fault, room, "a WAV file with a broken format");
            if (!read_format(sound, format, wanted, &foreign, fault, room))
                return false;
            known = true;
        }
        at += 8 + length + length % 2;
    }
    return fail(fault, room, "a WAV file without sound");
}

static bool open_any(struct soundfile *sound, const char *path, char *fault, size_t room) {
    /* Non-blocking, for what turns out to be a pipe without a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    uint8_t magic[12];
    if (fd < 0)
        return fail(fault, room, "%s", strerrordesc_np(errno));
    sound->file = fdopen(fd, "rb");
    if (sound->file == NULL) {
        close(fd);
        return fail(fault, room, "out of memory");
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return fail(fault, room, "not a regular file");
    uint64_t size = sound->size = (uint64_t)status.st_size;
    bool wav = fread(magic, 1, sizeof magic, sound->file) == sizeof magic && memcmp(magic, "RIFF", 4) == 0 &&
               memcmp(magic + 8, "WAVE", 4) == 0;
    if (!wav)
        rewind(sound->file);
    if (!(wav ? open_wav(sound, size, fault, room) : open_bare(sound, path, size, fault, room)))
        return false;
    return sound->samples > 0 || fail(fault, room, "a sound file without sound");
}

static bool open_tone(struct soundfile *sound, const char *name, uint32_t rate, char *fault, size_t room) {
    sound->tone = tone_new(name, rate, fault, room);
    if (sound->tone == NULL)
        return false;
    sound->rate = rate;
    sound->channels = 1;
    sound->samples = tone_samples(sound->tone);
    return true;
}

bool soundfile_open(struct soundfile *sound, const char *path, uint32_t rate, char *fault, size_t room) {
    memset(sound, 0, sizeof *sound);
    if (tone_named(path) ? open_tone(sound, path, rate, fault, room) : open_any(sound, path, fault, room))
        return true;
    soundfile_close(sound);
    return false;
}

static bool is_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* How well a file serves a codec: its band as far as the codec carries it, then whether it is in that very codec. */
static uint64_t worth(const char *path, const char *suffix, enum codec_kind kind, uint32_t rate) {
    struct soundfile sound;
    char fault[8];
    if (!soundfile_open(&sound, path, rate, fault, sizeof fault))
        return 0;
    uint64_t band = sound.rate < rate ? sound.rate : rate;
    soundfile_close(&sound);
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
        if (bare[i].format.kind == kind && strcmp(suffix, bare[i].suffix) == 0)
            return 2 * band + 1;
    return 2 * band;
}

char *soundfile_choose(const char *name, enum codec_kind kind, uint32_t rate) {
    if (tone_named(name) || is_file(name))
        return strdup(name);
    char *path = malloc(strlen(name) + 8), *best = NULL;
    uint64_t most = 0;
    for (size_t i = 0; path != NULL && i < sizeof suffixes / sizeof *suffixes; i++) {
        sprintf(path, "%s%s", name, suffixes[i]);
        uint64_t found = is_file(path) ? worth(path, suffixes[i], kind, rate) + 1 : 0; /* a broken one beside no other */
        if (found > most) {
            most = found;
            free(best);
            best = strdup(path);
        }
    }
    free(path);
    return best != NULL ? best : strdup(name);
}

/* libsndfile reckons the length of an MP3 file without a header from the rate of its beginning, and reads no further. */
static bool has_more(const struct soundfile *sound) {
    off_t at = lseek(fileno(sound->file), 0, SEEK_CUR);
    return at >= 0 && (uint64_t)at + MP3_TRAILER < sound->size;
}

static size_t read_foreign(struct soundfile *sound, int16_t *samples) {
    size_t most = SOUNDFILE_BLOCK < sound->octets_left ? SOUNDFILE_BLOCK : (size_t)sound->octets_left;
    size_t count = foreign_read(sound->foreign, samples, most);
    if (count == 0 && sound->octets_left > 0 && !sound->approximate)
        sound->broken = cut_short;
    sound->octets_left -= count;
    if (sound->octets_left == 0 && sound->approximate && has_more(sound))
        sound->broken = "an MP3 file of variable rate whose header does not tell its length; write it anew with one";
    return count;
}

size_t soundfile_read(struct soundfile *sound, int16_t *samples) {
    if (sound->tone != NULL)
        return tone_run(sound->tone, samples, SOUNDFILE_BLOCK);
    if (sound->foreign != NULL)
        return read_foreign(sound, samples);
    uint8_t data[SOUNDFILE_BLOCK * 2 * 8];
    size_t wanted = SOUNDFILE_BLOCK * sound->octets_a_sample;
    if (sound->decoder != NULL)
        wanted = SOUNDFILE_BLOCK / 2; /* G.722 makes two samples of an octet */
    if (wanted > sound->octets_left)
        wanted = (size_t)sound->octets_left;
    wanted -= wanted % sound->octets_a_sample;
    wanted = fread(data, 1, wanted, sound->file);
    wanted -= wanted % sound->octets_a_sample;
    if (wanted == 0 && sound->octets_left > 0)
        sound->broken = cut_short;
    sound->octets_left -= wanted;

    int16_t expanded[SOUNDFILE_BLOCK * 8];
    size_t values;
    if (sound->decoder != NULL) {
        values = decoder_run(sound->decoder, data, wanted, expanded);
    } else {
        values = wanted / 2;
        for (size_t i = 0; i < values; i++)
            expanded[i] = (int16_t)little(data + 2 * i, 2);
    }
    size_t count = values / sound->channels;
    for (size_t i = 0; i < count; i++) {
        int sum = 0;
        for (unsigned channel = 0; channel < sound->channels; channel++)
            sum += expanded[i * sound->channels + channel];
        samples[i] = (int16_t)(sum / (int)sound->channels);
    }
    return count;
}

void soundfile_close(struct soundfile *sound) {
    foreign_close(sound->foreign);
    tone_free(sound->tone);
    if (sound->file != NULL)
        fclose(sound->file);
    decoder_free(sound->decoder);
    memset(sound, 0, sizeof *sound);
}
