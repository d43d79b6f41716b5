# SPDX-License-Identifier: Apache-2.0
"""Streams go on while addresses, networks and links change under them."""
import os
import subprocess
import sys
import time

from netlab import Node, Postgres, Psql, as_tester, random_file, sha256_file, sshd, user_mode, wait

HELPER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper.py")]


def helper(host, mode, *args):
    p = host.spawn(*HELPER, mode, *[str(a) for a in args], name=mode)
    p.wait_out(r"^ready$")
    return p


def test_curl_large_file_over_moves(w):
    """curl fetches 200 MB through expose and forward while client and server change addresses."""
    size, source, copy = 200_000_000, os.path.join(w.dir, "file"), os.path.join(w.dir, "copy")
    digest = random_file(source, size)
    web = w.a.spawn(sys.executable, "-m", "http.server", "8000", "--bind", "127.0.0.1", "-d", w.dir, name="web")
    web.wait_listens(8000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    client.forward("8001", server.expose("8000", "web"))
    curl = w.b.spawn("curl", "-sS", "--limit-rate", "25M", "-o", copy, "http://127.0.0.1:8001/file", name="curl")

    def copied():
        assert curl.running() or curl.child.returncode == 0, f"curl: {curl.err()}"
        return os.path.getsize(copy) if os.path.exists(copy) else 0
    for share, host in ((10, w.b), (25, w.b), (40, w.a), (55, w.b), (70, w.a)):
        wait(lambda: copied() >= size * share // 100, 40, f"{share} % of the file")
        assert curl.running(), "the transfer ended before the moves did"
        host.move()
    assert curl.wait(60) == 0, f"curl: {curl.err()}"
    assert sha256_file(copy) == digest, "the copy differs"


def test_ssh_session_survives_client_move(w):
    """An ssh session with `godwit connect` as ProxyCommand goes on after the client has moved."""
    user, options = sshd(w.a)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    destination = server.expose("2222", "ssh")
    proxy = " ".join(client.argv("connect", destination))
    shell = "echo shell $$; while read -r line; do echo \"$$ got $line\"; done; echo bye"
    ssh = w.b.spawn(*as_tester(["env", "HOME=/run/tester", "ssh", *options, "-o", f"ProxyCommand={proxy}", f"{user}@host", shell])
                    if not user_mode() else ["ssh", *options, "-o", f"ProxyCommand={proxy}", f"{user}@host", shell],
                    name="ssh", stdin=subprocess.PIPE)
    pid = ssh.wait_out(r"^shell (\d+)$", 20).group(1)
    for n in range(3):
        ssh.send(f"before {n}\n")
        ssh.wait_out(rf"^{pid} got before {n}$")
        w.b.move()
        ssh.send(f"after {n}\n")
        ssh.wait_out(rf"^{pid} got after {n}$", 15)
    ssh.stdin.close()
    ssh.wait_out(r"^bye$")
    assert ssh.wait(10) == 0, ssh.err()
    assert "godwit" not in ssh.err(), ssh.err()


def test_psql_transaction_survives_moves(w):
    """A transaction left open across moves of both ends keeps its backend and its rows."""
    pg = Postgres(w.a)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    client.forward("6432", server.expose("5432", "pg"))
    q = Psql(w.b, 6432)
    q.query("CREATE TABLE t(n int);")
    pid = q.query("BEGIN; INSERT INTO t SELECT generate_series(1, 1000); SELECT pg_backend_pid();")
    for host in (w.b, w.a, w.b):
        host.move()
        assert q.query("SELECT count(*), sum(n) FROM t;") == "1000|500500"
        assert q.query("SELECT pg_backend_pid();") == pid
        assert pg.run("psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-U", "godwit", "-d", "postgres", "-c",
                      "SELECT count(*) FROM t").out.strip() == "0", "the transaction was not open any more"
    q.query("COMMIT;")
    assert pg.run("psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-U", "godwit", "-d", "postgres", "-c",
                  "SELECT count(*) FROM t").out.strip() == "1000"


def test_200_streams_survive_a_move(w):
    """200 parallel streams, each verified to the byte, across a move."""
    helper(w.a, "echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "echo=7000", "--allow", "any")
    client.up("--forward", "7001=" + server.ticket("echo"))
    client.process.wait_listens(7001)
    load = w.b.spawn(*HELPER, "streams", "7001", "200", "1000000", name="streams")
    load.wait_out(r"^opened$", 30)
    assert len(client.status()["streams"]) == 200 and client.peer()["streams"] == 200
    moves = client.peer()["moves"]
    w.b.move()
    client.wait_path("10.1.")
    assert load.running(), "the streams ended before the move did"
    assert load.wait(90) == 0, load.out()
    assert "verified 200 of 200" in load.out()
    assert client.peer()["moves"] > moves


def drip(w):
    """A server that sends a line each 20 ms, and a client that reads it through godwit."""
    helper(w.a, "drip", 7000, 20)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "drip=7000", "--allow", "any")
    reader = client.spawn("connect", server.ticket("drip"), stdin=subprocess.PIPE)
    reader.wait_out(r"^line 10$")
    return server, client, reader


def lines(reader):
    """The number of whole lines; fails when one is missing, repeated or out of order."""
    got = reader.out().split("\n")[:-1]
    assert got == [f"line {n + 1}" for n in range(len(got))], "lines were lost, repeated or reordered"
    assert reader.running(), f"connect ended: {reader.err()}"
    return len(got)


def wait_flows(reader, seconds, what):
    start = lines(reader)
    wait(lambda: lines(reader) > start + 5, seconds, what)


def test_receiver_moves(w):
    """The client, which only receives, moves: data flows again within a second."""
    _, _, reader = drip(w)
    for _ in range(3):
        w.b.move()
        wait_flows(reader, 3, "lines after the client's move")


def test_sender_moves(w):
    """The server, which only sends, moves; it dials the client back."""
    _, _, reader = drip(w)
    for _ in range(3):
        w.a.move()
        wait_flows(reader, 3, "lines after the server's move")


def test_link_down_10_seconds(w):
    """The link goes down for 10 s and comes up: flowing at once."""
    _, _, reader = drip(w)
    w.b.link("down")
    down = time.monotonic()
    held = lines(reader)
    wait(lambda: time.monotonic() - down > 10, 11, "10 s of outage")
    assert lines(reader) <= held + 5, "data came through a link that was down"
    w.b.link("up")
    wait_flows(reader, 4, "lines after the link came up")


def test_silent_outage(w):
    """The network swallows packets for 10 s and no host is told: flowing soon after."""
    _, client, reader = drip(w)
    w.forwarding(False)
    off = time.monotonic()
    wait(lambda: time.monotonic() - off > 10, 11, "10 s of outage")
    w.forwarding(True)
    wait_flows(reader, 6, "lines after the network came back")


def test_move_while_link_is_down(w):
    """A laptop closed in one network and opened in another."""
    _, _, reader = drip(w)
    w.b.link("down")
    w.b.network += 1
    w.b.ip_batch("address flush dev eth0", f"address add {w.b.address()}/24 dev eth0")
    w.b.link("up")
    wait_flows(reader, 5, "lines in the other network")


def test_many_moves_in_a_row(w):
    """Twenty moves, each before or while the last one heals."""
    _, _, reader = drip(w)
    for _ in range(20):
        w.b.move()
        start = lines(reader)
        wait(lambda: lines(reader) > start, 5, "a line after a move")
    wait_flows(reader, 5, "lines after twenty moves")


def test_ipv6_move(w):
    """The same over IPv6 only."""
    for host in (w.a, w.b):
        host.ip_batch(f"address del {host.address()}/24 dev eth0")
    _, client, reader = drip(w)
    side = w.b
    side.network += 1
    side.ip_batch("address flush dev eth0 scope global", f"address add {side.address6()}/64 dev eth0 nodad",
                  f"route replace default via fd00:2:{side.network}::1")
    wait_flows(reader, 4, "lines after the move")


test_ipv6_move.world = {"v6": True}


def test_debug_rebind_and_move(w):
    """`godwit debug rebind|move|break`: the stream goes on."""
    helper(w.a, "drip", 7000, 20)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "drip=7000", "--allow", "any")
    client.up()
    reader = client.spawn("connect", server.ticket("drip"), stdin=subprocess.PIPE)
    reader.wait_out(r"^line 10$")
    for fault in ("move", "rebind", "break"):
        client.ok("debug", fault)
        wait_flows(reader, 5, f"lines after debug {fault}")


def test_slow_reader_stalls_alone(w):
    """A stalled reader stops its writer, not its neighbour, and memory stays bounded."""
    helper(w.a, "source", 7000)
    helper(w.a, "drip", 7002, 20)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "source=7000", "--expose", "drip=7002", "--allow", "any")
    client.up("--forward", "7001=" + server.ticket("source"))
    client.process.wait_listens(7001)
    stalled = w.b.spawn(sys.executable, "-c", "import socket,sys; s=socket.create_connection(('127.0.0.1',7001)); "
                        "print('open', flush=True); sys.stdin.read()", name="stalled", stdin=subprocess.PIPE)
    stalled.wait_out("^open$")

    def received():
        return sum(s["rx_bytes"] for s in client.status()["streams"])
    history = []

    def quiet():
        history.append((time.monotonic(), received()))
        then = [h for h in history if h[0] < history[-1][0] - 1]
        return then and then[-1][1] == history[-1][1] and history[-1][1] > 0
    wait(quiet, 20, "the stalled stream to stop")
    reader = client.spawn("connect", server.ticket("drip"), stdin=subprocess.PIPE)
    reader.wait_out(r"^line 50$", 10)
    assert client.process.rss_kib() < 80_000 and server.process.rss_kib() < 80_000, \
        (client.process.rss_kib(), server.process.rss_kib())
    w.b.move()
    wait_flows(reader, 4, "the neighbour's lines after a move")


def test_server_killed_and_restarted(w):
    """kill -9 of the server process: the client's stream ends with a clear error, never hangs."""
    helper(w.a, "drip", 7000, 20)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    port = "41700"
    server.up("--expose", "drip=7000", "--allow", "any", "--listen", "0.0.0.0:" + port)
    ticket = server.ticket("drip")
    reader = client.spawn("connect", ticket, stdin=subprocess.PIPE)
    reader.wait_out(r"^line 10$")
    server.process.kill()
    server.up("--expose", "drip=7000", "--allow", "any", "--listen", "0.0.0.0:" + port)
    assert reader.wait(20) == 1, reader.err()
    assert "restarted" in reader.err(), reader.err()
    again = client.spawn("connect", ticket, stdin=subprocess.PIPE)
    again.wait_out(r"^line 3$")


def test_clean_exit_ends_streams(w):
    """SIGTERM to the server: exit 0, and the client hears of it at once."""
    server, _, reader = drip(w)
    server.process.signal(15)
    assert server.process.wait(10) == 0, server.process.err()
    assert reader.wait(10) == 1, reader.err()
    assert len(reader.err().strip().split("\n")) <= 2 and "godwit: " in reader.err(), reader.err()
