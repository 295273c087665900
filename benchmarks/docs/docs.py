#!/usr/bin/env python3
"""Usage: docs.py PROGRAM OUTPUT manual VERSION | bash | zsh | fish

Writes the manual pages (a page a command and one of all, into the folder OUTPUT) or a shell's completion (into the file
OUTPUT), from what PROGRAM tells with --help=json: the table of commands, and each command's table of options.
"""

import json
import os
import re
import shlex
import subprocess
import sys

# What the door does, and not the program.
PLOTS = {
    "command": "plots",
    "usage": "[DIR]",
    "summary": "Draws the figures of a run again, from its CSV files alone, into DIR/figures.",
    "options": [{"name": "DIR", "letter": "", "argument": None, "operand": True, "choices": [],
                 "help": "folder of a run or of a training, or NAME.kvbench (default: latest in $KVBENCH_RESULTS)"}],
}
HELP = {"name": "help", "letter": "h", "argument": None, "help": "show this and stop", "operand": False, "choices": []}


def read(program):
    """[(name, summary in a line, table of options)]"""
    def ask(*words):
        said = subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(said.stdout)

    commands = [(c["name"], c["summary"], ask(c["name"], "--help=json")) for c in ask("--help=json")]
    commands.append(("plots", "draw the figures of a run again", PLOTS))
    for _, _, table in commands:
        table["options"].append(HELP)
    return sorted(commands)


# ---- Manual pages


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def option_lines(option):
    names = [option["name"]] if option["operand"] else (
        [f"-{option['letter']}"] if option["letter"] else []) + [f"--{option['name']}"]
    line = ", ".join(f"\\fB{roff(name)}\\fR" for name in names)
    if option["argument"]:
        line += f" \\fI{roff(option['argument'])}\\fR"
    return [".TP", line, roff(" ".join([option["help"], ", ".join(option["choices"])]).strip())]


def page(name, version, summary, synopsis, description, rest):
    lines = [f'.TH {name.upper()} 1 "" "kvbench {version}" "User Commands"', ".SH NAME",
             f"{roff(name)} \\- {roff(summary)}", ".SH SYNOPSIS"]
    for usage in synopsis:
        lines += [f".B {roff(usage)}", ".br"]
    return "\n".join(lines[:-1] + [".SH DESCRIPTION", roff(description)] + rest) + "\n"


def write_manual(commands, folder, version):
    os.makedirs(folder, exist_ok=True)
    pages = {}
    for name, summary, table in commands:
        rest = [".SH OPTIONS"] + [line for option in table["options"] for line in option_lines(option)]
        rest += [".SH SEE ALSO", "\\fBkvbench\\fR(1)"]
        synopsis = f"kvbench {name} {table['usage']}".split("\n")
        pages[f"kvbench-{name}"] = page(f"kvbench-{name}", version, summary, [s.strip() for s in synopsis],
                                        table["summary"], rest)
    rest = [".SH COMMANDS"]
    for name, summary, _ in commands:
        rest += [".TP", f"\\fB{roff(name)}\\fR", f"{roff(summary)}; \\fBkvbench\\-{roff(name)}\\fR(1)"]
    rest += [".SH ENVIRONMENT", ".TP", "\\fBKVBENCH_RESULTS\\fR", "folder of all runs (default: results)",
             ".TP", "\\fBKVBENCH_MODELS\\fR", "folder of the published models",
             ".SH EXIT STATUS", "0 done, 1 the run failed, 2 bad usage."]
    pages["kvbench"] = page("kvbench", version, "what a KV cache does for GPT-2 inference, measured",
                            ["kvbench COMMAND [OPTIONS]"],
                            "Measures what a KV cache does for language-model inference, and draws it.", rest)
    for name, text in pages.items():
        with open(os.path.join(folder, name + ".1"), "w", encoding="utf-8") as file:
            file.write(text)


# ---- Completions


def words(option):
    if option["operand"]:
        return []
    return [f"--{option['name']}"] + ([f"-{option['letter']}"] if option["letter"] else [])


def bash(commands):
    options, choices = [], []
    for name, _, table in commands:
        options.append(f"    {name}) words={shlex.quote(' '.join(w for o in table['options'] for w in words(o)))} ;;")
        for option in table["options"]:
            if option["choices"] and words(option):
                case = " | ".join(f"'{name} {word}'" for word in words(option))
                choices.append(f"    {case}) words={shlex.quote(' '.join(option['choices']))} ;;")
    names = " ".join(name for name, _, _ in commands)
    return f"""# bash completion of kvbench
_kvbench() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W '{names}' -- "$word")
        return
    fi
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD - 1]}}" in
{chr(10).join(choices)}
    esac
    if [ -z "$words" ] && [ "${{word#-}}" != "$word" ]; then
        case ${{COMP_WORDS[1]}} in
{chr(10).join("    " + line for line in options)}
        esac
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}}
complete -o default -F _kvbench kvbench
"""


def zsh(commands):
    def clean(text):
        return re.sub(r"[\[\]:\\]", " ", text)

    lines = ["#compdef kvbench", "", "local -a commands=("]
    lines += [f"    {shlex.quote(name + ':' + clean(summary))}" for name, summary, _ in commands]
    lines += [")", "if ((CURRENT == 2)); then", "    _describe command commands", "    return", "fi",
              "case $words[2] in"]
    for name, _, table in commands:
        lines.append(f"{name})")
        specs = []
        for option in table["options"]:
            value = f":{clean(option['argument'])}:" if option["argument"] else ""
            if value:
                value += f"({' '.join(option['choices'])})" if option["choices"] else "_files"
            specs += [shlex.quote(f"{word}[{clean(option['help'])}]{value}") for word in words(option)]
        lines += ["    shift words", "    ((CURRENT--))", "    _arguments \\"]
        lines += [f"        {spec} \\" for spec in specs] + ["        '*:file:_files'", "    ;;"]
    return "\n".join(lines + ["esac", ""])


def fish(commands):
    def quote(text):
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = ["# fish completion of kvbench"]
    for name, summary, table in commands:
        lines.append(f"complete -c kvbench -n __fish_use_subcommand -f -a {name} -d {quote(summary)}")
        for option in filter(words, table["options"]):
            line = f"complete -c kvbench -n '__fish_seen_subcommand_from {name}' -l {option['name']}"
            line += f" -s {option['letter']}" if option["letter"] else ""
            line += " -r" if option["argument"] else ""
            line += f" -f -a {quote(' '.join(option['choices']))}" if option["choices"] else ""
            lines.append(f"{line} -d {quote(option['help'])}")
    return "\n".join(lines + [""])


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    program, output, kind = sys.argv[1:4]
    commands = read(program)
    if kind == "manual":
        write_manual(commands, output, sys.argv[4])
        return
    with open(output, "w", encoding="utf-8") as file:
        file.write({"bash": bash, "zsh": zsh, "fish": fish}[kind](commands))


main()
