# SPDX-License-Identifier: Apache-2.0
"""A beacon with very many nodes."""
import load
from netlab import World

NAME = "beacon"
TITLE = "A beacon with very many nodes"
NOTE = ("`tests/bench/swarm.c` plays the nodes, each with a QUIC connection, a key, a registration and a record of its own, over "
        "loopback from 256 addresses; it uses as much processor time as the beacon. Lost: not registered again after 180 s.")
GOALS = [
    ("20,000 idle nodes: at most 70 KB each", "idle", "rss_bytes_per_node", "<=", 70000),
    ("idle node: at most one datagram each 25 s to each of its two beacons", "idle", "node_sends_per_25_s", "<=", 1.0),
    ("beacon restarted: all 20,000 back within 60 s", "kill -9 and restart: nodes find out by their keep-alives", "all_s", "<=", 60),
    ("beacon restarted, all find out at once: back within 60 s", "kill -9 and restart: all find out at once", "all_s", "<=", 60),
]
LONG = True


def again(r):
    """A row of a storm."""
    return {"p50_s": r["p50_s"], "p99_s": r["p99_s"], "all_s": r["max_s"], "lost": r["nodes"] - r["registered"], "dials": r["dials"],
            "beacon_cpu_s": r["beacon_cpu_s"]}


def run(book, o):
    nodes, idle = (500, 5) if o.short else (20000, 100)
    rows = {}
    with World(direct=True) as w:
        swarm = load.Swarm(w, nodes)
        r = swarm.do("join 256", 300)
        rows["registration, 256 at once"] = {"per_s": r["registered"] / r["seconds"], "per_beacon_cpu_s": r["registered"] / r["beacon_cpu_s"]}
        r = swarm.do(f"idle {idle}", idle + 30)
        rows["idle"] = {"rss_bytes_per_node": swarm.bytes_each(), "node_sends_per_25_s": r["sent"] / nodes / r["seconds"] * 25,
                        "beacon_cpu_percent": r["beacon_cpu_s"] / r["seconds"] * 100}
        r = swarm.do("lookup 5 256", 60)
        rows["lookup, 256 at once"] = {"per_s": r["lookups"] / r["seconds"], "per_beacon_cpu_s": r["lookups"] / r["beacon_cpu_s"]}
        r = swarm.do("await 180", 240, kill=True)
        rows["kill -9 and restart: nodes find out by their keep-alives"] = again(r)
        r = swarm.do("herd 180", 240, kill=True)
        rows["kill -9 and restart: all find out at once"] = again(r)
        r = swarm.do("idle 5", 60)
        rows["idle, after these storms"] = {"rss_bytes_per_node": swarm.bytes_each()}
    for row in rows.values():
        row["nodes"] = nodes
    book.put(NAME, rows)
