#!/usr/bin/env python3
"""Writes the tables of the README files, so that nobody types a number.

    plots/readme_table.py            put the tables between the markers
    plots/readme_table.py --check    exit 1 when a file does not hold what it should

README.md and core/README.md get theirs from the run in data/results/reference (summary.csv, kernels.csv, context.json),
core/README.md also the cache in plain C from its test, the one of other engines from data/results/peers where that is
there; benchmarks/README.md its glossary from `kvbench columns`. KVBENCH_PROGRAM names the program, otherwise the one in
build/.
"""
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUN = os.path.join(ROOT, "data", "results", "reference")
PEERS = os.path.join(ROOT, "data", "results", "peers")


def read(name, folder=RUN):
    with open(os.path.join(folder, name), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def number(text):
    """Three significant digits, thousands apart."""
    value = float(text)
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def share(text):
    """Of the limit; earlier files have some above it, which are none."""
    return f"{float(text):.0f} %" if text and float(text) <= 100 else "–"


def speeds(program):
    """How many times as fast cached is as naive at each batch, from pairs of one round."""
    rows = csv.DictReader(run(program, "compare", RUN, "--by", "path", "--base", "naive", "--metric", "ttpt_ms",
                              "--format", "csv"))
    return {int(r["batch"]): f"{1 / float(r['ratio']):.1f} ×" + ("" if r["verdict"] != "undecided" else " ?")
            for r in rows if r["suite"] == "batch" and r["ratio"] and r["other"] == "cached"}


def steadiness(program, place):
    """"Machine: steady (..)." as the footers of the figures have it."""
    with tempfile.TemporaryDirectory() as folder:
        run(program, "tables", place, folder)
        with open(os.path.join(folder, "benchmark_results", "settings"), encoding="utf-8") as file:
            return next(line for line in file if line.startswith("steadiness = ")).split("'")[1]


def run(program, *arguments):
    return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE,
                          encoding="utf-8").stdout.strip().split("\n")


def middle(row, figure):
    """Of a cell that was left out there is none."""
    return number(row[figure + "_median"]) if row else "–"


def span(row, figure):
    if not row:
        return "–"
    return f"{number(row[figure + '_median'])} ({number(row[figure + '_low'])} to {number(row[figure + '_high'])})"


def batch_table(program):
    ratios = speeds(program)
    cells = {(int(r["batch"]), r["path"]): r for r in read("summary.csv") if r["suite"] == "batch" and r["status"] == "ok"}
    lines = [
        "| batch | TTFT naive, ms | TTFT cached, ms | TTPT (TPOT) naive, ms | TTPT (TPOT) cached, ms | decode cached, tok/s | cached "
        "over naive | of the limit | KV memory, MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for batch in sorted({batch for batch, _ in cells}):
        naive, cached = cells.get((batch, "naive")), cells[batch, "cached"]
        lines.append(
            f"| {batch} | {middle(naive, 'ttft_ms')} | {middle(cached, 'ttft_ms')} "
            f"| {span(naive, 'ttpt_ms')} | {span(cached, 'ttpt_ms')} | {middle(cached, 'decode_tok_s')} "
            f"| {ratios.get(batch, '–')} | {share(cached['limit_pct'])} | {float(cached['kv_live_bytes']) / 2**20:.1f} |"
        )
    some = next(iter(cells.values()))
    with open(os.path.join(RUN, "context.json"), encoding="utf-8") as file:
        context = json.load(file)
    lines.append("")
    lines.append(
        f"{some['model']}, weights {some['weights_source']}, {some['threads']} threads on an "
        f"{context['machine']['cpu']['name']}, {some['isa']}, gemm {some['gemm']}; prompt of {some['prompt_tokens']} tokens, "
        f"{some['new_tokens']} new ones. Medians of {some['n']} repetitions or more, in brackets their 95 % interval; "
        f"of the limit: by the probes around each; ?: not told apart by these rounds; –: not measured in the time of the "
        f"run, or without a share. {steadiness(program, RUN)}"
    )
    return lines


def peers_table(program):
    """What the engines take as multiples of kvbench's; nothing where no such run is committed."""
    if not os.path.isdir(PEERS):
        return []
    rows = run(program, "compare", PEERS, "--by", "engine", "--base", "kvbench", "--metric", "ttft_ms,ttpt_ms,output_tok_s",
               "--format", "csv")
    ratios = {(r["weights"], int(r["batch"]), r["other"], r["metric"]): f"{float(r['ratio']):.3g} × ({float(r['ratio_low']):.3g} "
              f"to {float(r['ratio_high']):.3g})" for r in csv.DictReader(rows) if r["ratio_low"]}
    cells = [r for r in read("summary.csv", PEERS) if r["suite"] == "batch" and r["ttpt_ms_median"]]
    names = {"ttft_ms": "ms", "ttpt_ms": "ms", "output_tok_s": "tok/s"}
    order = {name: i for i, name in enumerate(("f32", "bf16", "int8"))}
    lines = ["| weights | batch | engine | TTFT | TTPT | tokens/s | peak MiB | start-up, s | same tokens |",
             "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for r in sorted(cells, key=lambda r: (order[r["weights"]], int(r["batch"]), r["engine"] != "kvbench", r["engine"])):
        key, own = (r["weights"], int(r["batch"]), r["engine"]), r["engine"] == "kvbench"
        figures = [f"{number(r[name + '_median'])} {unit}" if own else ratios.get((*key, name), "–")
                   for name, unit in names.items()]
        lines.append("| " + " | ".join([r["weights"], r["batch"], r["engine"], *figures,
                     f"{float(r['rss_peak_bytes']) / 2**20:.0f}", number(r["startup_s_median"]) if not own else "–",
                     f"{float(r['same_tokens']):.0f} of {r['new_tokens']}" if not own else "–"]) + " |")
    left_out = [f"{r['engine']} at batch {r['batch']}" for r in read("summary.csv", PEERS) if r["status"] == "skipped"]
    missing = f"Left out, for time: {', '.join(left_out)}. " if left_out else ""
    versions = sorted({f"{r['engine']} {r['engine_version']}" for r in cells if r["engine_version"]})
    with open(os.path.join(PEERS, "context.json"), encoding="utf-8") as file:
        machine = json.load(file)["machine"]["cpu"]["name"]
    some = cells[0]
    lines += ["", f"{some['model']}, {some['threads']} threads on an {machine}; prompt of {some['prompt_tokens']} tokens. "
              f"Of kvbench medians, of the others multiples of it in pairs of one round, with their 95 % interval: times "
              f"above 1 are slower, tokens/s above 1 faster. {missing}{', '.join(versions)}. "
              f"{steadiness(program, PEERS)}"]
    return lines


def kernel_table():
    rates, shares = {}, {}
    for row in read("kernels.csv"):
        if row["kernel"] == "matmul" and row["shape"] == "c_fc" and row["status"] == "ok":
            key = int(row["rows"]), row["gemm"]
            rates.setdefault(key, []).append(float(row["gflops"]))
            if row["limit_pct"] and float(row["limit_pct"]) <= 100:
                shares.setdefault(key, []).append(float(row["limit_pct"]))
    rows = sorted({rows for rows, _ in rates})
    lines = ["| rows of x | " + " | ".join(str(r) for r in rows) + " |", "| --- |" + " ---: |" * len(rows)]
    for gemm in ("packed", "openblas"):
        lines.append(f"| {gemm}, GFLOPS | " + " | ".join(number(statistics.median(rates[r, gemm])) for r in rows) + " |")
    lines.append("| packed, of the limit | " + " | ".join(
        share(statistics.median(shares[r, "packed"]) if (r, "packed") in shares else "") for r in rows) + " |")
    return lines


def glossary(program):
    return run(program, "columns", "--format", "markdown")


def gain(program):
    """What the cache buys and costs at the longest text, one sequence and the largest batch that both paths ran."""
    ok = [r for r in read("summary.csv") if r["suite"] == "grid" and r["status"] == "ok"]
    length = max(int(r["context_tokens"]) for r in ok)
    cells = {(int(r["batch"]), r["path"]): r for r in ok if int(r["context_tokens"]) == length}
    batch = max(b for b, path in cells if path == "naive" and (b, "cached") in cells)
    rows = csv.DictReader(run(program, "compare", RUN, "--by", "path", "--base", "naive", "--metric", "ttpt_ms",
                              "--format", "csv"))
    ratios = {int(r["batch"]): 1 / float(r["ratio"]) for r in rows
              if r["suite"] == "grid" and r["ratio"] and int(r["prompt_tokens"]) + int(r["new_tokens"]) - 1 == length}
    with open(os.path.join(RUN, "context.json"), encoding="utf-8") as file:
        cpu = json.load(file)["machine"]["cpu"]["name"]
    some = cells[1, "cached"]

    def time(b, path):
        ms = float(cells[b, path]["ttpt_ms_median"])
        return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{number(ms)} ms"

    def mib(b):
        return f"{float(cells[b, 'cached']['kv_live_bytes']) / 2**20:,.0f} MiB"

    return [
        f"**What it buys**: at the end of {length:,} tokens, a token of {some['model']} takes {time(1, 'naive')} without the "
        f"cache and {time(1, 'cached')} with it, **{number(ratios[1])} times as fast**; in a batch of {batch}, "
        f"{time(batch, 'naive')} and {time(batch, 'cached')}, **{number(ratios[batch])} times** ({some['threads']} threads "
        f"on an {cpu}). **What it costs**: {mib(1)} of memory for that text, {mib(batch)} for the batch; and the first token "
        f"comes no sooner, because the whole prompt has to be run either way."
    ]


def plain():
    """The cache in plain C, between its marks in the test."""
    with open(os.path.join(ROOT, "tests", "test_plain_cache.c"), encoding="utf-8") as file:
        source = file.read().split("/* README: begin */\n")[1].split("/* README: end */")[0]
    return ["```c", *source.strip().split("\n"), "```"]


def filled(text, file, origin, name, lines):
    begin, end = f"<!-- from {origin} by plots/readme_table.py: {name} -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        sys.exit(f"readme_table.py: {file} must hold one '{begin}' and one '{end}'")
    head, rest = text.split(begin)
    return head + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1]


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    program = os.environ.get("KVBENCH_PROGRAM", os.path.join(ROOT, "build", "benchmarks", "kvbench"))
    for file, origin, name, lines in (
        ("README.md", "data/results/reference", "batch", batch_table(program)),
        ("README.md", "data/results/reference", "gain", gain(program)),
        ("README.md", "data/results/peers", "peers", peers_table(program)),
        ("core/README.md", "data/results/reference", "kernels", kernel_table()),
        ("core/README.md", "tests/test_plain_cache.c", "plain", plain()),
        ("benchmarks/README.md", "kvbench columns", "glossary", glossary(program)),
    ):
        path = os.path.join(ROOT, file)
        with open(path, encoding="utf-8") as stream:
            before = stream.read()
        text = filled(before, file, origin, name, lines)
        if text == before:
            continue
        if sys.argv[1:]:
            sys.exit(f"readme_table.py: {file} differs from {origin}: run plots/readme_table.py")
        with open(path + ".part", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(path + ".part", path)


main()
