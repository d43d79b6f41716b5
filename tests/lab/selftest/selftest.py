#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lab selftest [FILTER] [--quick]: proves NAT kinds, impairments and events.  One line per claim; exit status 1 if any fails."""
import json, os, re, socket, struct, subprocess, sys, time

HERE = os.path.dirname(os.path.realpath(__file__))
STUN, PUNCH, ME = (os.path.join(HERE, x) for x in ("stun.py", "punch.py", "selftest.py"))
PY, S1, S2 = sys.executable, "192.0.2.10", "192.0.2.11"
results = []


def claim(name, ok, detail=""):
    results.append(bool(ok))
    print(f"{'pass' if ok else 'FAIL'}  {name:44} {detail}", flush=True)


class T:
    """A lab for one test, with a STUN server on srv."""
    def __init__(self, m, spec, stun=True):
        self.m, self.lab = m, m.Lab(f"self{os.getpid()}")
        self.lab.build("server srv\n" + spec)
        if stun:
            self.lab.spawn("srv", "stun", [PY, STUN, "server", S1, S2])
            time.sleep(0.35)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.down()

    def x(self, host, *argv, t=60):
        r = subprocess.run(self.lab.cmd(host, list(argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=t)
        self.rc = r.returncode
        return r.stdout

    def bg(self, host, *argv):
        return subprocess.Popen(self.lab.cmd(host, list(argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ping(self, host, n=2, i=0.02, ip=S1, *more):
        o = self.x(host, "ping", "-q", "-c", str(n), "-i", str(i), "-W", "1", *more, ip)
        rtt = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)", o)
        got = re.search(r"(\d+) received", o)
        return int(got[1]) if got else 0, float(rtt[2]) if rtt else None, o

    def py(self, host, code):
        return self.x(host, PY, "-c", f"import sys; sys.path.insert(0, {HERE!r})\nimport socket, time, struct, select\nfrom stun import *\n{code}").strip()

    def iperf(self, host, *args, t=3, ip=S1):
        s = self.bg("srv", "iperf3", "-s", "-1", "-J")
        time.sleep(0.3)
        o = self.x(host, "iperf3", "-c", ip, "-t", str(t), "-J", *args)
        s.kill()
        s.wait()
        try:
            return json.loads(o)["end"]
        except (ValueError, KeyError):
            return {}


def kinds(m):
    want = {"none": ("eim", "eif"), "firewall": ("eim", "apdf"), "eim-eif": ("eim", "eif"), "eim-adf": ("eim", "adf"), "eim-apdf": ("eim", "apdf"),
            "adm-adf": ("adm", "adf"), "apdm": ("apdm", "apdf"), "apdm-seq": ("apdm", "apdf"), "double": ("eim", "apdf"),
            "eim-apdf engine=nft": ("eim", "apdf"), "apdm engine=nft": ("apdm", "apdf"), "eim-eif alloc=random": ("eim", "eif"), "eim-eif via=isp": ("eim", "adf")}
    for k, w in want.items():
        pre = "site isp eim-adf\n" if "via" in k else ""
        with T(m, f"{pre}site A {k} hosts=a") as t:
            r = json.loads(t.x("a", PY, STUN, "probe", S1, S2))
            ok = r.get("udp") and (r["mapping"], r["filtering"]) == w
            pub = r["mapped"][0][0] if r.get("udp") else "-"
            if k == "apdm-seq":
                ok = ok and all(s == 1 for s in r["steps"])
            if k.startswith("apdm") and k != "apdm-seq":
                ok = ok and max(abs(s) for s in r["steps"]) > 50
            if k.startswith("eim") or k in ("none", "firewall"):
                ok = ok and r["preserve"] == ("random" not in k)
            ok = ok and (pub.startswith("203.0.113.") if k in ("none", "firewall") else pub.startswith("198.51.100."))
            claim(f"kind {k}", ok, f"mapping={r.get('mapping')} filtering={r.get('filtering')} port kept={r.get('preserve')} steps={r.get('steps')}")
    code = f"""
def tcp(p):
    try:
        s = socket.create_connection(("{S1}", p), 1); s.close(); return "open"
    except OSError as e: return "blocked"
print("udp" if ask(sock(), ("{S1}", 3478)) else "-", tcp(443), tcp(8080))"""
    for k, w in {"udp-blocked": "- open open", "only-443": "- open blocked", "http-proxy": "- blocked blocked", "none": "udp open open"}.items():
        with T(m, f"site A {k} hosts=a") as t:
            for p in (443, 8080):
                t.lab.spawn("srv", f"tcp{p}", [PY, "-c", f"import socket\ns=socket.create_server(('',{p}))\nwhile 1: s.accept()[0].sendall(b'hello')"])
            time.sleep(0.3)
            r = t.py("a", code)
            claim(f"kind {k}: udp, tcp 443, tcp 8080", r == w, r)
            if k == "http-proxy":
                gw = t.lab.s["sites"]["A"]["gw"]
                r = t.py("a", f"""
s = socket.create_connection(("{gw}", 3128), 2); s.settimeout(3)
s.sendall(b"CONNECT {S1}:443 HTTP/1.1\\r\\n\\r\\n")
d = b""
while b"hello" not in d: d += s.recv(999)
print(d.split(b"\\r")[0].decode())""")
                claim("kind http-proxy: CONNECT works", r == "HTTP/1.1 200 OK", r)


def nat(m):
    hair = f"""
s, r = sock(), sock()
me = ask(r, ("{S1}", 3478)); seen = ask(s, ("{S1}", 3478))
ask(r, seen, wait=.05, tries=1)      # opens r's filter towards s's outside address
s.sendto(b"hi", me); r.settimeout(.7)
try: print("yes", r.recvfrom(99)[1] == seen)
except OSError: print("no")"""
    for v, w in (("on", "yes True"), ("off", "no")):
        with T(m, f"site A eim-apdf hosts=a hairpin={v}") as t:
            r = t.py("a", hair)
            claim(f"hairpin={v}", r == w, r)
    with T(m, "site A eim-apdf hosts=a1,a2\nsite B eim-apdf isolate=on hosts=b1,b2") as t:
        h = t.lab.s["hosts"]
        claim("two hosts of one LAN see one another", t.ping("a1", ip=h["a2"]["ip"])[0] == 2)
        claim("isolate=on: they do not, the internet works", t.ping("b1", ip=h["b2"]["ip"])[0] == 0 and t.ping("b1")[0] == 2)
        claim("private addresses do not leak between sites", t.ping("a1", ip=h["b1"]["ip"])[0] == 0)
    late = f"""
def late(idle, chatter=0):   # does the server still reach us after idle seconds? (request sent from another source port asks it to)
    s = sock(); a = ask(s, ("{S1}", 3478))
    time.sleep(idle)
    h = sock(); return a, s
def alive(idle):
    s = sock(); a = ask(s, ("{S1}", 3478)); time.sleep(idle)
    q = socket.socket(socket.AF_INET, socket.SOCK_STREAM); q.connect(("{S1}", 7000)); q.sendall(("%s %d\\n" % a).encode())
    s.settimeout(.6)
    try: s.recv(99); return "alive"
    except OSError: return "gone"
print(alive(.8), alive(2.8))"""
    poke = f"""import socket
u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.bind(('{S1}',9999))
s=socket.create_server(('',7000))
while 1:
    c=s.accept()[0]; h,p=c.recv(99).split(); u.sendto(b'x',(h.decode(),int(p)))"""
    for eng, ns in (("", "2"), ("engine=nft", "2")):
        kind = "eim-eif" if not eng else "eim-apdf"
        with T(m, f"site A {kind} timeout={ns} {eng} hosts=a") as t:
            src = poke if not eng else poke.replace("9999", "7999")
            code = late if not eng else late.replace('time.sleep(idle)\n    q', 's.sendto(b"x",("%s",7999)); time.sleep(idle)\n    q' % S1)
            t.lab.spawn("srv", "poke", [PY, "-c", src])
            time.sleep(0.3)
            r = t.py("a", code)
            claim(f"timeout={ns} ({kind} {eng or 'userspace'})", r == "alive gone", f"idle 0.8 s, 2.8 s: {r}")
    with T(m, "site A eim-apdf natpmp=on hosts=a") as t:
        r = t.py("a", """
s = sock(); s.settimeout(1); gw = ("192.168.1.1", 5351)
s.sendto(b"\\0\\0", gw); x = s.recv(99)
s.sendto(struct.pack("!BBHHHI", 0, 1, 0, s.getsockname()[1], 40123, 60), gw); y = s.recv(99)
q = sock(); print(socket.inet_ntoa(x[8:12]), struct.unpack("!HHI", y[8:16])[1:], end=" ")
""")
        claim("natpmp=on: external address and mapping", r == "198.51.100.6 (40123, 60)", r)
        r = t.py("a", f"""
s = sock(); s.connect(("{S1}", 5)); s.send(b"x"); s.settimeout(1)
try: s.recv(9)
except ConnectionRefusedError: print("refused", end=" ")
except OSError as e: print(e, end=" ")
s = sock(); s.setsockopt(0, socket.IP_TTL, 2); s.connect(("{S1}", 3478)); s.setsockopt(0, 11, 1)
s.send(b"x"); time.sleep(.1)
try: s.send(b"x"); print("no error")
except OSError as e: print(e.errno)""")
        claim("ICMP errors come back through the NAT", r == "refused 113", r)
        got = t.ping("a", 2, 0.05, S1, "-s", "4000")[0]
        claim("fragments (4 kB ping) pass the NAT", got == 2, f"{got}/2")
    with T(m, "site A eim-apdf v6=on hosts=a\nsite B firewall v6=on hosts=b\nsite C eim-apdf hosts=c") as t:
        claim("v6=on: a global address, out works", t.ping("a", ip="2001:db8:0:1::10")[0] == 2)
        code = f"import socket\ns=socket.socket(10,2); s.bind(('::',5000)); s.settimeout(1.5)\ntry: print(s.recv(9))\nexcept OSError: print('filtered')"
        p = t.bg("b", PY, "-c", code)
        time.sleep(0.3)
        t.x("a", PY, "-c", f"import socket; socket.socket(10,2).sendto(b'x',('{t.lab.s['hosts']['b']['ip6']}',5000))")
        claim("v6=on: unasked packets are filtered", p.communicate()[0].strip() == "filtered")
        claim("v6=off is the default", t.ping("c", 1, ip="2001:db8:0:1::10")[0] == 0)


def flow_send(ip, port, n, gap):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    nxt = time.perf_counter()
    for i in range(n):
        while time.perf_counter() < nxt:
            time.sleep(0.0001)
        nxt += gap
        s.sendto(struct.pack("!I", i) + bytes(200), (ip, port))


def flow_recv(port, idle):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.bind(("", port))
    seen, late, dup, top, burst, last = set(), 0, 0, -1, 0, None
    s.settimeout(8)
    try:
        while True:
            i = struct.unpack_from("!I", s.recv(2048))[0]
            s.settimeout(idle)
            dup += i in seen
            late += i < top and i not in seen
            seen.add(i)
            top = max(top, i)
    except OSError:
        pass
    gaps = sum(1 for i in range(1, top) if i not in seen and i - 1 in seen)
    print(json.dumps({"n": len(seen), "late": late, "dup": dup, "gaps": gaps}))


def flow(t, n=5000, gap=0.0004):
    p = t.bg("srv", PY, ME, "recv", "6000", "1")
    time.sleep(0.4)
    t.x("a", PY, ME, "send", S1, "6000", str(n), str(gap))
    return json.loads(p.communicate()[0])


def impair(m):
    with T(m, "site A none hosts=a delay=25", False) as t:
        t.ping("a")  # ARP travels over the slow wire too
        _, rtt, _ = t.ping("a", 20, 0.05)
        claim("delay=25 (each way): ping 50 ms", rtt and abs(rtt - 50) < 1.5, f"rtt {rtt} ms")
        t.lab.ctl("wire-A", "set delay=0 up.delay=10 down.delay=30 jitter=5")
        _, rtt, o = t.ping("a", 200, 0.02)
        mm = re.search(r"= ([\d.]+)/[\d.]+/([\d.]+)", o)
        claim("up.delay=10 down.delay=30 jitter=5 while running", rtt and abs(rtt - 40) < 1.5 and float(mm[1]) < 36 and float(mm[2]) > 44, f"avg {rtt} min {mm[1]} max {mm[2]}")
        t.lab.ctl("wire-A", "set delay=0 jitter=0 up.loss=2")
        r = flow(t)
        claim("up.loss=2", 1.3 < 100 - r["n"] / 50 < 2.8, f"lost {100 - r['n'] / 50:.2f} %")
        t.lab.ctl("wire-A", "set up.loss=5 burst=8")
        r = flow(t, 8000)
        lost = 8000 - r["n"]
        claim("up.loss=5 burst=8", 2.5 < lost / 80 < 8.5 and 4 < lost / max(1, r["gaps"]) < 13, f"lost {lost / 80:.1f} %, mean burst {lost / max(1, r['gaps']):.1f}")
        t.lab.ctl("wire-A", "set loss=0 burst=0 up.dup=3 up.reorder=4 gap=3")
        r = flow(t)
        claim("up.dup=3 up.reorder=4", abs(r["dup"] / 50 - 3) < 1 and abs(r["late"] / 50 - 4) < 1.3 and r["n"] == 5000, f"dup {r['dup'] / 50:.2f} % late {r['late'] / 50:.2f} %")
        t.lab.ctl("wire-A", "set dup=0 reorder=0 mtu=1300")
        big, small = t.ping("a", 2, 0.05, S1, "-s", "1400", "-M", "do")[0], t.ping("a", 2, 0.05, S1, "-s", "1200", "-M", "do")[0]
        claim("mtu=1300: big packets vanish, small pass", (big, small) == (0, 2), f"1428 bytes: {big}/2, 1228 bytes: {small}/2")
        t.lab.ctl("wire-A", "set mtu=0 rate=100 queue=50")
        r = t.iperf("a", "-u", "-b", "150M", "-l", "1200", t=3)
        bps = r["sum_received"]["bits_per_second"] / 1e6 if r.get("sum_received") else r.get("sum", {}).get("bits_per_second", 0) / 1e6 * (1 - r.get("sum", {}).get("lost_percent", 0) / 100)
        claim("rate=100: 150 Mbit/s of UDP offered", 90 < bps < 101, f"{bps:.1f} Mbit/s of payload arrive (97 is exact)")
        t.lab.ctl("wire-A", "set delay=25")
        s = t.bg("srv", "iperf3", "-s", "-1")
        time.sleep(0.3)
        p = t.bg("a", "iperf3", "-c", S1, "-u", "-b", "130M", "-l", "1200", "-t", "3")
        time.sleep(1.2)
        _, rtt, _ = t.ping("a", 10, 0.1)
        p.wait(), s.kill(), s.wait()
        claim("queue=50: a full queue adds 50 ms", rtt and 92 < rtt < 106, f"rtt {rtt} ms with delay=25 each way")
        r = t.iperf("a", t=5)
        bps = r["sum_received"]["bits_per_second"] / 1e6
        claim("rate=100 delay=25: TCP", 80 < bps < 97, f"{bps:.1f} Mbit/s goodput")
        t.lab.ctl("wire-A", "set up.loss=2 loss=2")
        got, rtt, _ = t.ping("a", 500, 0.01)
        bps = t.iperf("a", "-u", "-b", "90M", "-l", "1200", t=3)
        lp = bps["sum"]["lost_percent"]
        claim("rate=100 delay=25 loss=2 together", abs(rtt - 50) < 2 and 1 < (500 - got) / 5 < 7.5 and 1.5 < lp < 2.6, f"rtt {rtt} ms, ping loss {(500 - got) / 5:.1f} % (2 ways), UDP loss {lp:.2f} %")


def events(m):
    with T(m, "site A eim-apdf hosts=a,a2\nsite B apdm hosts=b\nsite F firewall hosts=f wire=on\nserver srv2") as t:
        L = t.lab
        pid = L.spawn("a", "idle", ["sleep", "100"]).pid
        L.roam("a", "B")
        seen = t.py("a", f'print(ask(sock(), ("{S1}", 3478))[0])')
        claim("roam: new network, processes live on", seen == L.s["sites"]["B"]["wan"] and os.path.exists(f"/proc/{pid}"), f"seen as {seen}")
        L.roam("a", "F")
        L.roam("a", "A")
        claim("roam on and back", t.ping("a")[0] == 2)
        L.addr("a", "192.168.1.77")
        r = t.py("a", f'c = sock(); c.connect(("{S1}", 1)); print(c.getsockname()[0], ask(sock(), ("{S1}", 3478)) is not None)')
        claim("addr: renumbered", r == "192.168.1.77 True", r)
        code = f"""
s = sock(); a = ask(s, ("{S1}", 3478)); print(a[1], flush=True); sys.stdin.readline()
b = ask(s, ("{S1}", 3478)); print(b[1])"""
        for site, host, eng in (("B", "b", "random ports"),):
            p = subprocess.Popen(L.cmd(host, [PY, "-c", f"import sys; sys.path.insert(0,{HERE!r})\nfrom stun import *\n{code}"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            one = p.stdout.readline()
            L.reboot(site)
            two = p.communicate("\n")[0]
            claim("reboot: mappings are forgotten", one.strip() != two.strip() and two.strip(), f"port {one.strip()} -> {two.strip()}")
        L.link("a", "down")
        x = t.ping("a", 1)[0]
        L.link("a", "up")
        time.sleep(0.1)
        claim("link down / up (host)", x == 0 and t.ping("a")[0] == 2)
        for n, h in (("a", "a"), ("A", "a"), ("F", "f"), ("srv", "b")):
            L.link(n, "hole")
            x = t.ping(h, 1)[0]
            L.link(n, "heal")
            y = t.ping(h)[0]
            claim(f"link {n} hole / heal", x == 0 and y == 2, f"{x} {y}")
        for n, h in (("A", "a"), ("F", "f"), ("srv", "b")):
            L.link(n, "down")
            x = t.ping(h, 1)[0]
            L.link(n, "up")
            time.sleep(0.1)
            y = t.ping(h)[0]
            claim(f"link {n} down / up", x == 0 and y == 2, f"{x} {y}")
        L.partition("A", "srv")
        x, y, z = t.ping("a", 1)[0], t.ping("a", 1, ip="192.0.2.20")[0], t.ping("b", 1)[0]
        L.s["parts"] = []
        L._parts()
        claim("partition A srv: only that pair; heal", (x, y, z) == (0, 1, 1) and t.ping("a")[0] == 2, f"a-srv {x} a-srv2 {y} b-srv {z}")
        L.kill("srv", "stun", "KILL")
        x = t.py("b", f'print(ask(sock(), ("{S1}", 3478), tries=1) is None)')
        L.spawn("srv", "stun", L.s["procs"]["srv/stun"]["argv"])
        time.sleep(0.4)
        y = t.py("b", f'print(ask(sock(), ("{S1}", 3478)) is not None)')
        claim("kill / respawn of a host's process", (x, y) == ("True", "True"))
    name = L.pfx
    left = [n for n in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split() if n.startswith(name)]
    claim("teardown leaves nothing", not left and not os.path.exists(L.dir), " ".join(left))


def rates(m):
    for spec, what in (("none", "kernel router"), ("eim-apdf engine=nft", "kernel NAT"), ("eim-apdf", "userspace NAT"), ("none wire=on", "wire without impairment")):
        with T(m, f"site A {spec} hosts=a", False) as t:
            tcp = t.iperf("a", t=3).get("sum_received", {}).get("bits_per_second", 0) / 1e9
            u = t.iperf("a", "-u", "-b", "0", "-l", "1200", t=3).get("sum", {})
            pps = u.get("packets", 0) * (1 - u.get("lost_percent", 100) / 100) / 3 / 1e3
            claim(f"rate {what}", tcp > 0.5, f"TCP {tcp:.2f} Gbit/s, UDP 1200 B: {pps:.0f} kpps received, {u.get('lost_percent', 0):.1f} % lost of {u.get('packets', 0) / 3e3:.0f} kpps sent")


def punch(m):
    """The textbook matrix: prints it, and holds the plain one against theory."""
    kinds = ["none", "firewall", "eim-eif", "eim-adf", "eim-apdf", "apdm", "apdm-seq", "double"]

    def theory(a, b):
        sym = ("apdm", "apdm-seq")
        strict = ("firewall", "eim-apdf", "double") + sym
        return not ((a in sym and b in strict) or (b in sym and a in strict))
    for mode in ("plain", "predict", "spray"):
        pairs = [(a, b) for i, a in enumerate(kinds) for b in kinds[i:]]
        if mode != "plain":
            pairs = [p for p in pairs if not theory(*p)]
        out = subprocess.run([PY, m.SELF, "matrix", "--json", "--any", "-j", "4", "--timeout", "30", "--both", "--server", f"{PY} {PUNCH} rendezvous {{server}} {{server2}}",
                              "--cmd", f"{PY} {PUNCH} peer a {{server}} {{server2}} {mode} 4", "--cmd-b", f"{PY} {PUNCH} peer b {{server}} {{server2}} {mode} 4",
                              "--pairs", ",".join(f"{a}:{b}" for a, b in pairs)], capture_output=True, text=True)
        res = json.loads(out.stdout)
        print(f"\ntextbook punching, {mode}:\n" + m.table(res, kinds))
        if mode == "plain":
            bad = [f"{r['a']}/{r['b']}" for r in res if r["ok"] != theory(r["a"], r["b"])]
            claim("plain punching agrees with theory in every pair", not bad, f"{len(res)} pairs" + (": not " + " ".join(bad) if bad else ""))


def main(m, args):
    pick = [a for a in args if not a.startswith("-")]
    groups = {"kinds": kinds, "nat": nat, "impair": impair, "events": events, "rates": rates, "punch": punch}
    t0 = time.time()
    for n, f in groups.items():
        if not pick or n in pick:
            try:
                f(m)
            except Exception as e:
                claim(f"group {n} ran to its end", False, f"{type(e).__name__}: {e}"[:300])
    print(f"{sum(results)} of {len(results)} pass, {time.time() - t0:.0f} s, {'root' if not os.path.exists('/proc/self/uid_map') or open('/proc/self/uid_map').read().split()[2] == '4294967295' else 'user namespace'}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    if sys.argv[1] == "send":
        flow_send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        flow_recv(int(sys.argv[2]), float(sys.argv[3]))
