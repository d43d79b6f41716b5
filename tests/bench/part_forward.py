# SPDX-License-Identifier: Apache-2.0
"""`forward` + `expose` under iperf3, beside Yggdrasil."""
import json
import os
import shutil
import subprocess
import sys

from common import cpu_of, medians, per_gb, ratios, rounds_of, say
from netlab import Node, World, wait

NAME = "forward"
TITLE = "`forward` + `expose` under iperf3, one TCP connection"
NOTE = "CPU is that of the overlay's two processes, iperf3 not included. Yggdrasil is Debian's, over TCP, CUBIC throughout."
GOALS = [
    ("forward + expose: at least 2 x Yggdrasil", "godwit forward + expose", "ratio_to_Yggdrasil", ">=", 2.0),
]


def iperf(w, target, seconds, pids, *args):
    before = sum(cpu_of(p) for p in pids)
    r = w.b.run("iperf3", "-c", target, "-C", "cubic", "-t", str(seconds), "-J", *args, seconds=seconds + 40)
    j = json.loads(r.out)
    assert "end" in j and "sum_received" in j["end"], r.out[-300:]
    got = j["end"]["sum_received"]
    return {"gbit_s": got["bits_per_second"] / 1e9,
            "cpu_s_per_gb": per_gb(sum(cpu_of(p) for p in pids) - before, got["bytes"])}


def iperf_server(w, bind):
    p = w.a.spawn("iperf3", "-s", "-B", bind)
    p.wait_listens(5201)
    return p


def forward_once(seconds):
    with World(direct=True) as w:
        iperf_server(w, "127.0.0.1")
        server, client = Node(w.a, "server"), Node(w.b, "client")
        client.forward("5201", server.expose("5201", "iperf"))
        return iperf(w, "127.0.0.1", seconds, [server.process.pid, client.process.pid])


def yggdrasil_once(seconds):
    with World(direct=True) as w:
        processes = []
        for host, extra in ((w.a, {"Listen": [f"tcp://{w.a.address()}:9001"]}), (w.b, {"Peers": [f"tcp://{w.a.address()}:9001"]})):
            # The underlay's congestion control, pinned by the route: sysctls are not ours in a namespace.
            host.ip_batch(f"route replace 10.9.1.0/24 dev eth0 src {host.address()} congctl cubic")
            config = json.loads(subprocess.run(["yggdrasil", "-genconf", "-json"], stdout=subprocess.PIPE, check=True).stdout)
            config.update({"AdminListen": "none", "MulticastInterfaces": [], "IfName": "ygg0"}, **extra)
            path = os.path.join(w.dir, f"ygg-{host.name}.conf")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(config, f)
            processes.append(host.spawn("yggdrasil", "-useconffile", path))
        target = subprocess.run(["yggdrasil", "-useconffile", os.path.join(w.dir, "ygg-a.conf"), "-address"],
                                stdout=subprocess.PIPE, check=True).stdout.decode().strip()

        def reachable():
            assert all(p.running() for p in processes), "yggdrasil ended: " + w.logs(3)
            return target in w.a.run("ip", "-6", "address", "show", "dev", "ygg0").out
        wait(reachable, 10, "Yggdrasil's interface")
        iperf_server(w, target)
        probe = f"import socket; socket.create_connection(('{target}', 5201), 1).close()"
        wait(lambda: w.b.run(sys.executable, "-c", probe).code == 0, 30, "Yggdrasil's route")
        return iperf(w, target, seconds, [p.pid for p in processes])


def run(book, o):
    seconds = 1 if o.short else 8
    contestants = {"godwit forward + expose": lambda: forward_once(seconds), "Yggdrasil": lambda: yggdrasil_once(seconds)}
    if not shutil.which("yggdrasil") or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        say("bench: no Yggdrasil, or no access to /dev/net/tun: left out")
        del contestants["Yggdrasil"]
    results = rounds_of("forward", contestants, o.rounds_or(5))
    rows = {name: medians(runs) for name, runs in results.items()}
    for name, row in rows.items():
        if name.startswith("godwit") and "Yggdrasil" in rows:
            ratios(row, results[name], results["Yggdrasil"], "gbit_s", "ratio_to_Yggdrasil")
    book.put(NAME, rows)
