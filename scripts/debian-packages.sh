#!/bin/sh
# Installs the Debian packages that are missing, where we may; else names them. Usage: debian-packages.sh NEED PACKAGE...
# NEED is "required" (exit 1 when something stays missing) or "optional" (say what will be left out, and go on).
set -eu
need=$1
shift
missing=
for package in "$@"; do
    if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$'; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: this is no Debian-like machine; please install what these Debian packages hold:$missing" >&2
    [ "$need" = optional ] && exit 0 || exit 1
fi
run=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        run="sudo -n"
    else
        echo "setup: missing Debian packages, and no right to install them. Please run:" >&2
        echo "    sudo apt-get install$missing" >&2
        [ "$need" = optional ] && exit 0 || exit 1
    fi
fi
echo "setup: installing$missing"
log=$(mktemp)
if ! { DEBIAN_FRONTEND=noninteractive $run apt-get update -qq &&
       DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "setup: could not install$missing" >&2
    [ "$need" = optional ] && exit 0 || exit 1
fi
rm -f "$log"
