"""Compares a run that was killed and resumed with one that was not: the same rows, each once, in both files.

    check_resume.py WHOLE RESUMED    prints JSON: {"runs": rows, "tokens": rows, "problems": [...]}
"""
import csv
import json
import sys

RUN_KEY = ["cell", "repetition", "status"]
TOKEN_KEY = ["cell", "repetition", "token", "context_tokens"]


def keys(folder, name, columns):
    with open(f"{folder}/{name}", newline="", encoding="utf-8") as file:
        return [tuple(row[column] for column in columns) for row in csv.DictReader(file, strict=True)]


problems = []
counts = {}
for name, columns in (("runs.csv", RUN_KEY), ("tokens.csv", TOKEN_KEY)):
    whole, resumed = (keys(folder, name, columns) for folder in sys.argv[1:3])
    counts[name[:-4]] = len(resumed)
    if len(set(resumed)) != len(resumed):
        problems.append(f"{name}: a row stands twice")
    if set(resumed) - set(whole):
        problems.append(f"{name}: more rows, for instance {sorted(set(resumed) - set(whole))[0]}")
    if set(whole) - set(resumed):
        problems.append(f"{name}: rows are missing, for instance {sorted(set(whole) - set(resumed))[0]}")
print(json.dumps({**counts, "problems": problems}))
