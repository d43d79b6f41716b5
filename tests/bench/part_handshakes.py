# SPDX-License-Identifier: Apache-2.0
"""Mutual handshakes: nodes that come, are greeted and leave, beside bare ngtcp2."""
from common import medians, ratios, rounds_of
from netlab import World
from yardstick import bare, peers

NAME = "handshakes"
TITLE = "Handshakes"
NOTE = ("Both ends prove their keys (Ed25519); 16 at once, each closed when its hello has gone both ways: of godwit (`tests/bench/peers.c`, a key "
        "for each visitor, sockets of their own), or 64 bytes (`tests/bench/bare.c`). The server is one thread on one processor, the "
        "clients are on the other. Many short rounds, by turns: the machine's speed changes from minute to minute.")
GOALS = [("handshakes: at least 0.85 of bare ngtcp2's for each of the server's CPU seconds", "godwit", "ratio_to_bare", ">=", 0.85)]
AT_ONCE = 16


def bare_once(count):
    with World(direct=True) as w:
        return bare(w, "handshakes", count, AT_ONCE, loopback=True)


def godwit_once(count):
    with World(direct=True) as w:
        return peers(w, "visits", count, AT_ONCE)[0]


def run(book, o):
    count = 300
    results = rounds_of(NAME, {"bare": lambda: bare_once(count), "godwit": lambda: godwit_once(count)}, o.rounds_or(20))
    rows = {name: medians(runs) for name, runs in results.items()}
    ratios(rows.get("godwit", {}), results.get("godwit", []), results.get("bare", []), "per_server_cpu_s", "ratio_to_bare")
    book.put(NAME, rows)
