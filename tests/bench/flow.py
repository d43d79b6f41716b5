# SPDX-License-Identifier: Apache-2.0
"""flow.py source|sink listen|connect [ADDRESS:]PORT EVERY_MS [BYTES] - a steady trickle, and when it arrives.

The source writes BYTES (1,000) each EVERY_MS; it never waits for the network (what does not fit is
left out).  The sink prints the monotonic time of each read."""
import socket
import sys
import time


def connection(how, where):
    address, _, port = where.rpartition(":")
    at = (address or "127.0.0.1", int(port))
    if how == "connect":
        return socket.create_connection(at)
    listener = socket.create_server(at, family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    return listener.accept()[0]


def source(s, every, block):
    s.setblocking(False)
    at = time.monotonic()
    while True:
        try:
            s.send(block)
        except BlockingIOError:
            pass
        at += every
        time.sleep(max(0.0, at - time.monotonic()))


def sink(s):
    while s.recv(65536):
        print(f"{time.monotonic():.6f}", flush=True)


def main():
    s = connection(sys.argv[2], sys.argv[3])
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.argv[1] == "source":
        source(s, float(sys.argv[4]) / 1000, b"x" * (int(sys.argv[5]) if len(sys.argv) > 5 else 1000))
    else:
        sink(s)


if __name__ == "__main__":
    main()
