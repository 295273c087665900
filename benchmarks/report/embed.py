"""Makes the C file that holds the style sheet, the parts of page.html and what is said of the figures."""
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


def figures(text):
    """[{name, suite, title, reading, caption}]; lines that are indented belong to the one before."""
    lines = re.sub(r"\n +", " ", re.sub(r"(?m)^#.*\n", "", text)).split("\n")
    found = []
    for line in filter(None, lines):
        if line.startswith("["):
            found.append({"name": line[1:-1]})
        else:
            key, value = line.split(": ", 1)
            found[-1][key] = value
    return found


style, page, captions = (open(name, encoding="utf-8").read() for name in sys.argv[1:4])
with open(sys.argv[4], "w", encoding="utf-8") as file:
    print('/* Made by embed.py. */\n#include "report/html.h"\n', file=file)
    print("const char *const kv_page_style = %s;" % literal(style), file=file)
    print("const struct kv_page_part kv_page_parts[] = {", file=file)
    for name, text in parts(page):
        print("{%s,%s}," % (literal(name), literal(text)), file=file)
    print("{0}};\nconst struct kv_figure_text kv_figure_texts[] = {", file=file)
    for figure in figures(captions):
        print("{%s}," % ",".join(".%s=%s" % (key, literal(value)) for key, value in figure.items()), file=file)
    print("{0}};", file=file)
