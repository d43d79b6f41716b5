# SPDX-License-Identifier: Apache-2.0
"""Small servers and clients that run inside a namespace.

    helper.py sum LISTEN               per connection: read to the end, then answer "LENGTH SHA256\n"
    helper.py echo LISTEN              send everything back
    helper.py source LISTEN            send forever (a pattern)
    helper.py drip LISTEN MS           send a numbered line each MS milliseconds
    helper.py streams PORT N BYTES     N connections at once, BYTES through an echo on each, verified
    helper.py udp-echo PORT            send each datagram back
    helper.py udp-dns PORT             answer questions in DNS's format: every name is 192.0.2.77
    helper.py udp-talk PORT MS         to an echo: a numbered datagram each MS milliseconds; "got N" for each that
                                       comes back; ends when one is wrong or comes twice
    helper.py udp-crowd PORT N COUNT   to an echo: N sockets at once, COUNT datagrams on each, all verified
    helper.py talk PORT MS BYTES       numbered blocks to an echo, one each MS milliseconds, verified:
                                       "sent N", "ok N"; at the end of stdin it closes: "done N"
    helper.py proxy ADDR:PORT AUTH     an HTTP CONNECT proxy that wants AUTH, a file with "user:password"

LISTEN is PORT (on 127.0.0.1), ADDR:PORT or unix:PATH.  Prints "ready" when it listens."""
import asyncio
import base64
import hashlib
import os
import random
import re
import socket
import struct
import sys
import time

BLOCK = 1 << 16


async def listen(where, handler):
    async def guarded(reader, writer):
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
    if where.startswith("unix:"):
        server = await asyncio.start_unix_server(guarded, where[5:], backlog=500)
        os.chmod(where[5:], 0o777)
    else:
        host, _, port = where.rpartition(":")
        server = await asyncio.start_server(guarded, host or "127.0.0.1", int(port), backlog=500)
    print("ready", flush=True)
    await server.serve_forever()


async def sum_handler(reader, writer):
    digest, length = hashlib.sha256(), 0
    while block := await reader.read(BLOCK):
        digest.update(block)
        length += len(block)
    writer.write(f"{length} {digest.hexdigest()}\n".encode())
    await writer.drain()


async def echo_handler(reader, writer):
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()


async def source_handler(_, writer):
    block = bytes(range(256)) * 256
    while True:
        writer.write(block)
        await writer.drain()


def drip_handler(milliseconds):
    async def handler(_, writer):
        n = 0
        while True:
            n += 1
            writer.write(f"line {n}\n".encode())
            await writer.drain()
            await asyncio.sleep(milliseconds / 1000)
    return handler


async def one_stream(port, index, size, opened, go):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    rng = random.Random(index)
    first = rng.randbytes(1024)
    writer.write(first)
    assert await reader.readexactly(len(first)) == first, f"stream {index}: wrong bytes"
    opened.release()
    await go.wait()
    blocks = [rng.randbytes(min(BLOCK, size - at)) for at in range(0, size, BLOCK)]

    async def send():
        for block in blocks:
            writer.write(block)
            await writer.drain()
        writer.write_eof()

    sender = asyncio.create_task(send())
    for n, block in enumerate(blocks):
        assert await reader.readexactly(len(block)) == block, f"stream {index}: wrong bytes in block {n}"
    assert await reader.read(1) == b"", f"stream {index}: bytes after the end"
    await sender
    writer.close()


async def streams(port, count, size):
    opened, go = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(one_stream(port, i, size, opened, go)) for i in range(count)]

    async def all_opened():
        for _ in range(count):
            await opened.acquire()
        print("opened", flush=True)
        go.set()
    starter = asyncio.create_task(all_opened())
    results = await asyncio.gather(*tasks, return_exceptions=True)
    starter.cancel()
    bad = [repr(r) for r in results if r is not None]
    print(f"verified {count - len(bad)} of {count}", *bad[:3], flush=True)
    return 1 if bad else 0


def udp_socket(port=None, connect=None):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if port is not None:
        s.bind(("127.0.0.1", port))
    if connect is not None:
        s.connect(("127.0.0.1", connect))
    return s


def udp_serve(port, answer):
    s = udp_socket(port)
    print("ready", flush=True)
    while True:
        data, who = s.recvfrom(65536)
        s.sendto(answer(data), who)


def dns_answer(query):
    # Header, then the question as it came, then one A record that points to the name there.
    return (query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + query[12:] +
            struct.pack(">HHHIH", 0xc00c, 1, 1, 60, 4) + bytes((192, 0, 2, 77)))


def numbered(n, size):
    return (b"%09d " % n) * (size // 10)


def udp_talk(port, milliseconds):
    s, n, seen = udp_socket(connect=port), 0, set()
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            n += 1
            due = max(due + milliseconds / 1000, time.monotonic())
            try:
                s.send(numbered(n, 600))
            except ConnectionRefusedError:
                pass
        s.settimeout(max(due - time.monotonic(), 0.001))
        try:
            data = s.recv(65536)
        except (TimeoutError, ConnectionRefusedError):
            continue
        k = int(data[:9])
        assert data == numbered(k, 600) and k <= n, "wrong bytes"
        assert k not in seen, f"{k} came twice"
        seen.add(k)
        print(f"got {k}", flush=True)


def udp_crowd(port, count, datagrams):
    sockets = [udp_socket(connect=port) for _ in range(count)]
    lost = 0
    for k in range(datagrams):
        for i, s in enumerate(sockets):
            s.send(b"%d/%d" % (i, k))
        for i, s in enumerate(sockets):
            s.settimeout(5)
            try:
                got = s.recv(100)
            except TimeoutError:
                lost += 1
                continue
            assert got == b"%d/%d" % (i, k), f"socket {i} got {got!r} in round {k}"
    print(f"lost {lost} of {count * datagrams}", flush=True)
    return 1 if lost else 0


# --- one stream that never rests ---


def block(n, size):
    return (b"%012d" % n + random.Random(n).randbytes(size))[:size]


async def talk(port, milliseconds, size):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop, over, sent = asyncio.get_running_loop(), asyncio.Event(), 0
    loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)))

    async def send():
        nonlocal sent
        while not over.is_set():
            sent += 1
            writer.write(block(sent, size))
            await writer.drain()
            print("sent", sent, flush=True)
            await asyncio.sleep(milliseconds / 1000)
        writer.write_eof()
    sender, got = asyncio.create_task(send()), 0
    while (data := await reader.read(size)) or not over.is_set():
        data += await reader.readexactly(size - len(data))
        got += 1
        if data != block(got, size):
            sys.exit(f"wrong bytes in block {got}")
        print("ok", got, flush=True)
    await sender
    if got != sent:
        sys.exit(f"{sent} blocks sent, {got} came back")
    print("done", got, flush=True)


# --- a proxy that wants a password ---


async def copy(reader, writer):
    while data := await reader.read(BLOCK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def proxy_handler(auth_file):
    async def handler(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = re.match(r"CONNECT \[?([^\s\]]+?)\]?:(\d+) HTTP", head)
        given = re.search(r"^Proxy-Authorization: Basic (\S+)\r$", head, re.M | re.I)
        with open(auth_file, encoding="utf-8") as f:
            wanted = f.readline().strip()
        right = bool(given) and base64.b64decode(given[1]).decode() == wanted
        print("proxy", target[1], target[2], "ok" if right else "denied" if given else "nobody", flush=True)
        if not right:
            writer.write(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="lab"\r\n'
                         b"Content-Length: 0\r\n\r\n")
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection(target[1], int(target[2]))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
    return handler


def main(argv):
    mode, where = argv[1], argv[2]
    if mode == "udp-echo":
        udp_serve(int(where), lambda data: data)
    if mode == "udp-dns":
        udp_serve(int(where), dns_answer)
    if mode == "udp-talk":
        udp_talk(int(where), float(argv[3]))
    if mode == "udp-crowd":
        return udp_crowd(int(where), int(argv[3]), int(argv[4]))
    if mode == "streams":
        return asyncio.run(streams(int(where), int(argv[3]), int(argv[4])))
    if mode == "talk":
        asyncio.run(talk(int(where), float(argv[3]), int(argv[4])))
        return 0
    if mode == "proxy":
        asyncio.run(listen(where, proxy_handler(argv[3])))
        return 0
    handler = {"sum": sum_handler, "echo": echo_handler, "source": source_handler}.get(mode)
    asyncio.run(listen(where, handler or drip_handler(float(argv[3]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
