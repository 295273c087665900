"""Makes what a run leaves comparable: the work on files for golden.sh.

    golden.py rows FILE            a CSV file; values that a machine, a clock or a date decides are written as ~, rows of
                                   what the machine stalled are left out
    golden.py page FILE            the words of an HTML page, a line a block; no styles, drawings or pictures
    golden.py keys FILE            the keys of a JSON file, three levels deep, and what was asked for under `run`
    golden.py tensors FILE         the tensors of a safetensors file: name, type and shape; and its metadata's keys
    golden.py of-one-thread DIR RUNS.CSV    makes of a copy of data/results/reference a finished run that every machine can
                                   resume: one thread, portable, no kernels, with the columns of RUNS.CSV
    golden.py otherwise DIR        makes of such a copy one that was measured with other times: cached a quarter slower to
                                   the first token, naive a tenth faster at all others
    golden.py settle NEW OLD       NEW, but with OLD's numbers where they are as near as rounding can bring them
"""
import csv
import html.parser
import json
import re
import struct
import sys

# Columns that are never the same twice, by name; in summary.csv the name is followed by one of the suffixes.
MEASURED = {
    "run_id", "cold_ttft_ms", "ttft_ms", "ttpt_ms", "ttpt_p50_ms", "ttpt_p95_ms", "ttpt_p99_ms", "e2e_ms",
    "prefill_tok_s", "decode_tok_s", "output_tok_s", "rss_peak_bytes", "limit_ms", "limit_ns", "limit_pct", "latency_ns", "seconds",
    "gflops", "gbytes_s", "read_bytes_per_s", "fma_flop_per_s", "tokens_per_second", "started_s", "probes",
    "probe_read_bytes_per_s", "probe_fma_flop_per_s", "switches", "page_faults",
}
# Of these not even whether they are known.
PERHAPS = {"limit_pct", "limit_fault", "probe_change_pct", "stolen_pct", "pressure_pct", "clock_hz"}
SUFFIXES = re.compile("_(median|mad|cv|low|high)$")
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, strict=True))


def write_rows(file, rows):
    csv.writer(file, lineterminator="\n").writerows(rows)


def rows(path):
    header, *body = read_rows(path)
    names = [SUFFIXES.sub("", name) for name in header]

    def mask(name, value):
        return "~" if name in PERHAPS or (name in MEASURED and value) else value

    kept = [row for row in body if "stalled" not in row]
    write_rows(sys.stdout, [header] + [list(map(mask, names, row)) for row in kept])


class Words(html.parser.HTMLParser):
    SILENT = {"style", "script", "svg"}
    INLINE = {"a", "abbr", "b", "code", "em", "i", "small", "span", "strong", "sub", "sup", "td", "th"}

    def __init__(self):
        super().__init__()
        self.lines, self.silent = [""], 0

    def border(self, tag):
        self.lines[-1] += " "
        if tag not in self.INLINE:
            self.lines.append("")

    def handle_starttag(self, tag, attributes):
        self.silent += tag in self.SILENT
        self.border(tag)

    def handle_endtag(self, tag):
        self.silent -= tag in self.SILENT
        self.border(tag)

    def handle_data(self, data):
        if not self.silent:
            self.lines[-1] += data.replace("\n", " ")


def page(path):
    words = Words()
    with open(path, encoding="utf-8") as file:
        words.feed(file.read())
    for line in words.lines:
        if line.split():
            print(" ".join(line.split()))


def keys(path):
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)

    def show(value, name, depth):
        if isinstance(value, dict) and depth < 3:
            for key, inner in value.items():
                show(inner, f"{name}.{key}" if name else key, depth + 1)
        else:
            print(name)

    show(whole, "", 0)
    for key in ("model", "weights", "gemm", "isa", "threads"):
        print(f"run.{key} = {whole['run'][key]}")


def tensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    print("metadata:", " ".join(sorted(header.pop("__metadata__", {}))))
    for name in sorted(header):
        print(name, header[name]["dtype"], header[name]["shape"])


def edit(path, change):
    """Changes every row; a row that becomes None is left out."""
    header, *body = read_rows(path)
    changed = [change(dict(zip(header, row))) for row in body]
    with open(path, "w", newline="", encoding="utf-8") as file:
        write_rows(file, [list(changed[0]) if changed and changed[0] else header]
                   + [list(row.values()) for row in changed if row])


def of_one_thread(folder, fresh):
    def cell(row):
        return row["cell"].replace("/avx512/t2/", "/portable/t1/")

    # the columns of today, in their order, where the run is from before some
    columns = dict.fromkeys(read_rows(fresh)[0], "")
    edit(f"{folder}/runs.csv", lambda row: {**columns, **row, "cell": cell(row), "threads": "1", "isa": "portable"})
    edit(f"{folder}/tokens.csv", lambda row: {**row, "cell": cell(row)})
    edit(f"{folder}/limits.csv", lambda row: {**row, "isa": "portable"} if row["threads"] == "1" else None)
    with open(f"{folder}/context.json", encoding="utf-8") as file:
        context = json.load(file)
    context["run"].update(threads=1, isa="portable")
    context["run"]["command"] += ["--synthetic", "--threads", "1", "--isa", "portable", "--suite", "batch,trace,grid,depth,memory"]
    with open(f"{folder}/context.json", "w", encoding="utf-8") as file:
        json.dump(context, file)


def otherwise(folder):
    def change(row):
        column, factor = ("ttft_ms", 1.25) if row["path"] == "cached" else ("decode_tok_s", 1.1)
        return {**row, column: f"{float(row[column]) * factor:.9g}" if row[column] else ""}

    edit(f"{folder}/runs.csv", change)


def settle(new, old):
    with open(new, encoding="utf-8") as file:
        lines = file.read().split("\n")
    with open(old, encoding="utf-8") as file:
        wanted = file.read().split("\n")

    def nearest(line, model):
        numbers = NUMBER.findall(model)
        if NUMBER.sub("", line) != NUMBER.sub("", model) or len(NUMBER.findall(line)) != len(numbers):
            return line
        values = iter(numbers)

        def choose(found):
            a, b = found[0], next(values)
            digit = 0 if "e" in b else 1.01 * 10 ** -len(b.partition(".")[2])
            return b if abs(float(a) - float(b)) <= max(1e-5, 1e-4 * abs(float(b)), digit) else a

        return NUMBER.sub(choose, line)

    wanted += [""] * (len(lines) - len(wanted))
    with open(new, "w", encoding="utf-8") as file:
        file.write("\n".join(nearest(line, model) for line, model in zip(lines, wanted)))


COMMANDS = {"rows": rows, "page": page, "keys": keys, "tensors": tensors,
            "of-one-thread": of_one_thread, "otherwise": otherwise, "settle": settle}
if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
    sys.exit(__doc__)
sys.stdout.reconfigure(encoding="utf-8")
COMMANDS[sys.argv[1]](*sys.argv[2:])
