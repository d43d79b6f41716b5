# SPDX-License-Identifier: Apache-2.0
"""What a beacon has to bear.  Runs inside a namespace and prints lines as it goes.

    crowd.py connect HOST PORT N       N TCP connections that say one byte of a TLS record and then nothing;
                                       prints "open N", then "closed N" when the other side has closed all
    crowd.py drip HOST PORT            TLS, and an HTTP request that never ends, a byte each 0.2 s; "tls", "closed"
    crowd.py idle HOST PORT            a TLS link that carries nobody; "open", "closed SECONDS"
    crowd.py junk HOST PORT SECONDS    random datagrams and QUIC-like ones, as fast as it can; "sent N got BYTES of BYTES"
"""
import os
import random
import select
import socket
import ssl
import sys
import time


def say(*what):
    print(*what, flush=True)


def tls(host, port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((host, port), 10), server_hostname="example.org")


def connect(host, port, count):
    opened = []
    for _ in range(count):
        s = socket.create_connection((host, port), 10)
        opened.append(s)
        try:
            s.sendall(b"\x16")
        except OSError:
            pass
    say("open", len(opened))
    poll, left = select.poll(), {s.fileno(): s for s in opened}
    for fd in left:
        poll.register(fd, select.POLLIN)
    while left:
        for fd, _ in poll.poll():
            poll.unregister(fd)
            left.pop(fd).close()
    say("closed", count)


def drip(host, port):
    s = tls(host, port)
    say("tls")
    try:
        for byte in b"GET /godwit HTTP/1.1\r\nX: " + b"y" * 10000:
            s.sendall(bytes([byte]))
            s.settimeout(0.2)
            try:
                if not s.recv(1):
                    break
            except TimeoutError:
                pass
    except OSError:
        pass
    say("closed")


def idle(host, port):
    s = tls(host, port)
    s.sendall(b"GET /godwit HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: godwit\r\n\r\n")
    assert b" 101 " in s.recv(1000)
    say("open")
    started = time.monotonic()
    s.settimeout(60)
    try:
        while s.recv(1000):
            pass
    except OSError:
        pass
    say("closed", time.monotonic() - started)


def junk(host, port, seconds):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    rng, sent, out, got = random.Random(5), 0, 0, 0
    heads = [b"", b"\x20", b"\x22", b"\x23", b"\x24", b"\x25", b"\x40", b"\xc0\0\0\0\1\x08", b"\xc0\0\0\0\2\x08", b"\xe0\0\0\0\1\x08"]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = rng.choice(heads) + os.urandom(rng.choice((1, 8, 47, 300, 1194)))
        try:
            s.sendto(data, (host, port))
        except BlockingIOError:
            select.select([], [s], [], 0.1)
            continue
        sent, out = sent + 1, out + len(data)
        try:
            while True:
                got += len(s.recv(65536))
        except BlockingIOError:
            pass
    say("sent", sent, "got", got, "of", out)


def main(argv):
    what = {"connect": connect, "drip": drip, "idle": idle, "junk": junk}[argv[1]]
    what(argv[2], int(argv[3]), *[int(x) for x in argv[4:]])


if __name__ == "__main__":
    main(sys.argv)
