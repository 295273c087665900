#!/usr/bin/env bash
# The same sources give the same program, to the bit, in whatever folder it is built: two builds from nothing.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset "${!KVBENCH_@}" "${!MESON@}"
export CCACHE_DISABLE=1 # which would give the second build what the first one made

for build in "$work/one" "$work/another one/further down"; do
    meson setup --buildtype=release "$build" "$project" >/dev/null
    ninja -C "$build" benchmarks/kvbench >/dev/null
done
cmp "$work/one/benchmarks/kvbench" "$work/another one/further down/benchmarks/kvbench"
sha256sum <"$work/one/benchmarks/kvbench"
