# What cannot work is refused as the build is configured, with a reason. Cross files stand in for such machines.

setup() {
    load helpers
    sandbox
}

# configured REASON: with the cross file on stdin it is refused so.
configured() {
    local status=0
    cat >cross
    env -u CFLAGS meson setup --cross-file cross build "$project" >log 2>&1 || status=$?
    [[ $status == 1 ]] || complain "exit status $status: $(tail -n 3 log)"
    has "$(<log)" "ERROR: Problem encountered: $1"
}

machine() { # CPU FAMILY ENDIAN [COMPILER]
    printf "%s\n" '[binaries]' "c = '${4-cc}'" "cpp = 'c++'" "pkgconfig = 'pkg-config'" '[host_machine]' \
        "system = 'linux'" "cpu = '$1'" "cpu_family = '$2'" "endian = '$3'"
}

@test "a big-endian machine" {
    machine z14 s390x big | configured 'this machine is big-endian'
}

@test "a 32-bit compiler" {
    { machine i686 x86 little && printf '%s\n' '[built-in options]' "c_args = ['-D__SIZEOF_POINTER__=4']"; } |
        configured 'this compiler makes 32-bit programs'
}

@test "musl-gcc beside the libraries of glibc" {
    command -v musl-gcc >/dev/null || skip 'there is no musl-gcc: the package musl-tools has it'
    ! find /usr/include/*musl* -name jansson.h 2>/dev/null | grep -q . || skip 'this system has the libraries for musl'
    machine x86_64 x86_64 little musl-gcc | configured 'this compiler does not find jansson.h'
}
