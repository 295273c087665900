"""Reads and writes CSV files with Python's csv module, as a judge that is not our own code.

    check_csv.py read FILE         prints the rows as JSON, an array of arrays of strings
    check_csv.py write FILE ROWS   writes such rows in RFC 4180's own form, lines ending with CR LF
"""

import csv
import json
import sys


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        print(json.dumps(list(csv.reader(file, strict=True)), ensure_ascii=False))


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(json.loads(rows))


def main(arguments):
    commands = {("read", 2): read, ("write", 3): write}
    command = commands.get((arguments[0], len(arguments))) if arguments else None
    if command is None:
        sys.exit(__doc__)
    sys.stdout.reconfigure(encoding="utf-8")
    command(*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
