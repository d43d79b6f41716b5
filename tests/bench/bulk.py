# SPDX-License-Identifier: Apache-2.0
"""bulk.py ROLE ... - what is measured over bad links: as much as goes, and small messages.

sink PORT SECONDS [ADDRESS]       takes one connection, reads for so long from the first byte on
source ADDRESS PORT [CONGESTION]  writes until it is ended
echo PORT                         gives back what comes, over TCP and UDP
rounds ADDRESS PORT SECONDS       64 bytes there and back over TCP, one after the other
ping ADDRESS PORT SECONDS MS      64 bytes there and back over UDP, one each MS

Sinks and clients print JSON: bytes for each 50 ms; round trips in ms."""
import json
import selectors
import socket
import sys
import threading
import time

BUCKET = 0.05
SIZE = 64


def sink(port, seconds, address="0.0.0.0"):
    listener = socket.create_server((address, int(port)))
    print("ready", flush=True)
    s = listener.accept()[0]
    buckets = [0] * round(float(seconds) / BUCKET)
    buffer = memoryview(bytearray(1 << 18))
    first = None
    while True:
        n = s.recv_into(buffer)
        now = time.monotonic()
        first = first or now
        at = int((now - first) / BUCKET)
        if n == 0 or at >= len(buckets):
            break
        buckets[at] += n
    print(json.dumps({"first": first, "buckets": buckets}), flush=True)


def source(address, port, congestion=None):
    s = socket.socket()
    if congestion:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
    s.connect((address, int(port)))
    block = bytes(1 << 18)
    while True:
        try:
            s.sendall(block)
        except OSError:
            return


def echo(port):
    listener = socket.create_server(("0.0.0.0", int(port)))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", int(port)))

    def datagrams():
        while True:
            data, where = udp.recvfrom(2048)
            udp.sendto(data, where)

    def stream(s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := s.recv(65536):
            s.sendall(data)

    threading.Thread(target=datagrams, daemon=True).start()
    print("ready", flush=True)
    while True:
        threading.Thread(target=stream, args=[listener.accept()[0]], daemon=True).start()


def rounds(address, port, seconds):
    s = socket.create_connection((address, int(port)))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took, end = [], time.monotonic() + float(seconds)
    while time.monotonic() < end:
        at = time.monotonic()
        s.sendall(bytes(SIZE))
        got = 0
        while got < SIZE:
            got += len(s.recv(SIZE - got))
        took.append((time.monotonic() - at) * 1000)
    print(json.dumps(took), flush=True)


def ping(address, port, seconds, every):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, int(port)))
    s.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(s, selectors.EVENT_READ)
    took, at = [], time.monotonic()
    end, next_at = at + float(seconds), at
    while (now := time.monotonic()) < end:
        if now >= next_at:
            s.send(repr(now).encode().ljust(SIZE))
            next_at += float(every) / 1000
        if ready.select(max(0, next_at - time.monotonic())):
            took.append((time.monotonic() - float(s.recv(SIZE))) * 1000)
    print(json.dumps(took), flush=True)


if __name__ == "__main__":
    {"sink": sink, "source": source, "echo": echo, "rounds": rounds, "ping": ping}[sys.argv[1]](*sys.argv[2:])
