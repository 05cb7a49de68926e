#!/bin/sh
# The engine under the sanitizers: its line of time, a stress of all its threads, and the fuzzers on the packet path and the listener.
#
#     tests/native/sanitize.sh [SECONDS]     how long each of the stress and the fuzzers runs; 5 if not said
#
# Needs clang. Programs and findings are left in build/sanitize.
set -eu
seconds=${1:-5}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/sanitize
mkdir -p "$build/corpus" "$build/listener-corpus"
cd "$root"

libraries= defines=
for library in opus spandsp libbcg729 sndfile speexdsp; do
    if pkg-config --exists "$library"; then
        libraries="$libraries $(pkg-config --cflags --libs "$library")"
        defines="$defines -DHAVE_$(echo "$library" | tr a-z A-Z)"
    fi
done
# Only the programs need it: the engine is handed its functions.
peers=
if pkg-config --exists libsrtp2; then
    peers="-DHAVE_LIBSRTP2 $(pkg-config --cflags --libs libsrtp2)"
fi
options="-std=gnu11 -D_GNU_SOURCE $defines -g -O1 -fno-omit-frame-pointer -Ipbx/native/src -Wno-unused-command-line-argument"

# compile NAME FLAGS...: the engine's objects once for each set of sanitizers, all at the same time
compile() {
    folder=$build/$1 jobs=
    shift
    mkdir -p "$folder"
    for source in pbx/native/src/*.c; do
        # shellcheck disable=SC2086
        clang $options $libraries "$@" -c "$source" -o "$folder/$(basename "$source" .c).o" &
        jobs="$jobs $!"
    done
    for job in $jobs; do wait "$job"; done
}

# link NAME PROGRAM FLAGS...
link() {
    name=$1 program=$2
    shift 2
    # shellcheck disable=SC2086
    clang $options "$@" "tests/native/c/$program.c" "$build/$name"/*.o -o "$build/$program-$name" $libraries $peers -lm -pthread
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch" /dev/shm/tandem-fuzz-*' EXIT
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

undefined="-fsanitize=undefined -fno-sanitize-recover=all"
compile address -fsanitize=address,fuzzer-no-link $undefined
link address align_test -fsanitize=address $undefined
link address recorder_test -fsanitize=address $undefined
link address listener_test -fsanitize=address $undefined
link address codec_test -fsanitize=address $undefined
link address transcode_test -fsanitize=address $undefined -Wl,--wrap=sendto
link address clamp_test -fsanitize=address $undefined -Wl,--wrap=sendto
link address fuzz_listener -fsanitize=address,fuzzer $undefined
link address processing_test -fsanitize=address $undefined
link address mixer_test -fsanitize=address $undefined
link address room_test -fsanitize=address $undefined -Wl,--wrap=sendto
link address stress -fsanitize=address $undefined
link address fuzz_packet -fsanitize=address,fuzzer $undefined -Wl,--wrap=sendto
compile thread -fsanitize=thread
link thread stress -fsanitize=thread

python3 tests/native/c/seeds.py "$build/corpus" "$scratch/tone.wav" "$build/listener-corpus"
# Sounds of other formats, as far as there are tools to make them.
for format in flac ogg mp3; do sox "$scratch/tone.wav" "$scratch/tone.$format" 2>/dev/null || true; done
sounds=$(echo "$scratch"/tone.*)
"$build/align_test-address" "$scratch"
"$build/recorder_test-address" "$scratch"
"$build/listener_test-address"
# A voice in the rates that codecs have: a prompt that `make setup` installs.
voice=
for prompt in /usr/share/asterisk/sounds/en*/demo-instruct.wav; do
    for rate in 8000 16000 48000; do
        if sox "$prompt" -r $rate -c 1 -b 16 "$scratch/voice.$rate.wav" trim 0 4.2 2>/dev/null; then
            voice="$voice $scratch/voice.$rate.wav"
        fi
    done
    break
done
vectors=$root/../shared/vectors speech= # of others: not in every copy of this repository
if [ -d "$vectors" ]; then
    "$build/codec_test-address" "$vectors"
    speech="$vectors/speech/input.8.wav"
fi
# shellcheck disable=SC2086
"$build/transcode_test-address" $voice >"$build/transcode_test.log" || { cat "$build/transcode_test.log"; exit 1; }
"$build/mixer_test-address"
"$build/room_test-address"
# shellcheck disable=SC2086
"$build/clamp_test-address" $speech
# shellcheck disable=SC2086
"$build/processing_test-address" $speech
"$build/stress-address" "$scratch" "$seconds" $sounds
"$build/stress-thread" "$scratch" "$seconds" $sounds
"$build/fuzz_packet-address" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=2048 -detect_leaks=0 -print_final_stats=1 \
    -artifact_prefix="$build/" "$build/corpus"
"$build/fuzz_listener-address" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/" "$build/listener-corpus"
echo "clean"
