# SPDX-License-Identifier: Apache-2.0
"""SVG plots by gnuplot: bars() with one or more bars for each name, curves() over a number.

A point is (value, least, greatest), as point(row, key) takes it from a row; None: nothing to show."""
import math
import re
import subprocess

COLOURS = ["#1f6f8b", "#e07a3f", "#7a9e5f", "#8a5a9e", "#b5a642", "#777777"]
OTHER = "#9aa7b0"  # the peers, where godwit's own bars stand out
HEAD = """set terminal svg size {w},{h} font "sans-serif,13" background "#ffffff" rounded
set output {path}
set title {title} noenhanced
set border 3 lc rgb "#555555"
set tics nomirror scale 0.5
set grid {grid} lc rgb "#dddddd"
"""


def point(row, key):
    if row.get(key) is None:
        return None
    every = row.get("all_" + key) or [row[key]]
    return row[key], min(every), max(every)


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def gnuplot(text):
    r = subprocess.run(["gnuplot"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if r.returncode or "warning" in r.stdout.lower():
        raise RuntimeError(f"gnuplot: {r.stdout.strip()[-300:]}")


def block(name, lines):
    return [f"${name} << END", *lines, "END"]


def label(name):
    """Of an axis; godwit's own are bold."""
    text = re.sub(r"([_^@{}&~\\])", r"\\\1", name)
    return quote(f"{{/:Bold {text}}}" if name.startswith("godwit") else text)


def short(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bars(path, title, axis, names, series, log=False, missing=""):
    """Horizontal bars, the first name on top. `series`: {legend: [point for each name]}; `missing` is
    written where there is no point. Error bars are the least and the greatest."""
    several, thick = len(series) > 1, 0.8 / len(series)
    found = [p for points in series.values() for p in points if p]
    top, bottom = max(p[2] for p in found), min(p[1] for p in found if p[1] > 0)
    left = 10 ** math.floor(math.log10(bottom / 1.3)) if log else 0
    end = (top / left) ** 1.15 * left if log else top * 1.15
    data, plots = [], []
    for s, (legend, points) in enumerate(series.items()):
        lines = []
        for i, p in enumerate(points):
            y = len(names) - 1 - i + 0.4 - thick * (s + 0.5)
            value, low, high = p or (left, left, left)
            rgb = COLOURS[s] if several or names[i].startswith("godwit") else OTHER
            lines.append(f'{value:g} {y:g} {low:g} {high:g} {left:g} {int(rgb[1:], 16)} {quote(short(p[0]) if p else missing)}')
        data += block(f"s{s}", lines)
        edges = f"($2-{thick * 0.45:g}):($2+{thick * 0.45:g})"
        plots += [f"$s{s} using 1:2:5:1:{edges}:6 with boxxyerror fs solid 1 noborder lc rgb variable notitle",
                  f'$s{s} using 1:2:3:4 with xerrorbars pt -1 lw 1 lc rgb "#333333" notitle',
                  f'$s{s} using 4:2:7 with labels left offset 0.6,0 font ",11" notitle']
        if several:
            plots.append(f'NaN with boxes fs solid 1 lc rgb "{COLOURS[s]}" title {quote(legend)}')
    tics = ", ".join(f"{label(name)} {len(names) - 1 - i}" for i, name in enumerate(names))
    height = (130 if several else 90) + len(names) * (18 + 10 * len(series))
    gnuplot("\n".join([HEAD.format(w=820, h=height, path=quote(path), title=quote(title), grid="xtics"),
                       *data, f"set lmargin {max(map(len, names)) + 3}", "set rmargin 3", f"set ytics ({tics}) scale 0",
                       f"set xlabel {quote(axis)} noenhanced", "set logscale x" if log else "", f"set xrange [{left:g}:{end:g}]",
                       f"set yrange [-0.6:{len(names) - 0.4}]", "set bmargin 5.5\nset key outside bottom center horizontal" if several else "unset key",
                       "plot " + ", ".join(plots), ""]))


def curves(path, title, x_axis, y_axis, lines, log=""):
    """Lines with error bars. `lines`: {legend: [(x, point)]}; `log`: "", "x", "y" or "xy"."""
    data, plots = [], []
    for i, (legend, points) in enumerate(lines.items()):
        data += block(f"s{i}", [f"{x:g} {p[0]:g} {p[1]:g} {p[2]:g}" for x, p in points if p])
        colour = COLOURS[i % len(COLOURS)]
        plots.append(f'$s{i} using 1:2:3:4 with yerrorlines lw 2 pt {5 + 2 * (i % 4)} ps 0.6 lc rgb "{COLOURS[i % len(COLOURS)]}" '
                     f'title {quote(legend)}')
    gnuplot("\n".join([HEAD.format(w=820, h=440, path=quote(path), title=quote(title), grid="xtics ytics"), *data,
                       f"set xlabel {quote(x_axis)} noenhanced", f"set ylabel {quote(y_axis)} noenhanced",
                       f"set logscale {log}" if log else "", "" if "y" in log else "set yrange [0:*]",
                       "set autoscale xfix", "set offsets graph 0.02, graph 0.02, graph 0.05, 0", "set key outside right top noenhanced",
                       "plot " + ", ".join(plots), ""]))
