# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md, of everything measured so far; what was not measured here stays as it was."""
import os
import platform
import re

from common import say
from netlab import TOP

DOCS = os.path.join(TOP, "docs")


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(row, key):
    """The value, and in brackets the least and the greatest of the rounds."""
    value, every = row.get(key), row.get("all_" + key) or []
    if value is None:
        return "-"
    text = number(value) if isinstance(value, float) else str(value)
    if len(every) > 1:
        text += f" ({number(float(min(every)))}-{number(float(max(every)))})"
    return text


def previous():
    """What docs/benchmarks.md says of parts that were not measured here: goals by text, sections by title."""
    try:
        with open(os.path.join(DOCS, "benchmarks.md"), encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        return {}, {}
    goals = {m[1]: m[0] for m in re.finditer(r"^\| ([^|]+) \| [^|]+ \| (?:reached|\*\*missed\*\*) \|$", text, re.M)}
    return goals, {m[1]: m[0].rstrip("\n") for m in re.finditer(r"^## (.+)\n(?:(?!## ).*\n)*", text, re.M)}


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        cpu = re.search(r"model name\s*:\s*(.*)", f.read())
    return f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.machine()}, Linux {platform.release().split('-')[0]}"


def goal_table(book, parts, goals):
    table = ["| goal | measured (least-greatest) | |", "|---|---|---|"]
    for part in parts:
        rows = book.data.get(part.NAME, {}).get("rows", {})
        for text, name, key, how, bound in part.GOALS:
            row = rows.get(name, {})
            if row.get(key) is not None:
                good = row[key] >= bound if how == ">=" else row[key] <= bound
                table.append(f"| {text} | {cell(row, key)} | {'reached' if good else '**missed**'} |")
            elif part.NAME not in book.data and text in goals:
                table.append(goals[text])
    return table


def tables(part, rows):
    keys = dict.fromkeys(k for row in rows.values() for k in row if not isinstance(row[k], list))
    lines = []
    for heading, columns in getattr(part, "TABLES", [("", {k: k.replace("_", " ") for k in keys})]):
        some = {name: row for name, row in rows.items() if any(row.get(k) is not None for k in columns)}
        if not some:
            continue
        lines += [f"### {heading}", ""] if heading else []
        lines += ["| | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
        lines += [f"| {name} | " + " | ".join(cell(row, k) for k in columns) + " |" for name, row in some.items()]
        lines.append("")
    return lines


def plots(part, rows, write):
    """Draws them, when told to write; a plot that cannot be drawn is told of, and left out."""
    lines = []
    for name, caption, draw in getattr(part, "PLOTS", []):
        path = os.path.join(DOCS, "img", f"{name}.svg")
        try:
            if write:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                draw(rows, path)
        except Exception as e:
            say(f"bench: no plot {name}: {str(e)[:300]}")
            continue
        lines += [f"![{caption}](img/{name}.svg)", ""]
    return lines


def section(part, entry, write):
    rows = entry["rows"]
    text = f"`tests/bench/bench {part.NAME}`, {entry['date']}, commit {entry['commit']}. {part.NOTE}".strip()
    return [f"## {part.TITLE}", "", text, "", *([entry["remark"], ""] if entry.get("remark") else []),
            *plots(part, rows, write), *tables(part, rows)]


def report(book, parts, write=False):
    """The text of docs/benchmarks.md; `write`: and its plots."""
    goals, sections = previous()
    lines = ["# Benchmarks", "",
             "Written by `make bench` (`tests/bench/bench --write`); one part: `tests/bench/bench stream`. Network namespaces on one",
             "machine, veth, MTU 1500. Absolute figures drift from run to run: contestants take turns, medians of the rounds are",
             "compared, and a ratio is the median of the ratios of each round. In brackets: the least and the greatest of the rounds.",
             "Where the time goes, and what was tried: [performance.md](performance.md).", "",
             f"Machine: {machine()}.", "", "## Goals", "", *goal_table(book, parts, goals), ""]
    for part in parts:
        if part.NAME in book.data:
            lines += section(part, book.data[part.NAME], write)
        elif part.TITLE in sections:
            lines += [sections[part.TITLE], ""]
    return "\n".join(lines)
