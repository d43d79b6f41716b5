# SPDX-License-Identifier: Apache-2.0
"""What knocks cost: those that are refused, and those that are not."""
import json
import subprocess

from common import medians, rounds_of
from load import tool

NAME = "knock"
TITLE = "Knocks"
NOTE = ("`tests/bench/knock`: how many a second of one processor's time. The chain has 200 bytes, the longest one 500. *Forged*: by somebody who "
        "knows the address; the first costs one X25519, the second two. *Valid* has the conversion of the Ed25519 key besides.")
GOALS = [
    ("knocks with a wrong tag: 120,000 a second are refused by one processor", "wrong tag", "per_s", ">=", 120000),
    ("knocks that fail after the first X25519: 18,000 a second", "forged static key", "per_s", ">=", 18000),
]
ROWS = {
    "wrong_tag_s": "wrong tag",
    "wrong_tag_longest_s": "wrong tag, the longest chain",
    "forged_static_s": "forged static key",
    "forged_payload_s": "forged payload",
    "valid_s": "valid",
    "made_s": "made, by the dialler",
    "remembered_s": "remembered, and the oldest forgotten",
    "retried_s": "a Retry token sealed and opened",
}


def once(seconds):
    r = subprocess.run([tool("knock"), str(seconds)], stdout=subprocess.PIPE, check=True, timeout=120)
    return {k: float(v) for k, v in json.loads(r.stdout).items()}


def run(book, o):
    results = rounds_of(NAME, {"knock": lambda: once(0.05 if o.short else 0.3)}, o.rounds_or(9))
    runs = results.get("knock", [])
    book.put(NAME, {name: medians([{"per_s": r[key], "round": r["round"]} for r in runs]) for key, name in ROWS.items()})
