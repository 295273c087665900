"""Makes the C file that holds the style sheet, the script, the parts of page.html, what is said of figures, and which facts are told."""
import base64
import hashlib
import re
import sys


def literal(text):
    """As bytes: a string literal has its limit in C."""
    return "(const char[]){" + ",".join(str(b if b < 128 else b - 256) for b in text.encode()) + ",0}"


def parts(text):
    """[(name, text)] of what stands between the lines <!-- part NAME -->; a note may follow the name and a colon."""
    pieces = re.split(r"<!-- part ([\w ]+?)(?::.*?)? -->\n", text)
    if pieces[0]:
        sys.exit("page.html has to begin with a part")
    return list(zip(pieces[1::2], pieces[2::2]))


def sections(text):
    """[(name, [(key, value)])] of [NAME] and KEY: VALUE; lines that are indented belong to the one before."""
    lines = re.sub(r"\n +", " ", re.sub(r"(?m)^#.*\n", "", text)).split("\n")
    found = []
    for line in filter(None, lines):
        if line.startswith("["):
            found.append((line[1:-1], []))
        else:
            found[-1][1].append(line.split(": ", 1))
    return found


style, page, figures, facts, script = (open(name, encoding="utf-8").read() for name in sys.argv[1:6])
with open(sys.argv[6], "w", encoding="utf-8") as file:
    print('/* Made by embed.py. */\n#include "report/html.h"\n', file=file)
    print("const char *const kv_page_style = %s;" % literal(style), file=file)
    print("const char *const kv_page_script = %s;" % literal(script), file=file)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    print('const char *const kv_page_script_hash = "sha256-%s";' % digest, file=file)
    print("const struct kv_page_part kv_page_parts[] = {", file=file)
    for name, text in parts(page):
        print("{%s,%s}," % (literal(name), literal(text)), file=file)
    print("{0}};\nconst struct kv_figure_text kv_figure_texts[] = {", file=file)
    for name, values in sections(figures):
        print("{.name=%s%s}," % (literal(name), "".join(",.%s=%s" % (k, literal(v)) for k, v in values)), file=file)
    print("{0}};\nconst struct kv_fact_text kv_fact_texts[] = {", file=file)
    for name, values in sections(facts):
        print("{.title=%s}," % literal(name), file=file)
        for title, pieces in values:
            print("{%s,%s}," % (literal(title), literal(pieces.replace("| ", "|"))), file=file)
    print("{0}};", file=file)
