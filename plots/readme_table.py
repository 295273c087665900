#!/usr/bin/env python3
"""Writes the tables of the READMEs, so that nobody types them: numbers of the reference run, and what the columns mean.

    plots/readme_table.py            put the tables between their markers
    plots/readme_table.py --check    exit 1 when a README does not hold what the run and the program say

The run is data/results/reference: summary.csv, kernels.csv and context.json. The program is $KVBENCH_PROGRAM or
build/benchmarks/kvbench.
"""
import csv
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUN = os.path.join(ROOT, "data", "results", "reference")
PROGRAM = os.environ.get("KVBENCH_PROGRAM") or os.path.join(ROOT, "build", "benchmarks", "kvbench")
READMES = ("README.md", "benchmarks/README.md", "core/README.md")
BEGIN, END = "<!-- from {} by plots/readme_table.py: {} -->", "<!-- end of {} -->"


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


def median(row, figure):
    return row.get(figure + "_median") or row[figure]


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
            f"| {ratio:.1f} × | {float(median(cached, 'limit_pct')):.0f} % | {float(median(cached, 'kv_live_bytes')) / 2**20:.1f} |"
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


def glossary():
    done = subprocess.run([PROGRAM, "columns", "--format", "markdown"], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.strip("\n").split("\n")


BLOCKS = (
    ("data/results/reference", "batch", batch_table),
    ("data/results/reference", "kernels", kernel_table),
    ("kvbench columns", "glossary", glossary),
)


def filled(text, name):
    """The text of a README with its tables."""
    for source, block, lines in BLOCKS:
        begin, end = BEGIN.format(source, block), END.format(block)
        if text.count(begin) != text.count(end) or text.count(begin) > 1:
            sys.exit(f"readme_table.py: {name} must hold '{begin}' and '{end}' once, or neither")
        if begin in text:
            head, rest = text.split(begin)
            text = head + begin + "\n" + "\n".join(lines()) + "\n" + end + rest.split(end)[1]
    return text


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    texts = {}
    for name in READMES:
        if os.path.exists(os.path.join(ROOT, name)):
            with open(os.path.join(ROOT, name), encoding="utf-8") as file:
                texts[name] = file.read()
    for source, block, _ in BLOCKS:
        wanted = block != "glossary" or "benchmarks/README.md" in texts
        if wanted and not any(BEGIN.format(source, block) in text for text in texts.values()):
            sys.exit(f"readme_table.py: no README holds '{BEGIN.format(source, block)}'")
    for name, before in texts.items():
        text = filled(before, name)
        if text == before:
            continue
        if sys.argv[1:]:
            sys.exit(f"readme_table.py: {name} is not up to date: run plots/readme_table.py")
        with open(os.path.join(ROOT, name + ".part"), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(os.path.join(ROOT, name + ".part"), os.path.join(ROOT, name))


main()
