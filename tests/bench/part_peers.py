# SPDX-License-Identifier: Apache-2.0
"""godwit beside every peer from Debian and npm: bulk, round trips, start, memory."""
import json
import os
import time

from common import cpu_of, medians, per_gb, ratios, rounds_of, say
from load import tool
from netlab import World, wait
from overlays import ECHO, IPERF, QUICK, SLOW, Iroh, install_npm, measurable, remark
from part_stream import iroh_once
from plot import bars, point
from trickle import start

NAME = "peers"
TITLE = "Beside peers: `forward` + `expose`, VPNs and forwards of others"
NOTE = ("TCP through each overlay between two hosts on a veth pair: a forward at a port of 127.0.0.1, a VPN at its own address. iperf3 with 1 and "
        "with 64 connections; `tests/bench/trip.c` for round trips of 64 bytes, one each 2 ms and back to back. CPU and RSS are those of all processes "
        "of the overlay at both ends (iperf3 not included). Start: from the start of the second side's daemon until a byte has come back, tried each "
        "5 ms. CUBIC for all TCP, by the routes and `iperf3 -C`; godwit with its own default, BBR, and once with CUBIC. iroh's bulk is that of one "
        "stream, native only (its JavaScript binding is outside of the timed window); its other figures are those of a forward of 60 lines of "
        "JavaScript, as are hyperdht's. Each host has half of the processors, its overlay and its programs together. *socat, no TLS* is no "
        "overlay: it shows what a forward costs that encrypts nothing. wireguard-go is Debian's of 2022, before its work on offloads: not the speed of WireGuard. *No offload on "
        "the link*: `gso_max_segs 1` on the veth pair, so that each packet crosses it by itself: a real network card costs more than a veth pair "
        "that passes on 64 KB at a time.")
GOALS = [
    ("forward + expose, one connection: at least 1.0 x socat TLS", "godwit", "ratio_to_socat TLS", ">=", 1.0),
    ("forward + expose, one connection: at least 0.8 x ssh -L with aes256-gcm", "godwit", "ratio_to_ssh -L, aes256-gcm", ">=", 0.8),
    ("forward + expose, one connection: at least 3 x Yggdrasil", "godwit", "ratio_to_Yggdrasil", ">=", 3.0),
    ("forward + expose, one connection: at least 5 x nebula", "godwit", "ratio_to_nebula", ">=", 5.0),
    ("forward + expose, 64 connections: no slower in total than one", "godwit", "ratio_64_to_1", ">=", 1.0),
    ("forward + expose, 64 connections: the slowest gets at least 0.2 of its share", "godwit", "slowest_share", ">=", 0.2),
    ("forward + expose, 64 bytes there and back, p50: at most 0.8 x socat TLS", "godwit", "trip_to_socat TLS", "<=", 0.8),
]
TABLES = [
    ("Bulk", {"gbit_s": "Gbit/s, 1 connection", "gbit_s_64": "Gbit/s, 64 connections", "slowest_share": "slowest of 64, of its share",
              "ratio_64_to_1": "64 of 1", "cpu_s_per_gb": "CPU s/GB, 1", "cpu_s_per_gb_64": "CPU s/GB, 64", "runs": "rounds"}),
    ("64 bytes there and back, us; start; memory", {
        "paced_p50_us": "each 2 ms: p50", "paced_p99_us": "p99", "trip_p50_us": "back to back: p50", "trip_p99_us": "p99",
        "start_ms": "start, ms", "rss_mb": "RSS, both ends, MB"}),
    ("godwit, of each other one", {"ratio_to_socat TLS": "bulk, of socat TLS", "ratio_to_ssh -L, aes256-gcm": "of ssh aes256-gcm",
                                   "ratio_to_Yggdrasil": "of Yggdrasil", "ratio_to_nebula": "of nebula",
                                   "trip_to_socat TLS": "back to back p50, of socat TLS", "paced_to_socat TLS": "each 2 ms p50, of socat TLS"}),
]
BARE_LINK = ", no offload on the link"


def plot_bars(title, axis, series, bare=False, log=False):
    def draw(rows, path):
        some = {n: r for n, r in rows.items() if n.endswith(BARE_LINK) == bare and any(r.get(k) for k in series.values())}
        key = list(series.values())[0]
        names = sorted(some, key=lambda n: some[n].get(key) or 0, reverse=not log)
        bars(path, title, axis, [n.removesuffix(BARE_LINK) for n in names],
             {legend: [point(some[n], k) for n in names] for legend, k in series.items()}, log=log)
    return draw


PLOTS = [
    ("peers-bulk", "Bulk through each overlay", plot_bars(
        "Bulk through each overlay", "Gbit/s (more is better)", {"1 connection": "gbit_s", "64 connections": "gbit_s_64"})),
    ("peers-cpu", "Processor time of each overlay", plot_bars(
        "Processor time of the overlay's processes, 1 connection", "seconds for each GB, logarithmic (less is better)",
        {"1 connection": "cpu_s_per_gb"}, log=True)),
    ("peers-trip", "Round trips of 64 bytes through each overlay", plot_bars(
        "64 bytes there and back, back to back", "microseconds, logarithmic (less is better)",
        {"p50": "trip_p50_us", "p99": "trip_p99_us"}, log=True)),
    ("peers-bare-link", "Bulk when each packet crosses the link by itself", plot_bars(
        "Bulk, 1 connection, no offload on the link", "Gbit/s (more is better)", {"1 connection": "gbit_s"}, bare=True)),
]
prepare = install_npm


def processes_of(overlay):
    """Its processes and their descendants: (pid, parent) of all, then downwards."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                parents[int(pid)] = int(f.read().rsplit(") ", 1)[1].split()[1])
        except OSError:
            continue
    found = [p.pid for p in overlay.processes]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu(overlay):
    total = 0
    for pid in processes_of(overlay):
        try:
            total += cpu_of(pid)
        except OSError:
            continue
    return total


def rss_mb(overlay):
    total = 0
    for pid in processes_of(overlay):
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as f:
                total += int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        except OSError:
            continue
    return total


def iperf(overlay, seconds, connections):
    """Gbit/s received, CPU s/GB, and what the slowest connection got, of its share."""
    before = cpu(overlay)
    r = overlay.b.run("iperf3", "-c", overlay.target, "-C", "cubic", "-t", str(seconds), "-P", str(connections), "-J", seconds=seconds + 20)
    j = json.loads(r.out)
    assert "sum_received" in j.get("end", {}), f"iperf3: {j.get('error', r.out[-200:])}"
    got = j["end"]["sum_received"]
    each = [s["receiver"]["bytes"] for s in j["end"]["streams"]]
    return got["bits_per_second"] / 1e9, per_gb(cpu(overlay) - before, got["bytes"]), min(each) * len(each) / max(1, sum(each))


def trips(overlay, count, every_us):
    r = overlay.b.run(tool("trip"), "ping", overlay.target, str(ECHO), str(count), str(every_us), seconds=30)
    assert r.code == 0, f"trip: {r.err[-200:]}"
    return json.loads(r.out)


def set_apart(w):
    """Each host has half of the processors, as if it were a machine of its own."""
    mine = sorted(os.sched_getaffinity(0))
    half = max(1, len(mine) // 2)
    w.a.processors = ",".join(map(str, mine[:half]))
    w.b.processors = ",".join(map(str, mine[half:] or mine))


def pin(host, offload):
    """CUBIC for whatever goes by this link or by loopback, told by routes: sysctls are not ours in a namespace."""
    local = "proto kernel scope host src 127.0.0.1 congctl cubic"
    host.ip_batch(f"route replace 10.9.1.0/24 dev eth0 src {host.address()} congctl cubic",
                  f"route replace local 127.0.0.0/8 dev lo table local {local}", f"route replace local 127.0.0.1 dev lo table local {local}",
                  *([] if offload else ["link set eth0 gso_max_segs 1"]))


def calm(seconds):
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end, seconds + 2, "calm")


def measure(cls, o, offload=True):
    """One turn of one overlay; a figure that cannot be had is left out, and told of."""
    seconds = 1 if o.short else 2
    with World(direct=True) as w:
        set_apart(w)
        for host in (w.a, w.b):
            pin(host, offload)
        overlay, row = cls(w), {}
        at, first = start(overlay)
        server = w.a.spawn("iperf3", "-s", "-B", overlay.bind)
        server.wait_listens(IPERF)
        calm(0.5)
        if offload:
            row.update(start_ms=(first - at) * 1000, rss_mb=rss_mb(overlay))

        def bulk(key, connections):
            row[f"gbit_s{key}"], row[f"cpu_s_per_gb{key}"], share = iperf(overlay, seconds, connections)
            if connections > 1:
                row["slowest_share"] = share

        def ping(key, count, every_us):
            r = trips(overlay, count, every_us)
            row[f"{key}_p50_us"], row[f"{key}_p99_us"] = r["p50_us"], r["p99_us"]
        steps = [(bulk, "", 1)]
        if offload:
            steps = [(ping, "paced", 50 if o.short else 500, 2000), (ping, "trip", 500 if o.short else 5000, 0), (bulk, "", 1), (bulk, "_64", 64)]
        if cls is Iroh:
            steps = steps[:2]
        for step, *args in steps:
            try:
                step(*args)
            except (AssertionError, ValueError) as e:
                say(f"  {cls.name}: {step.__name__} {args}: FAILED: {str(e)[:200]}")
        if row.get("gbit_s") and row.get("gbit_s_64"):
            row["ratio_64_to_1"] = row["gbit_s_64"] / row["gbit_s"]
    if cls is Iroh:
        row.update(iroh_once(128 if o.short else 256))
    return row


def run(book, o):
    there, failures = measurable([*QUICK, *SLOW])
    contestants, rounds = {}, {}
    for cls in there:
        contestants[cls.name] = lambda c=cls: measure(c, o)
        rounds[cls.name] = o.rounds_or(5) if cls in QUICK else o.rounds_or(1)
    for cls in [c for c in there if c in QUICK]:
        contestants[cls.name + BARE_LINK] = lambda c=cls: measure(c, o, offload=False)
        rounds[cls.name + BARE_LINK] = o.rounds_or(2)
    for name, why in failures.items():
        say(f"  peers: not measured: {name}: {why}")
    results = rounds_of(NAME, contestants, rounds, failures)
    rows = {name: medians(runs) for name, runs in results.items()}
    for other in [c.name for c in QUICK[1:] if c.name in results and "godwit" in results]:
        for key, name in (("gbit_s", "ratio"), ("trip_p50_us", "trip"), ("paced_p50_us", "paced")):
            ratios(rows["godwit"], results["godwit"], results[other], key, f"{name}_to_{other}")
    book.put(NAME, rows, remark(there, failures))
