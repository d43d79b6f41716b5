# SPDX-License-Identifier: Apache-2.0
"""Streams of `godwit bench`, beside the machine's limit, bare ngtcp2 and iroh."""
import json
import os
import subprocess
import threading

from common import HERE, medians, per_gb, ratios, rounds_of
from netlab import World
from overlays import NPM, install_npm
from yardstick import bare, godwit, piped

NAME = "stream"
TITLE = "Streams in one direction (`godwit bench`)"
NOTE = ("The limit is `tests/bench/pipe.c`: AES-256-GCM over UDP with GSO and GRO and no protocol at all. Bare is `tests/bench/bare.c`: the same "
        "ngtcp2 and GnuTLS, windows, ciphers and congestion control (BBR), but no godwit, and the same 64 KB of zeros again and again; *an application's bytes*: it fills what it sends, keeps "
        "it until it is acknowledged, and copies out what comes. iroh's part is "
        "native only (its JavaScript is outside of the timed window). CPU is that of both ends, while the data flows; each end has a "
        "processor of its own, but iroh's threads run where they like.")
GOALS = [
    ("one stream: at least 0.92 of bare ngtcp2", "godwit", "ratio_to_bare", ">=", 0.92),
    ("one stream: at least 0.6 of the limit", "godwit", "ratio_to_limit", ">=", 0.6),
    ("one stream: at least 2.2 x iroh", "godwit", "ratio_to_iroh", ">=", 2.2),
    ("one stream: at most 1.15 x the CPU of bare ngtcp2", "godwit", "cpu_ratio_to_bare", "<=", 1.15),
    ("one stream: at most 0.5 x the CPU of iroh", "godwit", "cpu_ratio_to_iroh", "<=", 0.5),
]
TABLES = [("", {"gbit_s": "Gbit/s", "cpu_s_per_gb": "CPU s/GB", "ratio_to_limit": "of the limit", "ratio_to_bare": "of bare", "ratio_to_bytes": "of bare with bytes",
                "cpu_ratio_to_bare": "CPU of bare", "ratio_to_iroh": "x iroh", "cpu_ratio_to_iroh": "CPU of iroh"})]
PLAIN = {"GODWIT_NO_OFFLOAD": "1"}


def limit_once(seconds):
    with World(direct=True) as w:
        r, s = piped(w, "recv", "send", seconds)
        return {"gbit_s": r["gbit_s"], "cpu_s_per_gb": per_gb(r["cpu_s"] + s["cpu_s"], r["bytes"])}


def bare_once(seconds, streams=1, env=None, options=()):
    with World(direct=True) as w:
        r = bare(w, "bulk", seconds, streams, env=env, options=options)
        return {"gbit_s": r["gbit_s"], "cpu_s_per_gb": per_gb(r["client_cpu_s"] + r["server_cpu_s"], r["bytes"])}


def godwit_once(seconds, *args, env=None):
    with World(direct=True) as w:
        (short, once), (r, twice) = godwit(w, ["--seconds", "0.1", *args], ["--seconds", str(seconds), *args], env=env)
        # What the server does before the load (dial, round trips) is the same both times.
        theirs = per_gb(twice - once, r["bytes"] - short["bytes"])
        return {"gbit_s": r["gbit_s"], "cpu_s_per_gb": per_gb(r["cpu_s"], r["bytes"]) + theirs}


def iroh_once(megabytes):
    with World(direct=True) as w:
        def start(host, role, *args):
            argv = host.inside(["node", "--max-old-space-size=6000", os.path.join(HERE, "iroh.mjs"), role, host.address(), *args])
            return subprocess.Popen(argv, cwd=NPM, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, NODE_NO_WARNINGS="1"))
        server, client = start(w.a, "server"), start(w.b, "client", str(megabytes))
        timer = threading.Timer(120, lambda: (server.kill(), client.kill()))
        timer.start()

        def relay():
            for line in server.stdout:
                try:
                    client.stdin.write(line)
                    client.stdin.flush()
                except OSError:
                    return
        threading.Thread(target=relay, daemon=True).start()
        try:
            for line in client.stdout:
                message = json.loads(line)
                if "result" in message:
                    r = message["result"]
                    return {"gbit_s": r["gbit_s"], "cpu_s_per_gb": per_gb(r["cpu_s"], r["bytes"])}
                server.stdin.write(line)
                server.stdin.flush()
            raise RuntimeError("iroh ended without a result")
        finally:
            timer.cancel()
            server.kill()
            client.kill()
            server.wait()
            client.wait()


prepare = install_npm


def run(book, o):
    seconds = 1 if o.short else 2
    contestants = {
        "limit": lambda: limit_once(seconds),
        "bare": lambda: bare_once(seconds),
        "bare, an application's bytes": lambda: bare_once(seconds, options=("bytes",)),
        "godwit": lambda: godwit_once(seconds),
        "iroh": lambda: iroh_once(128 if o.short else 512),
        "godwit, reverse": lambda: godwit_once(seconds, "--reverse"),
        "bare, 4 streams": lambda: bare_once(seconds, 4),
        "godwit, 4 streams": lambda: godwit_once(seconds, "--streams", "4"),
        "bare, 64 streams": lambda: bare_once(seconds, 64),
        "godwit, 64 streams": lambda: godwit_once(seconds, "--streams", "64"),
        "bare, no GSO or GRO": lambda: bare_once(seconds, env=PLAIN),
        "godwit, no GSO or GRO": lambda: godwit_once(seconds, env=PLAIN),
    }
    goals = ("limit", "bare", "bare, an application's bytes", "godwit", "iroh")
    rounds = {name: o.rounds_or(5 if name in goals else 2) for name in contestants}
    results = rounds_of("stream", contestants, rounds)
    rows = {name: medians(runs) for name, runs in results.items()}
    ratios(rows.get("godwit", {}), results.get("godwit", []), results.get("bare, an application's bytes", []), "gbit_s", "ratio_to_bytes")
    for name, row in rows.items():
        if not name.startswith("godwit"):
            continue
        same = name.replace("godwit", "bare")
        for other, who in (("limit", "limit"), ("bare", same if same in results else "bare"), ("iroh", "iroh")):
            ratios(row, results[name], results.get(who, []), "gbit_s", f"ratio_to_{other}")
            ratios(row, results[name], results.get(who, []), "cpu_s_per_gb", f"cpu_ratio_to_{other}")
    book.put(NAME, rows)
