#!/usr/bin/env bash
# Builds for AArch64 and runs, under qemu-user, the reference cases, the kernels, products, attention, formats, caches and
# the thread pool.
#
#     tests/aarch64.sh [FOLDER]     FOLDER is the build folder (build-aarch64), which is kept
#
# Debian's cross compiler and qemu-user are installed where they are missing; the arm64 libraries are only unpacked, into
# FOLDER/sysroot, so that the system stays one of a single architecture.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
build=$(readlink -m "${1:-build-aarch64}")
sysroot=$build/sysroot
tools='gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user'
libraries='libopenblas-pthread-dev libopenblas0-pthread libgfortran5 libjansson-dev libjansson4 libpcre2-dev
    libpcre2-8-0 libcmocka-dev libcmocka0 libvterm-dev libvterm0 libbenchmark-dev libbenchmark1debian
    libarchive-dev libarchive13 libacl1 libbz2-1.0 libicu72 liblz4-1 liblzma5 libnettle8 libxml2 libzstd1 zlib1g'
tests=(reference kernels matmul attention formats kept pool)

if ! { command -v aarch64-linux-gnu-g++ && command -v qemu-aarch64; } >/dev/null; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -q
    # shellcheck disable=SC2086 # a list of packages, a word each
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $tools
fi

# apt with a state of its own, of the other architecture: nothing is installed.
if [ ! -e "$sysroot/complete" ]; then
    rm -rf "$sysroot"
    mkdir -p "$sysroot/apt/lists/partial" "$sysroot/apt/archives/partial"
    : >"$sysroot/apt/status"
    apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$sysroot/apt"
        -o "Dir::State::status=$sysroot/apt/status" -o "Dir::Cache=$sysroot/apt" -o APT::Sandbox::User="$(id -un)")
    "${apt[@]}" update
    # shellcheck disable=SC2086 # a list of packages, a word each
    (cd "$sysroot/apt/archives" && "${apt[@]}" download $libraries)
    for package in "$sysroot"/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$sysroot"
    done
    cp -r "$sysroot/lib/." "$sysroot/usr/lib" # some packages still have /lib apart
    rm -rf "$sysroot/apt"
    touch "$sysroot/complete"
fi

if [ ! -e "$build/build.ninja" ]; then
    printf "[constants]\nsysroot = '%s'\n" "$sysroot" >"$build/sysroot.txt"
    meson setup --cross-file "$build/sysroot.txt" --cross-file tests/cross/aarch64.txt "$build"
fi
ninja -C "$build" benchmarks/kvbench "${tests[@]/#/tests/test_}"
meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 20 "${tests[@]}"
