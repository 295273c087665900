# Progress: on a terminal one line that never wraps, whatever its width; in a log and on a dumb terminal whole lines.

setup() {
    load helpers
    sandbox
    tiny=$project/data/reference/tiny-f32
    printf 'In the beginning God created the heaven and the earth. %.0s' {1..400} >text
}

# on_terminal COLUMNS TERM COMMAND...: runs it with a terminal for stderr; fails where a line does not fit.
on_terminal() {
    python3 - "$@" <<'END'
import fcntl, os, pty, re, struct, subprocess, sys, termios

columns, kind, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": kind}
child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
os.close(theirs)
text = b""
try:
    while part := os.read(ours, 65536):
        text += part
except OSError:
    pass
assert child.wait() == 0, text
drawn = text.count(b"\r\x1b[K")
assert (drawn > 3) == (kind != "dumb"), (drawn, text)
if kind != "dumb":
    parts = [p.decode() for p in re.split(rb"\r\x1b\[K|\r?\n", text)]
    progress = [p for p in parts if re.match(r"\[[#.]+\] |step \d|kvbench evaluate: \d", p)]
    assert len(progress) > 2 and max(map(len, progress)) < columns, parts
    assert not text.rstrip(b"\r\n").endswith(b"left"), text
else:
    assert b"\x1b" not in text, text
END
}

@test "the line of bench and of train fits 40, 80 and 200 columns" {
    for columns in 40 80 200; do
        on_terminal $columns xterm "$program" bench --model "$tiny" --suite batch --batch 1,2 --new 4 --reps 2 --threads 1 \
            --gemm packed,openblas --out "run$columns"
        on_terminal $columns xterm "$program" train --text text --out "model$columns" --layers 1 --heads 1 --embd 32 \
            --context 32 --steps 1500 --batch 2 --every 500 --threads 1
    done
}

@test "a dumb terminal gets lines" {
    on_terminal 80 dumb "$program" bench --model "$tiny" --suite batch --batch 1 --new 4 --reps 2 --threads 1 --out run
    on_terminal 80 dumb "$program" train --text text --out model --layers 1 --heads 1 --embd 32 --context 32 --steps 20 \
        --batch 2 --every 10 --threads 1
}
