"""Compares a run that was killed and resumed with one of the same seed that was not: the same rows, each once, in both files,
at the same places of the same rounds. What the machine stalled is left out: it stalls nobody twice at one place.

    check_resume.py WHOLE RESUMED N_RUNS N_TOKENS    exit status 1 with what differs, or where there are fewer rows
"""
import csv
import sys

RUN_KEY = ["cell", "repetition", "status", "round", "place"]
TOKEN_KEY = ["cell", "repetition", "token", "context_tokens"]


def keys(folder, name, columns):
    with open(f"{folder}/{name}", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, strict=True) if row.get("status") != "stalled"]
        return [tuple(row[column] for column in columns) for row in rows]


for name, columns, least in (("runs.csv", RUN_KEY, sys.argv[3]), ("tokens.csv", TOKEN_KEY, sys.argv[4])):
    whole, resumed = (keys(folder, name, columns) for folder in sys.argv[1:3])
    if len(set(resumed)) != len(resumed):
        sys.exit(f"{name}: a row stands twice")
    for what, rows in (("more rows", set(resumed) - set(whole)), ("rows are missing", set(whole) - set(resumed))):
        if rows:
            sys.exit(f"{name}: {what}, for instance {min(rows)}")
    if len(resumed) < int(least):
        sys.exit(f"{name}: {len(resumed)} rows are too few for a test")
