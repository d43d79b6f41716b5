# SPDX-License-Identifier: Apache-2.0
"""Every pair of NATs, in both directions."""
import json
import os
import subprocess
import sys

from common import say
from netlab import TOP

NAME = "matrix"
TITLE = "Which pairs of NATs connect, how, and after how many seconds"
NOTE = ("`tests/net/matrix --both`: the row's node runs `ping --until-direct`, the column's node is `up`. D direct, R through a beacon; bold: "
        "not as theory says.")
GOALS = []
LONG = True

MATRIX = os.path.join(TOP, "tests", "net", "matrix")


def run(book, o):
    """Both directions of every pair: minutes."""
    argv = [sys.executable, MATRIX, "--json", "-j", "2", *(["--kinds", "none,apdm"] if o.short else ["--both"])]
    results = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout)
    kinds = list(dict.fromkeys(r["a"] for r in results["pairs"]))
    rows = {a: {} for a in kinds}
    for r in results["pairs"]:
        text = "FAIL" if r["path"] is None else f"{'D' if r['path'] == 'direct' else 'R'} {r['time_s']:.1f}"
        rows[r["a"]][r["b"]] = text if r["ok"] else f"**{text}**"
    say(f"  matrix: {results['passed']} passed, {results['failed']} failed")
    book.put(NAME, rows)
