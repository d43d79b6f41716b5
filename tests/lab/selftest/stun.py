#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A minimal STUN server and probe (RFC 5389 binding, RFC 5780 tests), standard library only.

  stun.py server IP1 IP2 [PORT]   four sockets: {IP1, IP2} x {PORT, PORT+1}; also over TCP on IP1:443 (plain "ok")
  stun.py probe IP1 IP2 [PORT]    prints one JSON line: mapping, filtering, port allocation as seen from here
"""
import json, os, select, socket, struct, sys, time

COOKIE = 0x2112A442
PORT = 3478


def binding(change=0):
    tid = os.urandom(12)
    body = struct.pack("!HHI", 3, 4, change) if change else b""
    return tid, struct.pack("!HHI", 1, len(body), COOKIE) + tid + body


def parse(data):
    """-> (type, tid, {attr: bytes}) or None"""
    if len(data) < 20 or struct.unpack_from("!I", data, 4)[0] != COOKIE:
        return None
    at, o = {}, 20
    while o + 4 <= len(data):
        t, n = struct.unpack_from("!HH", data, o)
        at[t] = data[o + 4:o + 4 + n]
        o += 4 + (n + 3) // 4 * 4
    return struct.unpack_from("!H", data)[0], data[8:20], at


def mapped(at):
    v = at[0x20]
    port = struct.unpack_from("!H", v, 2)[0] ^ COOKIE >> 16
    return socket.inet_ntoa(struct.pack("!I", struct.unpack_from("!I", v, 4)[0] ^ COOKIE)), port


def server(ip1, ip2, port=PORT):
    socks = {}
    for i, ip in enumerate((ip1, ip2)):
        for j in (0, 1):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((ip, port + j))
            socks[s] = (i, j)
    byix = {v: k for k, v in socks.items()}
    while True:
        for s in select.select(list(socks), [], [])[0]:
            data, src = s.recvfrom(2048)
            m = parse(data)
            if not m or m[0] != 1:
                continue
            i, j = socks[s]
            ch = struct.unpack("!I", m[2][3])[0] if 3 in m[2] else 0
            out = byix[i ^ (ch >> 2 & 1), j ^ (ch >> 1 & 1)]
            a = struct.unpack("!I", socket.inet_aton(src[0]))[0] ^ COOKIE
            body = struct.pack("!HHBBHI", 0x20, 8, 0, 1, src[1] ^ COOKIE >> 16, a)
            out.sendto(struct.pack("!HHI", 0x101, len(body), COOKIE) + m[1] + body, src)


def ask(s, dst, change=0, wait=0.6, tries=2):
    """One binding request; the mapped address, or None when no answer came."""
    for _ in range(tries):
        tid, pkt = binding(change)
        try:
            s.sendto(pkt, dst)
        except OSError:
            return None
        end = time.time() + wait
        while (left := end - time.time()) > 0:
            s.settimeout(left)
            try:
                m = parse(s.recv(2048))
            except OSError:
                break
            if m and m[1] == tid:
                return mapped(m[2])
    return None


def sock():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 0))
    return s


def probe(ip1, ip2, port=PORT):
    s = sock()
    m = [ask(s, d) for d in ((ip1, port), (ip1, port + 1), (ip2, port))]
    r = {"mapped": m, "local": s.getsockname()[1]}
    if not all(m):
        return r | {"udp": False}
    r |= {"udp": True, "mapping": "eim" if m[0] == m[1] == m[2] else "adm" if m[0] == m[1] else "apdm", "preserve": m[0][1] == r["local"]}
    s2 = sock()  # a fresh mapping that has only ever spoken to ip1:port
    ask(s2, (ip1, port))
    r["filtering"] = "eif" if ask(s2, (ip1, port), 6) else "adf" if ask(s2, (ip1, port), 2) else "apdf"
    s3 = sock()
    p = [ask(s3, d)[1] for d in ((ip1, port), (ip1, port + 1), (ip2, port), (ip2, port + 1))]
    r["steps"] = [b - a for a, b in zip(p, p[1:])]
    return r


if __name__ == "__main__":
    a = sys.argv
    if a[1] == "server":
        server(a[2], a[3], int(a[4]) if len(a) > 4 else PORT)
    else:
        print(json.dumps(probe(a[2], a[3], int(a[4]) if len(a) > 4 else PORT)))
