# The source package: what meson dist makes of the last commit builds by itself, and passes a short test.

@test "the source package builds and passes" {
    load helpers
    sandbox
    git -C "$project" diff --quiet HEAD -- || echo "# what is not committed is not in it" >&3
    meson setup --buildtype=release "$BATS_TEST_TMPDIR/build" "$project" >/dev/null
    meson dist -C "$BATS_TEST_TMPDIR/build" --no-tests --allow-dirty >/dev/null
    tar -xf "$BATS_TEST_TMPDIR"/build/meson-dist/kvbench-*.tar.xz
    cd kvbench-*/
    [[ ! -e .git ]]
    KVBENCH_BUILD_DIR=$BATS_TEST_TMPDIR/made ends 0 ./kvbench --version
    has "$out" 'kvbench 0.'
    KVBENCH_BUILD_DIR=$BATS_TEST_TMPDIR/made ends 0 ./kvbench test csv results lists synthetic pack readme
    has "$out" 'Fail:               0'
}
