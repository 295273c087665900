#!/usr/bin/env bash
# The source package: what meson dist makes of the last commit builds by itself, without git, and passes a short test.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset "${!KVBENCH_@}" "${!MESON@}"

git -C "$project" diff --quiet HEAD -- || echo "what is not committed is not in it"
meson setup --buildtype=release "$work/build" "$project" >/dev/null
meson dist -C "$work/build" --no-tests --allow-dirty >/dev/null
cd "$work"
tar -xf build/meson-dist/kvbench-*.tar.xz
cd kvbench-*/
[[ ! -e .git ]]
export KVBENCH_BUILD_DIR=$work/made
./kvbench --version
./kvbench test csv results lists synthetic pack readme
