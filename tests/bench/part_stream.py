# SPDX-License-Identifier: Apache-2.0
"""One stream of `godwit bench`, beside the machine's limit and iroh."""
import json
import os
import shutil
import subprocess
import threading

from common import HERE, WORK, children_cpu, cpu_of, medians, per_gb, ratios, rounds_of, say
from netlab import Node, World, wait

NAME = "stream"
TITLE = "One stream, one direction (`godwit bench`)"
NOTE = ("The limit is `tests/bench/pipe.c`: AES-256-GCM over UDP with GSO and GRO and no protocol at all. CPU is that of both ends. "
        "iroh's part is native only (its JavaScript is outside of the timed window).")
GOALS = [
    ("one stream: at least 0.5 of the limit", "godwit", "ratio_to_limit", ">=", 0.5),
    ("one stream: at least 1.5 x iroh", "godwit", "ratio_to_iroh", ">=", 1.5),
]


def pipe_binary():
    path = os.path.join(WORK, "pipe")
    source = os.path.join(HERE, "pipe.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", path, source, "-lcrypto"], check=True)
    return path


def limit_once(seconds):
    with World(direct=True) as w:
        receiver = w.a.spawn(pipe_binary(), "recv", w.a.address(), "5555")
        wait(lambda: "ready" in receiver.err(), 5, "the pipe's receiver")
        sent = w.b.run(pipe_binary(), "send", w.a.address(), "5555", str(seconds), seconds=seconds + 20)
        assert sent.code == 0, repr(sent)
        receiver.wait(20)
        r, s = json.loads(receiver.out()), json.loads(sent.out)
        return {"gbit_s": r["gbit_s"], "cpu_s_per_gb": per_gb(r["cpu_s"] + s["cpu_s"], r["bytes"])}


def godwit_once(seconds, *args, env=None):
    with World(direct=True) as w:
        server, client = Node(w.a, "server"), Node(w.b, "client")
        server.env.update(env or {})
        client.env.update(env or {})
        server.up("--allow", "any")
        ticket = server.ok("ticket").split()[-1]
        before, mine = cpu_of(server.process.pid), children_cpu()
        r = json.loads(client.ok("bench", ticket, "--seconds", str(seconds), "--json", *args, seconds=seconds + 30))
        cpu = cpu_of(server.process.pid) - before + children_cpu() - mine
        return {"gbit_s": r["gbit_s"], "cpu_s_per_gb": per_gb(cpu, r["bytes"]),
                "rtt_p50_us": r["rtt_us"]["p50"], "rtt_p99_us": r["rtt_us"]["p99"]}


def iroh_directory():
    d = os.path.join(WORK, "iroh")
    if not os.path.isdir(os.path.join(d, "node_modules", "@number0", "iroh")):
        raise RuntimeError(f"iroh is not installed in {d}")
    return d


def prepare():
    d = os.path.join(WORK, "iroh")
    os.makedirs(d, exist_ok=True)
    if not os.path.isdir(os.path.join(d, "node_modules", "@number0", "iroh")) and shutil.which("npm"):
        say("bench: installing iroh from npm into build/bench/iroh")
        shutil.copy(os.path.join(HERE, "package.json"), d)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=d, check=False)


def iroh_once(megabytes):
    with World(direct=True) as w:
        def start(host, role, *args):
            argv = host.inside(["node", "--max-old-space-size=6000", os.path.join(HERE, "iroh.mjs"), role, host.address(), *args])
            return subprocess.Popen(argv, cwd=iroh_directory(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
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


def run(book, o):
    seconds = 1 if o.short else 4
    contestants = {
        "limit": lambda: limit_once(seconds),
        "godwit": lambda: godwit_once(seconds),
        "iroh": lambda: iroh_once(128 if o.short else 1024),
        "godwit, reverse": lambda: godwit_once(seconds, "--reverse"),
        "godwit, 8 streams": lambda: godwit_once(seconds, "--streams", "8"),
        "godwit, no GSO or GRO": lambda: godwit_once(seconds, env={"GODWIT_NO_OFFLOAD": "1"}),
    }
    results = rounds_of("stream", contestants, o.rounds_or(5))
    rows = {name: medians(runs) for name, runs in results.items()}
    for name, row in rows.items():
        for other in ("limit", "iroh"):
            if name.startswith("godwit") and other in rows:
                ratios(row, results[name], results[other], "gbit_s", f"ratio_to_{other}")
    book.put(NAME, rows)
