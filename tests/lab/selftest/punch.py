#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reference hole puncher: what a textbook implementation reaches, nothing cleverer.

  punch.py rendezvous IP1 IP2
  punch.py peer a|b IP1 IP2 [plain|predict|spray] [SECONDS] [lan]

Both peers learn their mapped address from the rendezvous, exchange it there, and send to one another at
the same moment; the source of whatever arrives is tried as well (peer-reflexive).
  plain    one socket, the learned address only
  predict  also the next 16 ports after the learned one (sequential allocators)
  spray    birthday paradox: the side whose mapping varies opens 256 sockets, the other tries 2048 random ports
  lan      also exchange the local address (hosts behind one NAT)
Exit 0 and "path=direct" when this side has seen its own nonce come back.
"""
import json, os, random, select, socket, sys, time

PORT = 4000


def rendezvous(ip1, ip2):
    """Answers with the seen address; once both a and b have registered, also with the other's record."""
    socks = []
    for ip in (ip1, ip2):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((ip, PORT))
        socks.append(s)
    reg, start = {}, None
    while True:
        for s in select.select(socks, [], [])[0]:
            d, src = s.recvfrom(4096)
            m = json.loads(d)
            if "reg" in m:
                reg[m["who"]] = m["reg"]
                if len(reg) == 2 and not start:
                    start = time.time() + 0.5
            s.sendto(json.dumps({"seen": src, "peer": reg.get("b" if m["who"] == "a" else "a"), "go": start and start - time.time()}).encode(), src)


def call(s, dst, msg):
    for _ in range(4):
        try:
            s.sendto(json.dumps(msg).encode(), dst)
            s.settimeout(0.4)
            while True:
                d, src = s.recvfrom(4096)
                if src == dst:
                    return json.loads(d)
        except OSError:
            pass
    return None


def peer(who, ip1, ip2, mode="plain", secs=4.0, lan=False):
    def sock():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("0.0.0.0", 0))
        return s
    s = sock()
    one = call(s, (ip1, PORT), {"who": who})
    two = call(s, (ip2, PORT), {"who": who})
    if not one or not two:
        return "blocked", 0
    hard = one["seen"] != two["seen"]
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    c.connect((ip1, PORT))
    me = {"at": two["seen"], "hard": hard, "lan": [c.getsockname()[0], s.getsockname()[1]]}
    end = time.time() + 8
    while time.time() < end:
        r = call(s, (ip1, PORT), {"who": who, "reg": me})
        if r and r["peer"] and r["go"] is not None:
            break
        time.sleep(0.05)
    else:
        return "nopeer", 0
    other = r["peer"]
    time.sleep(max(0, r["go"]))
    t0 = time.time()
    dst = [tuple(other["at"])] + ([tuple(other["lan"])] if lan else [])
    ip, port = dst[0]
    if mode == "predict" and other["hard"]:
        dst += [(ip, (port + k - 1) % 65535 + 1) for k in range(1, 17)]
    socks = [s] + ([sock() for _ in range(255)] if mode == "spray" and hard else [])
    guesses = random.sample(range(1024, 65536), 2048) if mode == "spray" and other["hard"] and not hard else []
    nonce, done, nxt, found = os.urandom(6).hex(), None, 0, {}
    while time.time() - t0 < secs:
        if time.time() >= nxt:
            nxt = time.time() + 0.1
            for k in socks if not found else found:
                for d in dst if not found else {found[k]}:
                    try:
                        k.sendto(b"ping " + nonce.encode(), d)
                    except OSError:
                        pass
            for g in guesses[:128] if not found else ():
                s.sendto(b"ping " + nonce.encode(), (ip, g))
            guesses = guesses[128:]
        for k in select.select(socks, [], [], 0.02)[0]:
            try:
                d, src = k.recvfrom(2048)
            except OSError:
                continue
            w = d.split()
            if src[0] in (ip1, ip2) or len(w) != 2:
                continue
            found[k] = src
            if w[0] == b"ping":
                k.sendto(b"pong " + w[1], src)
                k.sendto(b"ping " + nonce.encode(), src)
            elif w[1].decode() == nonce and done is None:
                done = time.time() - t0
                path = "lan" if lan and src == tuple(other["lan"]) else "direct"
        if done is not None and time.time() - t0 > done + 0.6:  # linger, so that the other side finishes too
            return path, done
    return ("fail", 0) if done is None else (path, done)


if __name__ == "__main__":
    a = sys.argv[1:]
    if a[0] == "rendezvous":
        rendezvous(a[1], a[2])
    lan = "lan" in a
    a = [x for x in a if x != "lan"]
    path, t = peer(a[1], a[2], a[3], *(a[4:5]), **({"secs": float(a[5])} if len(a) > 5 else {}), lan=lan)
    print(f"path={path} time={t:.2f}")
    sys.exit(path not in ("direct", "lan"))
