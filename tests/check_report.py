"""Reads a report with a parser that is not ours and prints what is in it as JSON."""
import html.parser
import json
import sys

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Report(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.loads = [], [], [], [], []
        self.problems, self.text, self.sections, self.images = [], [], [], []

    def look(self, tag, attributes):
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
        self.look(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.look(tag, attributes)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append("</%s> at %s" % (tag, self.getpos()))

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


with open(sys.argv[1], encoding="utf-8") as file:
    source = file.read()
report = Report()
report.feed(source)
report.close()
json.dump({
    "problems": report.problems + ["<%s> is not closed" % tag for tag in report.open],
    "sections": report.sections,
    "duplicates": sorted({i for i in report.ids if report.ids.count(i) > 1}),
    "dangling": sorted(set(report.references) - set(report.ids)),
    "n_references": len(report.references),
    "loads": [load for load in report.loads if not load.startswith("data:")],
    "images": report.images,
    "drawings": report.tags.count("svg"),
    "scripts": report.tags.count("script"),
    "addresses": source.count("http:") + source.count("https:") + source.count("url(http"),
    "text": " ".join(" ".join(report.text).replace("\u00a0", " ").split()),
}, sys.stdout)
