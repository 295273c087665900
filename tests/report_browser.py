#!/usr/bin/env python3
"""The report of the reference run as Chromium shows it, its figures drawn by plots/. Prints TAP.

    report_browser.py KVBENCH

Exit status: 0 all is as it should be, 1 it is not, 77 skipped, with the reason, where Chromium or Selenium is missing.
"""

import base64
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

SKIPPED = 77
DEBIANS_PYTHON = "/usr/bin/python3"
PROJECT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = "benchmark_results token_latency time_vs_cache speedup_grid depth memory roofline kernels latency_distribution"

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:
    # Debian's package is for Debian's Python, which need not be the first on PATH.
    if sys.executable != DEBIANS_PYTHON and os.access(DEBIANS_PYTHON, os.X_OK):
        os.execv(DEBIANS_PYTHON, [DEBIANS_PYTHON, *sys.argv])
    print("skipped: no Selenium; Debian's package python3-selenium has it")
    sys.exit(SKIPPED)


def make_report(program, folder):
    """The page of a whole run, compared with itself, beside an animated picture."""
    reference = PROJECT / "data" / "results" / "reference"
    for file in reference.iterdir():
        shutil.copy(file, folder)
    shutil.copy(PROJECT / "plots" / "gallery" / "kv_dashboard_l2_h0.gif", folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KVBENCH_")}
    environment["KVBENCH_PROGRAM"] = str(program)
    for command in ([PROJECT / "plots" / "render.sh", folder], [program, "report", folder, "--against", reference]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return folder / "report.html"


class Page:
    def __init__(self, file, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"):
            options.add_argument(argument)
        if os.geteuid() == 0:
            # The sandbox refuses root, as which containers run tests.
            options.add_argument("--no-sandbox")
        options.add_argument(f"--user-data-dir={folder / 'profile'}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.resize(1200, 900)
        self.driver.get(file.as_uri())

    def call(self, method, **parameters):
        return self.driver.execute_cdp_cmd(method, parameters)

    def value(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def resize(self, width, height=844):
        """A phone's window, or from 1000 pixels on a desk's."""
        phone = width < 1000
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1 + phone, mobile=phone
        )

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])


def no_console_message(page):
    assert page.value("document.readyState") == "complete"
    messages = page.driver.get_log("browser")
    assert not messages, messages


def check_pictures(page):
    """Each figure is there, in order, and so is what is drawn in it; the animated picture comes last."""
    boxes = page.value(
        "[...document.querySelectorAll('figure')].map(f => { const p = [...f.querySelectorAll("
        "'svg, img')].find(e => e.checkVisibility()), b = p.getBoundingClientRect(); return [f.id, b.width, b.height, p.getBBox ? p.getBBox().width : b.width] })"
    )
    assert [box[0] for box in boxes[:-1]] == ["figure-" + name for name in FIGURES.split()], boxes
    assert all(side >= 200 for box in boxes for side in box[1:]), boxes


def pictures_are_visible(page):
    check_pictures(page)
    page.prefer("dark")
    check_pictures(page)
    page.resize(390)
    check_pictures(page)
    # each symbol of a drawing is one of its own
    uses = page.value(
        "[...document.querySelectorAll('use')].map(u => u.closest('svg').contains(document.querySelector("
        "u.getAttribute('xlink:href') || u.getAttribute('href'))))"
    )
    assert len(uses) > 50 and all(uses)


# Of the drawing of a figure that is seen: its box, and the middle of each text by its words.
DRAWING = """(() => {
    const seen = [...document.querySelectorAll('#figure-%s svg')].filter(s => s.checkVisibility());
    const box = e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] };
    const texts = [...seen[0].querySelectorAll('text')].map(t => [t.textContent.trim(), box(t)]);
    return [seen.length, box(seen[0]), texts];
})()"""


def place_of(texts, words):
    found = [box for text, box in texts if text.startswith(words)]
    assert len(found) == 1, f"{len(found)} texts begin with {words}"
    return found[0]


# What begins the titles of the panels of a drawing for phones, from the top.
ON_PHONES = {
    "benchmark_results": ("Time per token", "Decode throughput", "Peak KV memory", "Time to first token"),
    "memory": ("Batch 1", "Batch 2", "Batch 4", "Batch 8"),
    "kernels": ("c_attn", "attn_proj", "c_fc", "mlp_proj", "lm_head", "attention, decode", "attention, prefill"),
}


def phones_have_one_column(page):
    for name, titles in ON_PHONES.items():
        page.resize(390)
        n, box, texts = page.value(DRAWING % name)
        assert n == 1 and 0 <= box[0] and box[2] <= 390 and box[3] - box[1] > 2 * (box[2] - box[0]), (name, box)
        outside = [text for text in texts if not (box[0] <= text[1][0] and text[1][2] <= box[2])]
        assert not outside, f"{name}: {outside}"
        card = f"[...document.querySelectorAll('#figure-{name} .canvas')].find(c => c.checkVisibility())"
        assert page.value(f"{card}.scrollWidth <= {card}.clientWidth"), f"{name} scrolls sideways"
        panels = [place_of(texts, words) for words in titles]
        assert all(abs(panel[0] - panels[0][0]) < 1 for panel in panels), (name, panels)
        assert all(below[1] - above[1] > 150 for above, below in zip(panels, panels[1:])), (name, panels)
        page.resize(1200)
        n, box, texts = page.value(DRAWING % name)
        assert n == 1 and box[2] - box[0] > box[3] - box[1], (name, box)


def memory_fills_its_rows(page):
    page.resize(1200)
    n, box, texts = page.value(DRAWING % "memory")
    one, two, four, eight = (place_of(texts, f"Batch {b}") for b in (1, 2, 4, 8))
    assert abs(one[1] - two[1]) < 1 and abs(four[1] - eight[1]) < 1 and four[1] - one[1] > 100, texts
    assert two[0] - one[0] > 0.4 * (box[2] - box[0]) and abs(eight[0] - two[0]) < 1, texts


# Mark and colour of each series of the legend: the mark that stands left of its words.
SERIES = """(() => {
    const svg = [...document.querySelectorAll('#figure-kernels svg')].find(s => s.checkVisibility());
    const middle = b => (b.top + b.bottom) / 2;
    const marks = [...svg.querySelectorAll('use')].map(u => [u, u.getBoundingClientRect()]);
    const is_series = t => / (avx512|avx2|portable|amx)$/.test(t.textContent.trim());
    return [...svg.querySelectorAll('text')].filter(is_series).map(t => {
        const words = t.getBoundingClientRect();
        const own = marks.filter(([u, b]) => Math.abs(middle(b) - middle(words)) < 6 && b.right < words.left
                                             && b.left > words.left - 60);
        return own.map(([u]) => u.getAttribute('xlink:href') + getComputedStyle(u).color).join();
    });
})()"""


def series_of_kernels_differ(page):
    for width in (390, 1200):
        page.resize(width)
        series = page.value(SERIES)
        assert len(series) >= 5 and all(series) and len(set(series)) == len(series), (width, series)


# Of the drawings that are seen: their footnotes, which begin at the left edge, and the texts that lie on one.
FOOTNOTES = """(() => {
    const box = t => t.getBoundingClientRect(), overlap = (a, b) => [
        Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
    const notes = [], on_them = [];
    for (const svg of document.querySelectorAll('figure svg')) {
        if (!svg.checkVisibility()) continue;
        const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim()), canvas = box(svg);
        const own = texts.filter(t => box(t).left < canvas.left + 0.04 * canvas.width
                                      && box(t).top > canvas.top + 0.8 * canvas.height && t.textContent.length > 12);
        notes.push(...own.map(t => t.textContent));
        for (const note of own) for (const text of texts) {
            const [width, height] = overlap(box(note), box(text));
            if (note !== text && width > 1 && height > 3) on_them.push(text.textContent + ' on ' + note.textContent);
        }
    }
    return [notes, on_them];
})()"""


def nothing_lies_on_a_footnote(page):
    for width in (390, 1200):
        page.resize(width)
        notes, on_them = page.value(FOOTNOTES)
        assert len(notes) >= len(FIGURES.split()) and not on_them, on_them


def fits_the_window(page):
    for width in (320, 390, 768, 1200):
        page.resize(width)
        shown = page.value("document.documentElement.scrollWidth")
        assert shown <= width, f"the page is {shown} px wide in a window of {width} px"


# WCAG 2.1: relative luminance, and the contrast of a text and what lies behind it.
LEAST_CONTRAST = """(() => {
    const light = c => {
        const [r, g, b] = c.match(/[0-9.]+/g).map(v => v / 255).map(
            v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const behind = e => {
        for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (!c.endsWith(', 0)')) return c;
        }
    };
    const texts = 'p, li, a, th, td, dt, dd, .range, .soft, h1 em, summary, figcaption, .numbers b, .notes b';
    return Math.min(...[...document.querySelectorAll(texts)].map(e => {
        const a = light(getComputedStyle(e).color), b = light(behind(e));
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    }));
})()"""


def light_and_dark(page):
    red = "Number(getComputedStyle({}).backgroundColor.match(/[0-9]+/)[0])"
    for scheme, is_right in (("light", lambda value: value > 200), ("dark", lambda value: value < 60)):
        page.prefer(scheme)
        assert is_right(page.value(red.format("document.body"))), scheme
        contrast = page.value(LEAST_CONTRAST)
        assert contrast >= 4.5, f"{scheme}: a text has a contrast of {contrast:.2f} to what is behind it"
    # drawings keep the white they were made for
    assert page.value(red.format("document.querySelector('.canvas')")) == 255


def prints(page):
    pdf = base64.b64decode(page.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 75000
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.value("[...document.querySelectorAll('figure')].every(f => getComputedStyle(f).breakInside === 'avoid')")
    hidden = "[...document.querySelectorAll('details li')].filter(l => !l.checkVisibility({contentVisibilityAuto: true}))"
    assert page.value(hidden + ".length") == 0


def run_tests(page):
    """Returns whether one failed."""
    tests = (no_console_message, pictures_are_visible, phones_have_one_column, memory_fills_its_rows,
             series_of_kernels_differ, nothing_lies_on_a_footnote, fits_the_window, light_and_dark, prints)
    failed = False
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            test(page)
            print(f"ok {number} {test.__name__}")
        except Exception:
            failed = True
            print(f"not ok {number} {test.__name__}")
            print("# " + traceback.format_exc().replace("\n", "\n# "))
    return failed


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        if not shutil.which(program):
            print(f"skipped: no {program} on PATH; Debian's package {package} has it")
            sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        page = Page(make_report(sys.argv[1], folder), folder)
        try:
            sys.exit(run_tests(page))
        finally:
            page.driver.quit()


main()
