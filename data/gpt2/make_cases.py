#!/usr/bin/env python3
"""Writes more_cases.json: texts with the ids that two tokenizers agree on, neither of which is this project's.

One is GPT-2's algorithm as its paper tells it, below, with the pattern run by the module `regex`; the other is
OpenAI's `tiktoken`, given the same list of merges. Needs both modules and no network: python3 make_cases.py
"""
import json
import pathlib
import random
import unicodedata

import regex
import tiktoken

HERE = pathlib.Path(__file__).resolve().parent
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
# Characters that later versions of Unicode added are left out: what they are depends on a library's age.
UNICODE = "14.0.0"


def byte_characters():
    """The character that stands for each byte in vocab.bpe, in the order of their ids."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


CHARACTERS = byte_characters()
BYTES = {character: byte for byte, character in CHARACTERS.items()}
MERGES = [tuple(line.split(" ")) for line in (HERE / "vocab.bpe").read_text("utf-8").split("\n")[1:-1]]
RANKS = {pair: rank for rank, pair in enumerate(MERGES)}
IDS = {token: i for i, token in enumerate([*CHARACTERS.values(), *("".join(pair) for pair in MERGES)])}


def merge(piece):
    """The tokens of one piece: all occurrences of the best pair become one, until no pair can merge."""
    word = [CHARACTERS[byte] for byte in piece.encode()]
    while True:
        known = [pair for pair in zip(word, word[1:]) if pair in RANKS]
        if not known:
            return word
        best, merged, i = min(known, key=RANKS.get), [], 0
        while i < len(word):
            step = 2 if tuple(word[i : i + 2]) == best else 1
            merged.append("".join(word[i : i + step]))
            i += step
        word = merged


def reference(text):
    return [IDS[token] for piece in regex.findall(PATTERN, text) for token in merge(piece)]


def openai():
    ranks = {bytes(BYTES[c] for c in token): i for token, i in IDS.items()}
    return tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})


def by_category():
    """All code points that UTF-8 can hold, by general category."""
    categories = {}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category not in ("Cs", "Cn"):
            categories.setdefault(category, []).append(chr(code))
    return categories


def category_texts(source, categories):
    """Ten texts of each category, alone and among letters and spaces; then all categories mixed."""
    for characters in categories.values():
        for length in (1, 2, 3, 5, 8, 13, 21):
            yield "".join(source.choices(characters, k=length))
        for frame in ("a{}b", " {} ", "1{0} {0}"):
            yield frame.format("".join(source.choices(characters, k=3)))
    for _ in range(60):
        yield "".join(source.choice(categories[source.choice(list(categories))]) for _ in range(24))


def space_texts(source):
    spaces = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
    no_spaces = "\u180e\u200b\u2060\ufeff\x1c\x1d\x1e\x1f\x00\x7f"
    for character in spaces + no_spaces:
        yield f"a{character}b{character}{character}c {character}{character} d{character}"
    for _ in range(80):
        yield "".join(source.choice([" ", "  ", "\n", "\t", "\r\n", "\xa0", "word", "7", ".", "\u180e"]) for _ in range(16))


def mixed_texts(source):
    parts = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "''", "\u2019s", " ", "  ", "we", "It", "42", "!",
             "<|endoftext|>", "-", "é", "e\u0301", "ß", "日本", "한국어", "\n"]
    for _ in range(120):
        yield "".join(source.choices(parts, k=12))


FIXED = [
    "👩‍👩‍👧‍👦", "👍🏽👍🏿", "🏳️‍🌈", "🇫🇷🇯🇵", "❤️ ❤", "1️⃣2️⃣", "🧑🏾‍🚀 in space", "😀" * 40,
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!", "a\u0300\u0301\u0302 b", "\u0301", "ﬁ ﬂ ĳ ǆ", "İstanbul ıI", "ΣΑΣ σας",
    "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ ١٢٣", "שָׁלוֹם עולם", "हिन्दी में लिखा", "ภาษาไทยไม่มีช่องว่าง", "中文，没有空格。", "ひらがなカタカナ漢字", "한국어 문장입니다.",
    "Привет, мир! Ещё раз.", "Γειά σου Κόσμε", "Xin chào thế giới", "ქართული ენა", "አማርኛ", "தமிழ் மொழி", "\u202eRTL\u202c mark", "x\u200dy\u200cz",
    "The quick brown fox jumps over the lazy dog.", "if (x == 0) {\n\treturn *p++;\n}\n", "https://example.org/a?b=c&d=%20#e", "3.14159e-10 0xDEADBEEF 1_000",
    "    four spaces\n\t\ttabs\n\n\n", "CamelCaseAndsnake_case", "antidisestablishmentarianism", "SolidGoldMagikarp rawdownloadcloneembedreportprint",
    "<|endoftext|><|endoftext|>", "<|endoftext", "|>", "<|ENDOFTEXT|>", "½¾ ⅷ Ⅻ ² ③ 五", "$€£¥ ± × ÷ ≠ ∞", "“quotes” ‘single’ —dash– …",
]
RUNS = ["a", "A", "e", "z", " ", "\n", "\t", "0", "9", ".", "-", "=", "'", "é", "日", "😀", "ab", "the", " a", "'s", "\xa0", "ÃÂ"]


def texts():
    source = random.Random(2)
    yield from FIXED
    for run in RUNS:
        for count in (2, 3, 4, 7, 16, 63, 300):
            yield run * count
    yield from category_texts(source, by_category())
    yield from space_texts(source)
    yield from mixed_texts(source)


def main():
    if unicodedata.unidata_version != UNICODE:
        raise SystemExit(f"this Python knows Unicode {unicodedata.unidata_version}; run one that knows {UNICODE}")
    other = openai()
    lines = []
    for text in dict.fromkeys(texts()):
        ids = reference(text)
        if ids != other.encode_ordinary(text):
            raise SystemExit(f"the two disagree about {text!r}")
        lines.append(json.dumps({"text": text, "ids": ids}, separators=(",", ":")))
    (HERE / "more_cases.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "ascii")
    print(f"more_cases.json: {len(lines)} texts")


if __name__ == "__main__":
    main()
