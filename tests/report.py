#!/usr/bin/env python3
"""kvbench report: the page of runs made by hand, read back with Python's HTML parser. Usage: report.py KVBENCH [TEST...]"""
import base64
import csv
import html.parser
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = PROJECT / "data" / "results" / "reference"
FIGURES = "benchmark_results token_latency time_vs_cache speedup_grid depth memory roofline kernels latency_distribution"
VOID = {"meta", "link", "img", "br", "hr", "input"}
# Prefixes of the values in a cell's id, as results/columns.h has it.
KEYS = {"suite": "", "kernel": "", "shape": "", "path": "", "weights": "w-", "cache": "", "kv": "kv-", "gemm": "",
        "isa": "", "threads": "t", "batch": "b", "prompt_tokens": "p", "new_tokens": "n", "context_tokens": "x",
        "rows": "m"}

# What gnuplot writes: prolog, namespaces, a title, symbols that are used, a clip path, spaces around an =.
DRAWING = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">
<svg width="200" height="100" viewBox="0 0 200 100" xmlns="http://www.w3.org/2000/svg"
 xmlns:xlink="http://www.w3.org/1999/xlink">
<title>a title</title><!-- a comment -->
<defs><circle id='dot' r='2'/><use xlink:href='#dot' id='dot2' fill = 'red'/>
<clipPath id="clip"><rect width="99" height="99"/></clipPath></defs>
<g clip-path="url(#clip)"><use xlink:href='#dot2' x='9' y='9'/><text>a &lt; b</text></g></svg>
"""
# Of a machine that stands still.
PROBES = {"probe_read_bytes_per_s": 2e10, "probe_fma_flop_per_s": 1e11}
# One transparent pixel.
GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="

CONTEXT = {
    "machine": {
        "hostname": "host-1", "hypervisor": False, "os": "An OS", "kernel": "6.1",
        "cpu": {"name": "A CPU", "vendor": "Maker", "family": 6, "model": 85, "stepping": 7,
                "features": ["avx2", "fma"], "cpus_online": 4, "cores_online": 2, "sockets": 1,
                "l2": {"bytes": 1048576, "instances": 2}, "l3": {"bytes": 1536, "instances": 1},
                "governor": "powersave", "turbo": True},
        "memory": {"total_bytes": 8589934592, "limit_bytes": None},
    },
    "build": {"version": "0.1.0", "commit": "0123abc", "dirty": True, "compiler": "gcc 12"},
    "run": {"command": ["bench", "--out", "a b"], "start": "2024-05-01T12:00:00+02:00", "model": "tiny",
            "load_at_start": [0.5, 0.25, 0.1], "steal_percent": 0.5},
    "warnings": [{"severity": "info", "text": "turbo is on: run `echo 1`"}],
}


class Page(html.parser.HTMLParser):
    """What is on a page, and what is wrong with its markup."""

    def __init__(self, file):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.loads = [], [], [], [], []
        self.problems, self.words, self.sections, self.images = [], [], [], []
        self.source = file.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self.open]
        self.text = " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            value = value or ""
            if name == "id":
                self.ids.append(value)
                if tag == "section":
                    self.sections.append(value)
            if name in ("href", "xlink:href") and value.startswith("#"):
                self.references.append(value[1:])
            elif name in ("href", "xlink:href", "src", "srcset", "action", "poster", "data"):
                self.loads.append(value)
                if tag == "img":
                    self.images.append(value)
            elif "url(#" in value:
                self.references.append(value.split("url(#")[1].split(")")[0])
            if name.startswith("on"):
                self.problems.append("handler " + name)

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


# ---- Runs made by hand --------------------------------------------------------------------------------------


def put_csv(folder, name, rows):
    """A file with its columns, ids made from the rows' keys."""
    columns = [column["name"] for column in COLUMNS if name.split(".")[0] in column["files"].split(", ")]
    with open(folder / name, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            keys = [prefix + str(row[key]) for key, prefix in KEYS.items() if row.get(key)]
            writer.writerow({"run_id": "R1", **({"cell": "/".join(keys)} if "cell" in columns else {}), **row})


def generation(path="cached", ttpt=(1, 1, 1), suite="batch", batch=1, prompt=6, new=11, live=0, **more):
    """The rows of a cell: a repetition a time per token, or one row with a status."""
    keys = {"suite": suite, "path": path, "model": "tiny", "weights": "f32", "weights_source": "synthetic:1",
            "cache": "contiguous" if path == "cached" else "", "kv": "f32" if path == "cached" else "",
            "gemm": "openblas", "isa": "avx2", "threads": 2, "batch": batch, "prompt_tokens": prompt,
            "new_tokens": new, "context_tokens": prompt + new - 1}
    if more:
        return [{**keys, **more}]
    return [{**keys, "repetition": i, "round": i, "status": "ok", "ttft_ms": 10, **PROBES, "ttpt_ms": t, "e2e_ms": 10 + (new - 1) * t,
             "prefill_tok_s": batch * prompt / 0.01, "decode_tok_s": batch * 1000 / t,
             "output_tok_s": batch * new * 1000 / (10 + (new - 1) * t), "kv_live_bytes": live,
             "kv_reserved_bytes": live} for i, t in enumerate(ttpt, 1)]


def put_runs(folder, *generations):
    folder.mkdir(exist_ok=True)
    put_csv(folder, "runs.csv", [row for rows in generations for row in rows])


def tokens():
    for repetition in range(1, 7):
        for path in ("naive", "cached"):
            keys = generation(path, suite="trace")[0]
            for token in range(1, 12):
                latency = 1000000 + 1000 * repetition if path == "cached" else 500000 * (token + 5) + repetition
                cell = "/".join(prefix + str(keys[key]) for key, prefix in KEYS.items() if keys.get(key))
                yield {"cell": cell, "suite": "trace", "path": path, "batch": 1, "repetition": repetition,
                       "token": token, "context_tokens": token + 5, "latency_ns": latency}


def kernel(shape, repetition, gflops, rows=1, gbytes=5, context="", **more):
    product = {"kernel": "matmul", "weights": "f32", "gemm": "openblas", "n": 96, "k": 32}
    attention = {"kernel": "attention", "cache": "contiguous", "kv": "f32", "context_tokens": context}
    measured = {"repetition": repetition, "status": "ok", "seconds": 1e-5, "gflops": gflops, "gbytes_s": gbytes}
    return {"suite": "kernels", "shape": shape, "isa": "avx2", "threads": 2, "rows": rows, "limit_pct": "",
            **(attention if context else product), **(more or measured)}


def put_whole_run(folder):
    """Something of everything; naive takes 4 ms a token, cached 1 ms."""
    four, one = (4, 3.8, 4.2, 3.9, 4.1, 4), (1, 0.95, 1.05, 0.9, 1.1, 1)
    put_runs(folder, generation("naive", four), generation("cached", one, live=8192),
             generation("naive", four, batch=8), generation("cached", one, batch=8, live=65536),
             generation(batch=32, status="failed", error="no memory"),
             generation("naive", four, suite="trace"), generation("cached", one, suite="trace", live=8192),
             generation("naive", four, suite="grid", prompt=63, new=2),
             generation("cached", one, suite="grid", prompt=63, new=2, live=32768),
             generation("naive", four, suite="depth", new=3), generation("cached", one, suite="depth", new=3),
             generation("naive", [8] * 6, suite="depth", prompt=62, new=3),
             generation("cached", one, suite="depth", prompt=62, new=3),
             generation("naive", [4], suite="memory", prompt=64, new=1),
             generation("cached", [1], suite="memory", prompt=64, new=1, live=32768))
    put_csv(folder, "tokens.csv", tokens())
    put_csv(folder, "kernels.csv",
            [kernel("c_attn", 1, 2.5), kernel("c_attn", 2, 3.5), kernel("c_attn", 1, 80, rows=64),
             kernel("lm_head", 1, 0, rows=64, status="failed", error="no memory for the ring"),
             kernel("decode", 1, 4, context=64), kernel("decode", 1, 5, context=512)])
    put_csv(folder, "limits.csv",
            [{"moment": moment, "threads": 2, "isa": "avx2", "read_bytes_per_s": best, "read_bytes_per_s_median": 2.4e10,
              "fma_flop_per_s": 1.5e11, "fma_flop_per_s_median": 1.4e11} for moment, best in (("start", 2.5e10), ("end", 2.6e10))])
    (folder / "context.json").write_text(json.dumps(CONTEXT))


def put_pictures(folder):
    (folder / "figures").mkdir()
    for name in FIGURES.split():
        (folder / "figures" / (name + ".svg")).write_text(DRAWING)
    (folder / "kv_dashboard_l5_h0.gif").write_bytes(base64.b64decode(GIF))


# ---- What the page promises -----------------------------------------------------------------------------------


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kvbench-report-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, *arguments, **settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KVBENCH_")}
        return subprocess.run([PROGRAM, "report", *arguments], cwd=self.folder, env={**environment, **settings},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def report(self, *arguments, page="report.html"):
        """The page, which is balanced, complete and needs nothing else."""
        result = self.run_program(*(arguments or ["."]))
        self.assertEqual(result.returncode, 0, result.stderr)
        page = Page(self.folder / page)
        self.assertEqual(page.problems, [])
        self.assertEqual(sorted(page.ids), sorted(set(page.ids)))
        self.assertEqual(set(page.references) - set(page.ids), set())
        self.assertEqual([load for load in page.loads if not load.startswith("data:")], [])
        self.assertEqual(page.tags.count("script"), 1)  # the planner's
        self.assertNotRegex(page.source, r"https?:|url\(http")
        self.assertNotIn("{{", page.source)
        return page

    def refuses(self, status, part, *arguments):
        """One line on stderr that names the trouble; the page of an earlier call stays as it is, and nothing is left."""
        (self.folder / "report.html").write_text("earlier")
        result = self.run_program(*(arguments or ["."]))
        self.assertEqual(result.returncode, status)
        self.assertEqual((result.stdout, result.stderr.count("\n")), ("", 1))
        self.assertTrue(result.stderr.startswith("kvbench report: "))
        self.assertIn(part, result.stderr)
        self.assertEqual((self.folder / "report.html").read_text(), "earlier")
        self.assertEqual(list(self.folder.glob("**/*.kvbench-part-*")), [])

    def test_it_is_one_whole_page(self):
        put_whole_run(self.folder)
        put_pictures(self.folder)
        page = self.report()
        self.assertEqual(page.sections, "findings figures tables capacity machine warnings glossary".split())
        self.assertEqual(page.tags.count("svg"), 9)
        # three in each drawing, six in the contents, one to the tables
        self.assertEqual(len(page.references), 9 * 3 + 7 + 1)
        result = self.run_program(".")
        self.assertEqual((result.stdout, result.stderr), ("./report.html: 9 figures, 1 animation\n", ""))

    def test_every_figure_says_how_it_is_read(self):
        put_whole_run(self.folder)
        put_pictures(self.folder)
        page = self.report()
        self.assertEqual(page.text.count("How to read it."), 10)
        self.assertIn("a < b", page.text)
        self.assertIn("Figure 9.", page.text)
        self.assertNotIn("a title", page.text)
        self.assertEqual(page.images, ["data:image/gif;base64," + GIF])
        self.assertIn("<circle id='depth-dot' r='2'/><use xlink:href='#depth-dot' id='depth-dot2' fill='red'/>", page.source)
        self.assertIn('clip-path="url(#depth-clip)"', page.source)

    def test_findings_and_tables(self):
        put_whole_run(self.folder)
        text = self.report().text
        for part in (
            "What a KV cache does for tiny", "A CPU, 2 threads", "synthetic, seed 1", "openblas, avx2",
            "4.00 × speed of cached against naive, decoding at batch 8 95 % interval",
            "batch cached decodes 4.0 times as fast as naive at batch 8 (95 % interval",
            "keys and values that cached keeps for each token of a sequence",
            "the machine was steady: reading varied by 0 %",
            "Of 15 cells 1 failed and 0 were skipped", "failed: no memory",
            "1.00 0.900 to 1.10",  # TTPT of cached, and its interval
            "failed: no memory for the ring", "1 × 96 × 32 3.00 2.50 to 3.50",
        ):
            self.assertIn(part, text)

    def test_what_tells_little_stands_in_the_details(self):
        slow, fast, alike = (3.7, 3.8, 3.9, 4, 4.1, 4), (0.9, 0.95, 1, 1.05, 1.1, 1), (1, 2, 3, 4, 5, 6)
        put_runs(self.folder, generation("naive", slow), generation("cached", fast), generation("naive", slow, batch=2),
                 generation("cached", fast, batch=2), generation("naive", alike, batch=4),
                 generation("cached", alike, batch=4))
        first, details = self.report().source.split("<details>")
        self.assertIn("at batch 4 cached and naive decode equally fast", details)
        self.assertIn("as naive at batch 1 (", details)
        self.assertIn("as naive at batch 2 (", first)
        self.assertNotIn("as naive at batch 1 (", first)

    def test_machine_and_warnings(self):
        put_whole_run(self.folder)
        page = self.report()
        for part in (
            "Type Maker, family 6, model 85, stepping 7", "Features avx2, fma", "2 physical cores, 4 logical CPUs, 1 socket",
            "Caches L2 2 × 1 MiB, L3 1.5 KiB", "Memory 8 GiB Governor", "Governor powersave Turbo on",
            "Virtual machine no", "Commit 0123abc with local changes", "Command kvbench bench --out 'a b'",
            "Load at the start 0.50, 0.25, 0.10, averages", "Stolen by the host 0.50 % of the CPU time",
            "start 2 avx2 25.0 24.0 150 140", "note turbo is on: run echo 1",
        ):
            self.assertIn(part, page.text)
        self.assertIn("run <code>echo 1</code>", page.source)

    def test_calibration_of_this_machine(self):
        def put(machine="A CPU, 4 CPUs", found=95):
            (self.folder / "calibration.csv").write_text(
                f"machine,separation_s,n,log_ratio_q95\n\"{machine}\",10,30,0.1\n")
            (self.folder / "power.csv").write_text(
                "time_s,slowdown_pct,n,faster,slower,equal,undecided\n15,0,200,1,0,99,100\n60,0,200,0,2,190,8\n"
                f"15,10,100,0,{found},0,5\n60,10,100,0,100,0,0\n15,3,100,0,5,0,95\n60,3,100,0,40,0,60\n")

        put_whole_run(self.folder)
        self.assertNotIn("tells two programs apart", self.report().text)
        put()
        page = self.report()
        self.assertIn("How surely this machine tells two programs apart Of 400 contests of a program with itself, put "
                      "together from a recording, kvbench ab called 0.75 % faster or slower; it may 2 %. A slow-down of "
                      "10 % is found in 15 s (95 of 100 times), 3 % in 40 of 100 times even in 1 min. Its figure is not "
                      "here: kvbench plots .", page.text)
        put_pictures(self.folder)
        (self.folder / "figures" / "calibration.svg").write_text(DRAWING)
        page = self.report()
        self.assertEqual(page.tags.count("svg"), 10)
        self.assertIn("Verdicts by time How to read it.", page.text)
        put(machine="Another CPU, 2 CPUs")
        page = self.report()
        self.assertIn("is of another machine (Another CPU, 2 CPUs) and not used. kvbench calibrate measures it here.",
                      page.text)
        self.assertEqual(page.tags.count("svg"), 9)
        put(found=96)
        self.assertIn("cannot be read and is not used: ./power.csv line 4 has verdicts that do not add up; calibrate again",
                      self.report().text)
        (self.folder / "calibration.csv").write_text("what\n")
        self.assertIn('cannot be read and is not used: ./calibration.csv has no column "machine"', self.report().text)

    def test_terms_come_from_the_columns(self):
        put_runs(self.folder, generation())
        page = self.report()
        self.assertIn("TTFT time to first token: t 1 - t 0", page.text)
        self.assertIn("t<sub>N</sub>", page.source)

    def test_hostile_names_are_text(self):
        put_runs(self.folder, [{**generation(suite='<i>suite,"><script>alert(1)</script>', status="failed",
                                             error="</td><script>alert(2)</script>")[0],
                                "path": "<b>", "model": "<b>&amp;'&'m"}])
        (self.folder / "context.json").write_text(json.dumps(
            {"machine": {"cpu": {"name": '<u>CPU</u> & "x"'}, "os": 7}, "warnings": [{"text": "a <b> `c<d` `e"}]}))
        text = self.report().text
        for part in ("failed: </td><script>alert(2)</script>", '"><script>alert(1)</script>', "a <b> c<d `e",
                     "What a KV cache does for <b>&amp;'&'m", '<u>CPU</u> & "x"'):
            self.assertIn(part, text)

    def test_what_is_missing_has_a_remedy(self):
        put_runs(self.folder, generation("naive", [4]), generation("cached", [1]),
                 generation("naive", suite="trace", status="skipped", error="left out"))
        text = self.report().text
        for part in (
            "Batch size is not here: kvbench plots . draws it",
            "The run has no context.json", "The run has no limits.csv", "warning 2 cells were measured once",
        ):
            self.assertIn(part, text)
        # of figures that nobody asked for nothing is said, nor of those that the time did not suffice for
        self.assertNotIn("Every token of a long generation", text)
        self.assertNotIn("Kernels", text)
        result = self.run_program(".")
        self.assertEqual(result.stdout, "./report.html: 0 figures\n")
        self.assertEqual(result.stderr, "kvbench report: note: not drawn yet: benchmark_results, roofline; "
                                        "run kvbench plots ., then this again\n")

    def test_kernels_alone(self):
        put_whole_run(self.folder)
        (self.folder / "runs.csv").unlink()
        text = self.report().text
        self.assertIn("The run has no rows in runs.csv", text)
        self.assertIn("context 64", text)

    def test_damaged_drawings(self):
        put_whole_run(self.folder)
        (self.folder / "figures").mkdir()
        for drawing, complaint in (
            ("<svg viewBox='0 0 1 1'><g></svg>", "cut short"),
            ("<svg viewBox='0 0 1 1'><g/>", "cut short"),
            ("<svg viewBox='0 0 1 1'></svg></div>", "not well-formed"),
            ("<svg viewBox='0 0 1 1'></svg><p>", "not one SVG element"),
            ("<p>no drawing</p>", "not one SVG element"),
            ("<svg viewBox=0><g/></svg>", "not well-formed"),
            ("<svg><!-- no end </svg>", "cut short"),
            ("<svg><script>alert(1)</script></svg>", "more than a drawing"),
            ("<svg><foreignObject><p/></foreignObject></svg>", "more than a drawing"),
            ("<svg onload='alert(1)'></svg>", "event handler"),
            ("<svg><image href='https://example.org/a.png'/></svg>", "another file"),
            (" ", "cut short"),
        ):
            (self.folder / "figures" / "depth.svg").write_text(drawing)
            with self.subTest(drawing):
                self.refuses(1, complaint)
                self.refuses(1, "./figures/depth.svg")

    def test_damaged_files(self):
        put_whole_run(self.folder)
        for name, text, complaint in (
            ("kv_dashboard_l5_h0.gif", "GIF89a and no more", "./kv_dashboard_l5_h0.gif is not a whole GIF"),
            ("kv_dashboard_l5_h0.gif", "GIF89a, so it seems;", None),
            ("context.json", '{"machine": ', "./context.json cannot be read"),
            ("context.json", "[]", "it is no object"),
            ("context.json", "{}", None),
            ("limits.csv", "moment\nstart\n", "run_id"),
            ("limits.csv", "moment\nstart", "limits.csv"),
            ("limits.csv", None, None),
            ("kernels.csv", "kernel\nmatmul\n", "kernels.csv"),
            ("runs.csv", "suite\nbatch\n", "runs.csv"),
        ):
            if text is None:
                (self.folder / name).unlink()
            else:
                (self.folder / name).write_text(text)
            with self.subTest(name + ": " + str(text)):
                if complaint:
                    self.refuses(1, complaint)

    def put_pair(self):
        put_runs(self.folder / "now", generation(ttpt=[1 + 5 * i % 9 / 100 for i in range(9)]), generation(batch=2))
        put_runs(self.folder / "before", generation(ttpt=[2 + 5 * i % 9 / 50 for i in range(9)]), generation(batch=4))

    def test_against_an_earlier_run(self):
        self.put_pair()
        page = self.report("now", "--against", "before", "--out", "page.html", page="page.html")
        self.assertEqual(page.sections[-1], "changes")
        for part in ("Against the earlier run R1 , 1 results are faster, 0 slower, 0 equal, and 1 are not told apart",
                     "differences under 5.0 % could be the machine", "2.08 1.04 9+9 0.500 0.457 to 0.547 faster",
                     "2 cells not compared"):
            self.assertIn(part, page.text)

    def put_machines(self, slow=2.0, read=2e10):
        """A: 4 CPUs of 8 GiB. B: another CPU with half the memory, twice the bandwidth and as much arithmetic, slow times
        as slow in a batch of 8, 2.5 times as fast alone, and that with its second instruction set. read: A's, 0 unknown."""
        def rounds(time):
            return [time * (1 + 0.01 * (i % 3 - 1)) for i in range(9)]

        def put(name, context, read, arms):
            probes = {"probe_read_bytes_per_s": read or "", "probe_fma_flop_per_s": 1e11 if read else ""}
            put_runs(self.folder / name, *[
                [{**row, **probes, "isa": isa, "threads": threads, "bytes": 1e8, "flops": 5e7 * batch,
                  "prefill_bytes": 1e8, "prefill_flops": 1e10, "limit_pct": 50, "kv_live_bytes": 1000 * batch * 16,
                  "kv_reserved_bytes": 1000 * batch * 16, "ttft_ms": 10 if isa != "portable" else 11}
                 for row in generation(ttpt=rounds(time), batch=batch)]
                for isa, threads, batch, time in arms])
            (self.folder / name / "context.json").write_text(json.dumps(context))

        other = json.loads(json.dumps(CONTEXT))
        other["machine"]["cpu"] |= {"name": "Another CPU", "cpus_online": 8}
        other["machine"]["memory"]["total_bytes"] //= 2
        put("one", CONTEXT, read, [("avx512", 4, 1, 5), ("avx512", 4, 8, 10)])
        put("two", other, 2 * read, [("portable", 8, 1, 50), ("avx2", 8, 1, 2), ("avx2", 8, 8, 10 * slow)])

    def test_two_machines_side_by_side(self):
        self.put_machines()
        page = self.report("two", "--against", "one", "--out", "page.html", page="page.html")
        self.assertEqual(page.sections[-1], "machines")
        self.assertNotIn("changes", page.sections)
        # 5 % each, as nothing moved: e^sqrt(2 log(1.05)^2); bytes and flops take 5 and 1 ms, 2.5 and 4 ms of a batch of 8
        for part in ("Another machine stands beside this one, A CPU, 4 CPUs, 8 GiB : which is better for what",
                     "Tokens of one sequence B, 2.50 times as fast in the geometric mean; faster at 1 of 1 points. "
                     "Both are limited by memory bandwidth.",
                     "Tokens of a batch A, 2.00 times as fast in the geometric mean; faster at 1 of 1 points. A is limited "
                     "by memory bandwidth, B by arithmetic.",
                     "First tokens A and B are not told apart. Both are limited by arithmetic.",
                     "widened by 7 % for what the machines do by themselves (A by 5 % within its run, B by 5 % within its run)",
                     "CPU A CPU Another CPU", "CPUs 4 8", "memory, GiB 8.00 4.00",
                     "fastest with openblas, avx512, 4 threads openblas, avx2, 8 threads",
                     "reads, GB/s 20.0 40.0", "computes, GFLOP/s 100 100", "flops for a byte 5.00 2.50",
                     "commit 0123abc with changes 0123abc with changes",
                     "batch 1 6 11 f32 f32 5.00 4.95 to 5.05 2.00 1.98 to 2.02 0.400 0.",
                     "B memory bandwidth 50 % of it memory bandwidth 50 % of it",
                     # B: 2 ms of 1 sequence, 20 ms of 8, so 4 in 9.71 ms
                     "What both serve context goal, ms serves more A, sequences B, sequences A is limited by B is limited "
                     "by 12 10 A 8 800 tok/s 4 412 tok/s memory bandwidth"):
            self.assertIn(part, page.text)
        ratio = page.text.split("2.00 1.98 to 2.02 0.400 ")[1].split()
        self.assertLess(float(ratio[0]), 0.4 / 1.07)
        self.assertGreater(float(ratio[2]), 0.4 * 1.07)
        self.assertLess(float(ratio[2]), 0.4 * 1.10)

    def test_two_machines_that_are_not_told_apart(self):
        self.put_machines(slow=1.06)
        page = self.report("two", "--against", "one", "--out", "page.html", page="page.html")
        self.assertIn("Tokens of a batch A and B are not told apart.", page.text)
        self.put_machines(slow=1.12)
        page = self.report("two", "--against", "one", "--out", "page.html", page="page.html")
        self.assertIn("Tokens of a batch A, 1.12 times as fast", page.text)
        # without probes nobody knows what the machines did, and what limits them
        self.put_machines(slow=2.5, read=0)
        page = self.report("two", "--against", "one", "--out", "page.html", page="page.html")
        self.assertIn("Tokens of a batch A and B are not told apart. Each machine", page.text)
        self.assertIn("widened by 167 % for what the machines do by themselves (A by 100 % within its run, B by 100 %", page.text)
        self.assertIn("reads, GB/s – –", page.text)

    def test_two_machines_with_nothing_in_common(self):
        self.put_machines()
        put_runs(self.folder / "one", generation(batch=3))
        self.refuses(1, "--against: one/runs.csv and two/runs.csv have no timed generation in common", "two", "--against",
                     "one")

    def test_nothing_to_compare(self):
        self.put_pair()
        self.refuses(1, "--against: nowhere", "now", "--against", "nowhere")
        put_runs(self.folder / "before")
        self.refuses(1, "--against: ", "now", "--against", "before")

    def test_the_latest_run_is_the_default(self):
        (self.folder / "results").mkdir()
        put_runs(self.folder / "results" / "latest", generation())
        self.assertIn("results/latest/report.html: 0 figures", self.run_program().stdout)
        result = self.run_program(KVBENCH_RESULTS=".")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("./latest: ", result.stderr)

    def test_bad_usage(self):
        self.refuses(2, "'b'", "a", "b")
        self.refuses(2, "outt", "--outt", "x")
        self.refuses(1, "nowhere", "nowhere")
        put_runs(self.folder, generation())
        self.refuses(1, "nowhere/page.html", ".", "--out", "nowhere/page.html")
        self.assertIn("--against DIR", self.run_program("--help").stdout)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    COLUMNS = list(csv.DictReader(subprocess.run([PROGRAM, "columns", "--format", "csv"], capture_output=True, text=True,
                                                 check=True).stdout.splitlines()))
    unittest.main()
