#!/usr/bin/env python3
"""Writes the tables of the README files, so that nobody types a number.

    plots/readme_table.py            put the tables between the markers
    plots/readme_table.py --check    exit 1 when a file does not hold what it should

README.md and core/README.md get theirs from the run in data/results/reference (summary.csv, kernels.csv, context.json),
benchmarks/README.md its glossary from `kvbench columns`. KVBENCH_PROGRAM names the program, otherwise the one in build/.
"""
import csv
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUN = os.path.join(ROOT, "data", "results", "reference")


def read(name):
    with open(os.path.join(RUN, name), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def number(text):
    """Three significant digits, thousands apart."""
    value = float(text)
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def span(row, figure):
    return f"{number(row[figure + '_median'])} ({number(row[figure + '_low'])} to {number(row[figure + '_high'])})"


def batch_table():
    cells = {(int(r["batch"]), r["path"]): r for r in read("summary.csv") if r["suite"] == "batch" and r["status"] == "ok"}
    lines = [
        "| batch | TTFT naive, ms | TTFT cached, ms | TTPT naive, ms | TTPT cached, ms | decode cached, tok/s | cached "
        "over naive | of the limit | KV memory, MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for batch in sorted({batch for batch, _ in cells}):
        naive, cached = cells[batch, "naive"], cells[batch, "cached"]
        ratio = float(naive["ttpt_ms_median"]) / float(cached["ttpt_ms_median"])
        lines.append(
            f"| {batch} | {number(naive['ttft_ms_median'])} | {number(cached['ttft_ms_median'])} "
            f"| {span(naive, 'ttpt_ms')} | {span(cached, 'ttpt_ms')} | {number(cached['decode_tok_s_median'])} "
            f"| {ratio:.1f} × | {float(cached['limit_pct']):.0f} % | {float(cached['kv_live_bytes']) / 2**20:.1f} |"
        )
    some = next(iter(cells.values()))
    with open(os.path.join(RUN, "context.json"), encoding="utf-8") as file:
        context = json.load(file)
    lines.append("")
    lines.append(
        f"{some['model']}, weights {some['weights_source']}, {some['threads']} threads on an "
        f"{context['machine']['cpu']['name']}, {some['isa']}, gemm {some['gemm']}; prompt of {some['prompt_tokens']} tokens, "
        f"{some['new_tokens']} new ones. Medians of {some['n']} repetitions or more, in brackets their 95 % bootstrap "
        "interval."
    )
    return lines


def kernel_table():
    samples = {}
    for row in read("kernels.csv"):
        if row["kernel"] == "matmul" and row["shape"] == "c_fc" and row["status"] == "ok":
            samples.setdefault((int(row["rows"]), row["gemm"]), []).append((float(row["gflops"]), float(row["limit_pct"])))
    medians = {key: [statistics.median(column) for column in zip(*values)] for key, values in samples.items()}
    rows = sorted({rows for rows, _ in medians})
    lines = ["| rows of x | " + " | ".join(str(r) for r in rows) + " |", "| --- |" + " ---: |" * len(rows)]
    for gemm in ("packed", "openblas"):
        lines.append(f"| {gemm}, GFLOPS | " + " | ".join(number(medians[r, gemm][0]) for r in rows) + " |")
    lines.append("| packed, of the limit | " + " | ".join(f"{medians[r, 'packed'][1]:.0f} %" for r in rows) + " |")
    return lines


def glossary(program):
    return subprocess.run([program, "columns", "--format", "markdown"], check=True, capture_output=True,
                          encoding="utf-8").stdout.strip().split("\n")


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
        ("README.md", "data/results/reference", "batch", batch_table()),
        ("core/README.md", "data/results/reference", "kernels", kernel_table()),
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
