# SPDX-License-Identifier: Apache-2.0
"""What the parts of tests/bench/bench share: the book of results, turns, medians and their spread.

A part is a module part_NAME.py with

    NAME, TITLE, NOTE   word on the command line, heading and text of docs/benchmarks.md
    GOALS               [(text, row, key, ">=" or "<=", bound)]
    run(book, o)        measures, and ends with book.put(NAME, {row: {key: value}})

and, where it needs them,

    LONG = True         runs only when it is named, or with --all
    TABLES              [(heading or "", {key: heading of the column})]; else one table of all keys
    PLOTS               [(name, caption, draw)]; draw(rows, path) writes an SVG by means of plot.py
    prepare()           before the namespaces are entered: what needs the network

A row's `all_KEY` lists what each round gave; the report shows its least and greatest beside KEY."""
import json
import os
import statistics
import subprocess
import time

from netlab import TOP

HERE = os.path.dirname(os.path.realpath(__file__))
WORK = os.path.join(TOP, "build", "bench")
RESULTS = os.path.join(WORK, "results.json")


def say(text=""):
    print(text, flush=True)


class Options:
    def __init__(self, argv):
        flags = [a for a in argv[1:] if a.startswith("--")]
        self.short, self.all, self.long, self.write, self.help = (f in flags for f in ("--short", "--all", "--long", "--write", "--help"))
        self.words = [a for i, a in enumerate(argv[1:], 1) if not a.startswith("--") and argv[i - 1] != "--rounds"]
        self.unknown = [f for f in flags if f not in ("--short", "--all", "--long", "--write", "--help", "--rounds")]
        self.rounds = 0
        if "--rounds" in argv:
            number = argv[argv.index("--rounds") + 1:][:1]
            if number and number[0].isdecimal() and int(number[0]) > 0:
                self.rounds = int(number[0])
            else:
                self.unknown.append("--rounds without a number")

    def rounds_or(self, usual):
        return self.rounds or (1 if self.short else usual)


class Book:
    """The results file: part -> row -> values."""

    def __init__(self, options):
        self.options = options
        self.read()

    def read(self):
        self.data = {}
        if os.path.exists(RESULTS):
            with open(RESULTS, encoding="utf-8") as f:
                self.data = json.load(f)

    def put(self, part, rows, remark=""):
        for name, row in rows.items():
            show(part, name, row)
        if self.options.short:
            return
        self.read()  # another part may have been measured meanwhile
        commit = subprocess.run(["git", "-C", TOP, "log", "-1", "--format=%h"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                check=False).stdout.decode().strip()
        self.data[part] = {"rows": rows, "commit": commit, "date": time.strftime("%Y-%m-%d"), "remark": remark}
        with open(RESULTS, "w", encoding="utf-8") as f:
            json.dump(self.data, f, indent=1)


def show(part, name, row):
    say(f"{part:8s} {name:44s} " + "  ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()
                                           if not isinstance(v, list)))
    say(json.dumps({"part": part, "row": name, **row}))


# --- processor time ---


def cpu_of(pid):
    """utime + stime of one process and the children it has waited for, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def per_gb(cpu, size):
    return cpu / (size / 1e9) if size else 0.0


# --- turns, medians, spread ---


def median(values):
    return statistics.median(values) if values else None


def spread(key, values):
    """A row of one figure."""
    return {key: median(values), f"all_{key}": [float(f"{v:.4g}") for v in values], "runs": len(values)}


BROKEN = []  # "part: contestant" of those that never succeeded, but for peers that need not be there


def rounds_of(part, contestants, rounds, failures=None):
    """Let the contestants take turns; returns name -> list of results, each with its "round".
    `rounds` is a number, or one for each name; who fails is told of, and does not break the rest;
    `failures` is given the reasons of those that never succeeded."""
    rounds = {name: rounds.get(name, 1) if isinstance(rounds, dict) else rounds for name in contestants}
    turns = [(n, name) for n in range(1, max(rounds.values(), default=0) + 1) for name in contestants if n <= rounds[name]]
    got, took, why = {}, {}, {}
    for i, (n, name) in enumerate(turns, 1):
        started = time.monotonic()
        try:
            r = contestants[name]()
            got.setdefault(name, []).append(dict(r, round=n))
            text = ", ".join(f"{k} {v:.3g}" for k, v in r.items() if isinstance(v, (int, float)))
        except Exception as e:
            text = f"FAILED: {str(e)[:300]}"
            why[name] = str(e).split("\n")[0][:120]
        took[name] = time.monotonic() - started
        guess = sum(took.values()) / len(took)
        left = sum(took.get(other, guess) for _, other in turns[i:])
        say(f"  [{i}/{len(turns)}, {left / 60:.1f} min left] {part} round {n}: {name}: {text}")
    never = {name: text for name, text in why.items() if name not in got}
    if failures is None:
        BROKEN.extend(f"{part}: {name}" for name in never)
    else:
        failures.update(never)
    return {name: got[name] for name in contestants if name in got}


def medians(runs):
    """A row: the median of each figure over the rounds, and all of them."""
    row = {}
    for k in dict.fromkeys(k for r in runs for k in r if k != "round"):
        row.update(spread(k, [r[k] for r in runs if r.get(k) is not None]))
    row["runs"] = len(runs)
    return row


def ratios(row, runs, others, key, name):
    """Adds the median over the rounds of this contestant's figure over that of another one."""
    other = {r["round"]: r[key] for r in others if r.get(key)}
    values = [r[key] / other[r["round"]] for r in runs if r["round"] in other and r.get(key) is not None]
    if values:
        row.update({k: v for k, v in spread(name, values).items() if k != "runs"})
