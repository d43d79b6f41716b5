# SPDX-License-Identifier: Apache-2.0
"""One stream over slow, long and lossy links, flows beside one another, small messages beside bulk."""
import statistics

import links
from common import show

NAME = "links"
TITLE = "Over bad links"
NOTE = ("`tests/bench/links.py` in the laboratory of bad links: both directions lose, the queue is 100 ms unless said. godwit by `forward` and "
        "`expose`; the kernel's TCP with its default buffers, of the same two programs. *share* is what arrived of the link's rate "
        "(at most 0.95 to 0.97 by headers), *later share* that of the second half; *fills*: after how many seconds half a second "
        "carried 0.9 of the link; *queue*: round trips of pings beside the flow, above those of the empty path; *small*: round trips of "
        "64 bytes in another stream to the same peer, above those of the empty path. The wire is a process of its own: of "
        "1 Gbit/s it passes what the processors leave it, to the kernel's TCP as well.")
PAIRS = [("godwit bbr", "tcp cubic"), ("godwit bbr", "tcp bbr"), ("godwit cubic", "tcp cubic"), ("godwit bbr", "godwit bbr")]
FOUR = ["godwit bbr", "godwit cubic", "tcp bbr", "tcp cubic"]
DEEP = {"queue": 100}
# rate, round trip, options, contestants
SINGLE = [
    (100, 50, DEEP, FOUR),
    (100, 50, {**DEEP, "loss": 1}, FOUR),
    (100, 50, {**DEEP, "loss": 2}, FOUR),
    (100, 50, {**DEEP, "loss": 5}, FOUR),
    (100, 100, {**DEEP, "loss": 0.5}, FOUR),
    (100, 50, {**DEEP, "reorder": 1}, ["godwit bbr", "tcp bbr"]),
    (100, 50, {"queue": 5}, FOUR),
    (100, 50, {"queue": 200}, FOUR),
    (10, 200, DEEP, ["godwit bbr", "tcp bbr"]),
    (300, 200, DEEP, ["godwit bbr", "tcp bbr"]),
]
SMALL = [(1000, 10, DEEP, ["godwit bbr", "tcp bbr"]), (100, 40, DEEP, ["godwit bbr", "godwit cubic", "tcp bbr"])]
TABLES = [
    ("One stream", {"share": "share", "later_share": "later share", "fills_s": "fills, s", "queue_p50_ms": "queue p50, ms",
                    "queue_p99_ms": "p99", "of_clean": "of the clean run"}),
    ("Small messages beside bulk", {"bulk_share": "bulk's share", "small_p50_ms": "small p50, ms", "small_p99_ms": "p99"}),
    ("Two flows", {"first": "share of the first", "second": "of the second", "jain": "Jain's index", "standing_ms": "queue p50, ms"}),
]


def title(rate, rtt, options, who):
    more = "".join(f", {v} % {k}" if k in ("loss", "reorder") else f", queue {v} ms" for k, v in options.items() if (k, v) != ("queue", 100))
    return f"{rate} Mbit/s, {rtt} ms{more}: {who}"


GOALS = [
    ("100 Mbit/s, 50 ms, 2 % loss: at least 0.88 of the link", title(100, 50, SINGLE[2][2], "godwit bbr"), "share", ">=", 0.88),
    ("1 % reordering: at least 0.9 of the clean run", title(100, 50, SINGLE[5][2], "godwit bbr"), "of_clean", ">=", 0.9),
    ("300 Mbit/s, 200 ms: filled within 3 s", title(300, 200, DEEP, "godwit bbr"), "fills_s", "<=", 3.0),
    ("small messages beside bulk, 1 Gbit/s, 10 ms: p99 at most 5 ms above the path", title(1000, 10, DEEP, "godwit bbr"), "small_p99_ms",
     "<=", 5.0),
]


def singles(rows, seconds, short):
    for rate, rtt, options, contestants in SINGLE[:1] if short else SINGLE:
        with links.Link(rate, rtt, **options) as link:
            for who in contestants:
                buckets, pings = link.run([who], seconds)
                r = links.of_one(link, buckets, pings)
                clean = rows.get(title(rate, rtt, DEEP, who))
                if "reorder" in options and clean:
                    r["of_clean"] = r["share"] / clean["share"]
                rows[title(rate, rtt, options, who)] = r
                show(NAME, title(rate, rtt, options, who), r)


def smalls(rows, seconds, short):
    for rate, rtt, options, contestants in SMALL[:1] if short else SMALL:
        with links.Link(rate, rtt, **options) as link:
            for who in contestants:
                buckets, _, rounds = link.run([who], seconds, small=True)
                later = rounds[len(rounds) // 5:]
                r = {"bulk_share": statistics.mean(buckets) / rate, "small_p50_ms": links.quantile(later, 0.5) - rtt,
                     "small_p99_ms": links.quantile(later, 0.99) - rtt}
                rows[title(rate, rtt, options, who)] = r
                show(NAME, title(rate, rtt, options, who), r)


def pairs(rows, seconds, short):
    for queue in (50,) if short else (50, 200):
        with links.Link(100, 40, queue=queue) as link:
            for both in PAIRS[:1] if short else PAIRS:
                r = links.beside(link, link.run(list(both), seconds))
                r = {"first": r["share"], "second": r["other_share"], "jain": r["jain"], "standing_ms": r["queue_p50_ms"]}
                name = title(100, 40, {"queue": queue}, " and ".join(both))
                rows[name] = r
                show(NAME, name, r)


def run(book, o):
    rows = {}
    singles(rows, 3 if o.short else 8, o.short)
    smalls(rows, 3 if o.short else 6, o.short)
    pairs(rows, 5 if o.short else 12, o.short)
    book.put(NAME, rows)
