# SPDX-License-Identifier: Apache-2.0
"""Small servers and clients that run inside a namespace.

    helper.py sum LISTEN               per connection: read to the end, then answer "LENGTH SHA256\n"
    helper.py echo LISTEN              send everything back
    helper.py source LISTEN            send forever (a pattern)
    helper.py drip LISTEN MS           send a numbered line each MS milliseconds
    helper.py streams PORT N BYTES     N connections at once, BYTES through an echo on each, verified

LISTEN is PORT (on 127.0.0.1) or unix:PATH.  Prints "ready" when it listens."""
import asyncio
import hashlib
import os
import random
import sys

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
        server = await asyncio.start_server(guarded, "127.0.0.1", int(where), backlog=500)
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


def main(argv):
    mode, where = argv[1], argv[2]
    if mode == "streams":
        return asyncio.run(streams(int(where), int(argv[3]), int(argv[4])))
    handler = {"sum": sum_handler, "echo": echo_handler, "source": source_handler}.get(mode)
    asyncio.run(listen(where, handler or drip_handler(float(argv[3]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
