# SPDX-License-Identifier: Apache-2.0
"""What is left of a stream while a node is flooded."""
import json
import os
import sys
import time

from common import HERE, medians, rounds_of
from netlab import Node, World

sys.path.insert(1, os.path.join(HERE, "..", "net", "attack"))

NAME = "flood"
TITLE = "Floods"
NOTE = ("A client sends to a node through a router, which forges datagrams to that node's port for 3 s. *Share*: the rate of the stream "
        "meanwhile as a part of that before, in one run; *at 100 Mbit/s* it could go faster, *bulk* it goes as fast as it can. The flood, the router, "
        "both nodes and their programs share the machine's processors, so *bulk* says how much of them is left, too. "
        "*Known address*: the attacker can make the knock's tag right.")
PAPER = [("100,000 Initials a second without a knock", "strangers"), ("100,000 a second with a token of a knock's length", "wrong_tags"),
         ("20,000 broken knocks a second, known address", "broken"), ("20,000 first packets a second of an allowed key", "member")]
GOALS = [(f"a flood of {text}: the stream keeps 80 % of 100 Mbit/s", text, "share", ">=", 0.8) for text, _ in PAPER]
BEFORE, FLOOD, AFTER = 2, 3, 1
MBIT_100 = ("5", "62500")  # bytes each 5 ms


def packets(kind, accepter, who):
    import test_attack_flood as floods
    from packets import KNOCK_MIN, Hello, broken_knock
    if kind == "strangers":
        return [floods.bare_initial()], 100_000, floods.NEW_ID
    if kind == "wrong_tags":
        return [floods.bare_initial(lambda _: os.urandom(KNOCK_MIN))], 100_000, floods.NEW_ID
    if kind == "broken":
        return [floods.bare_initial(lambda dcid: broken_knock(accepter, dcid)) for _ in range(2000)], 20_000, (0, 0)
    return [Hello(who, accepter).packet for _ in range(3000)], 20_000, (0, 0)


def mean(flow, begin, end):
    at = [b for i, b in enumerate(flow["buckets"]) if begin <= flow["first"] + i * 0.05 and flow["first"] + (i + 1) * 0.05 <= end]
    return sum(at) / len(at)


def once(kind, bulk):
    from attacker import Flood, flood_file
    from packets import Identity, key_of
    with World() as w:
        server, client = Node(w.a, "server"), Node(w.b, "client")
        member, at = client.address, (w.a.address(), 5000)
        sink = w.a.spawn(sys.executable, f"{HERE}/bulk.py", "sink", "7000", str(BEFORE + FLOOD + AFTER + 1), "127.0.0.1", name="sink")
        sink.wait_out("^ready$")
        server.up("--listen", f"{at[0]}:{at[1]}", "--expose", "sink=7000", "--allow", member)
        made, rate, random = packets(kind, key_of(server.address), Identity.of_home(client.home))
        path = flood_file(w, "packets", made)
        client.forward("7001", server.ticket("sink"))
        w.b.spawn(sys.executable, *([f"{HERE}/bulk.py", "source", "127.0.0.1", "7001"] if bulk else
                                    [f"{HERE}/flow.py", "source", "connect", "7001", *MBIT_100]), name="source")
        started = time.monotonic()
        time.sleep(BEFORE + 1)
        flood = Flood(w, at, path, rate, FLOOD, random)
        begun = time.monotonic()
        sent = flood.sent()
        sink.wait(20)
        flow = json.loads(sink.out().splitlines()[-1])
        before = mean(flow, started + 1, begun)
        return {"share" if not bulk else "bulk_share": mean(flow, begun + 0.5, begun + FLOOD) / before,
                "mbit_s" if not bulk else "bulk_mbit_s": before * 20 * 8 / 1e6, "flood_per_s": sent}


def run(book, o):
    contestants = {(text, bulk): lambda kind=kind, bulk=bulk: once(kind, bulk) for text, kind in PAPER for bulk in (False, True)}
    results = rounds_of(NAME, {f"{text}{', bulk' if bulk else ''}": c for (text, bulk), c in contestants.items()}, o.rounds_or(3))
    rows = {}
    for text, _ in PAPER:
        plain, bulk = results.get(text, []), results.get(f"{text}, bulk", [])
        rows[text] = {**medians(bulk), **medians(plain)}
    book.put(NAME, rows)
