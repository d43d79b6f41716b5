# SPDX-License-Identifier: Apache-2.0
"""UDP services: datagrams through expose and forward, over moves and a relay."""
import json
import re
import struct
import sys

from netlab import Node, wait
from test_beacon import AT, Beacon
from test_moves import HELPER, helper
from test_services import two_lines

UDP = "udp:127.0.0.1:7001"


def forward(node, destination, *args, listen=UDP):
    """`godwit forward` of UDP in the background."""
    node.process = node.spawn("forward", listen, destination, *args)
    node.process.wait_out(r"^Forwarding udp ")
    return node.process


def pair(w, mode="udp-echo", *args):
    """A UDP service named "echo" on a, forwarded to port 7001 of b."""
    helper(w.a, mode, 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "echo=udp:127.0.0.1:7000", "--allow", "any")
    forward(client, server.ticket("echo"), *args)
    return server, client


def exchange(host, data, port=7001, tries=20):
    """Send until the same comes back."""
    code = ("import socket,sys\n"
            f"s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.connect(('127.0.0.1',{port})); s.settimeout(0.5)\n"
            "d=bytes.fromhex(sys.stdin.read())\n"
            f"for _ in range({tries}):\n"
            " s.send(d)\n"
            " try: sys.exit(s.recv(65536)!=d)\n"
            " except (TimeoutError,ConnectionRefusedError): pass\n"
            "sys.exit(9)")
    return host.run(sys.executable, "-c", code, data=data.hex()).code


def talk(host, milliseconds=20):
    p = host.spawn(*HELPER, "udp-talk", "7001", str(milliseconds), name="udp-talk")
    p.wait_out(r"^got \d+$")
    return p


def wait_flows(talker, seconds, what):
    """More comes back than what may have been on its way; the talker itself looks at each."""
    start = talker.out_size()
    wait(lambda: talker.out_size() > start + 200 or not talker.running(), seconds, what)
    assert talker.running(), talker.err()


def streams(node):
    return node.status()["streams"]


def test_udp_echo(w):
    """Datagrams of all sizes come back whole, empty ones too; status tells of them."""
    helper(w.a, "udp-echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.process = server.spawn("expose", "udp:127.0.0.1:7000", "--as", "echo", "--allow", "any")
    destination = server.process.wait_out(r"^  godwit forward udp:127\.0\.0\.1:7000 (t[a-z2-7]+/echo)$").group(1)
    assert "Offering echo (udp 127.0.0.1:7000) to anyone" in server.process.out(), server.process.out()
    forward(client, destination)
    for size in (1, 0, 17, 512, 1167, 1400):
        assert exchange(w.b, bytes((i * 7 + size) % 256 for i in range(size))) == 0, size
    stream = streams(client)[0]
    assert stream["service"] == "echo" and stream["state"] == "open", stream
    assert stream["datagrams"]["sent"] >= 1 and stream["datagrams"]["received"] >= 1, stream
    assert stream["tx_bytes"] == stream["rx_bytes"] > 0 or stream["datagrams"]["sent"] > stream["datagrams"]["received"], stream
    assert re.search(r" \d+ sent, \d+ received, 0 dropped$", client.ok("status", "--streams"), re.M)
    assert server.status()["services"][0]["target"] == "udp:127.0.0.1:7000"
    assert client.status()["datagrams"]["of_services"]["received"] >= 6


def test_udp_dns(w):
    """A resolver behind the overlay: question and answer in DNS's own format."""
    pair(w, "udp-dns")
    question = b"\x07example\x03org\x00" + struct.pack(">HH", 1, 1)
    code = ("import socket,sys\n"
            "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(10)\n"
            "s.sendto(bytes.fromhex(sys.argv[1]),('127.0.0.1',7001))\n"
            "d,who=s.recvfrom(512); print(d.hex(), who[1])")
    for number in (0x1234, 0xffff):
        query = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
        r = w.b.run(sys.executable, "-c", code, query.hex())
        answer, port = r.out.split()
        answer = bytes.fromhex(answer)
        assert port == "7001" and answer[:2] == query[:2] and answer[2] & 0x80 and answer[-4:] == bytes((192, 0, 2, 77)), r.out


def test_udp_many_clients(w):
    """Many local sockets at once: each gets its own answers and no other's."""
    server, client = pair(w)
    r = w.b.run(*HELPER, "udp-crowd", "7001", "200", "10", seconds=60)
    assert r.code == 0 and "lost 0 of 2000" in r.out, repr(r)
    assert len(streams(client)) == 200 and len(streams(server)) == 200


def test_udp_of_a_running_node(w):
    """up --expose and --forward; the streams are those of the running node."""
    helper(w.a, "udp-echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "echo=udp:127.0.0.1:7000", "--allow", "any")
    client.up("--forward", f"{UDP}={server.ticket('echo')}")
    assert exchange(w.b, b"through up") == 0
    assert streams(client)[0]["service"] == "echo"


def test_udp_too_large(w):
    """What does not fit is dropped, counted, and told once with its size and the limit; at both ends."""
    server, client = pair(w)
    assert exchange(w.b, bytes(1400)) == 0  # by now the path is known to carry that
    dropped = client.status()["datagrams"]["of_services"]["dropped"]
    assert exchange(w.b, bytes(1460), tries=3) == 9
    assert exchange(w.b, b"small ones go on") == 0
    err = client.process.err()
    told = re.findall(r"^godwit: echo: a datagram of 1460 bytes was dropped: the path carries (\d+) at most\n  try: ", err, re.M)
    assert len(told) == 1 and 1400 <= int(told[0]) < 1460, err
    assert client.status()["datagrams"]["of_services"]["dropped"] == dropped + 3
    code = ("import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('127.0.0.1',7002)); print('ready',flush=True)\n"
            "while True:\n d,w=s.recvfrom(9000); s.sendto(bytes(3000),w); s.sendto(b'small',w)")
    w.a.spawn(sys.executable, "-c", code, name="large").wait_out("^ready$")
    r = server.spawn("expose", "udp:127.0.0.1:7002", "--as", "large", "--allow", "any")
    r.wait_out("godwit forward")
    other = Node(w.b, "other")
    forward(other, server.ticket("large"), listen="udp:127.0.0.1:7003")
    code = ("import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.connect(('127.0.0.1',7003)); s.settimeout(20)\n"
            "for _ in range(3):\n s.send(b'?'); print(s.recv(9000))")
    r = w.b.run(sys.executable, "-c", code)
    assert r.out.split() == ["b'small'"] * 3, repr(r)
    err = server.process.err()
    assert len(re.findall(r"^godwit: service large: a datagram of 3000 bytes was dropped", err, re.M)) == 1, err


def test_udp_kinds(w):
    """A UDP service is not for TCP, and the other way round: a clear error each time."""
    helper(w.a, "echo", 7100)
    server, client = pair(w)
    server.spawn("expose", "7100", "--as", "tcp", "--allow", "any").wait_out("godwit forward")
    r = Node(w.b, "one").run("connect", server.ticket("echo"), data="x")
    two_lines(r, 1)
    assert "other kind" in r.err and "forward udp:" in r.err, r.err
    r = Node(w.b, "one").run("connect", server.ticket("echo"), "--json", data="x")
    assert r.code == 1 and json.loads(r.out)["error"]["code"] == "kind", repr(r)
    tcp = Node(w.b, "two")
    tcp.forward("7101", server.ticket("echo"))
    r = w.b.run(sys.executable, "-c", "import socket; s=socket.create_connection(('127.0.0.1',7101)); s.settimeout(10)\n"
                "try: print(s.recv(10))\nexcept ConnectionError: print('reset')")
    assert r.out.strip() in ("b''", "reset"), repr(r)
    wait(lambda: "other kind" in tcp.process.err(), 5, "the TCP forward to say why")
    udp = Node(w.b, "three")
    udp.process = udp.spawn("forward", "udp:127.0.0.1:7102", server.ticket("tcp"))
    udp.process.wait_out("^Forwarding udp ")
    assert exchange(w.b, b"?", port=7102, tries=2) == 9
    wait(lambda: "other kind" in udp.process.err(), 5, "the UDP forward to say why")
    assert udp.process.err().count("other kind") == 1 and udp.process.running(), udp.process.err()
    assert exchange(w.b, b"unharmed") == 0


def test_udp_denied_and_missing(w):
    """Who may not, and what is not there: told once, and the listener goes on."""
    server, client = pair(w)
    stranger = Node(w.b, "stranger")
    forward(stranger, server.ticket("nothing"), listen="udp:127.0.0.1:7103")
    assert exchange(w.b, b"?", port=7103, tries=3) == 9
    wait(lambda: "no such service" in stranger.process.err(), 5, "the forward to say why")
    assert stranger.process.err().count("godwit:") == 1, stranger.process.err()
    assert exchange(w.b, b"unharmed") == 0


def test_udp_target_comes_late(w):
    """Nobody listens at the target: datagrams are lost, as without godwit, and nothing else."""
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "echo=udp:127.0.0.1:7000", "--allow", "any")
    forward(client, server.ticket("echo"))
    talker = w.b.spawn(*HELPER, "udp-talk", "7001", "50", name="udp-talk")
    wait(lambda: [s for s in streams(client) if s["datagrams"]["sent"] > 5], 10, "datagrams to be sent")
    before = streams(client)[0]["id"]
    helper(w.a, "udp-echo", 7000)
    wait_flows(talker, 5, "answers of the target")
    assert [s["id"] for s in streams(client)] == [before], "another association"
    assert "godwit:" not in client.process.err(), client.process.err()


def test_udp_idle(w):
    """An association without traffic ends, at both ends, and comes back with the next datagram."""
    server, client = pair(w, "udp-echo", "--udp-idle", "1")
    assert exchange(w.b, b"one") == 0
    assert len(streams(client)) == len(streams(server)) == 1
    wait(lambda: not streams(client) and not streams(server), 8, "the association to end")
    talker = talk(w.b)
    before, seen = streams(client)[0]["id"], len(talker.out().splitlines())
    # One each 20 ms, for three idle times: traffic keeps it alive.
    wait(lambda: len(talker.out().splitlines()) > seen + 150 or not talker.running(), 20, "datagrams to come back")
    assert talker.running() and [s["id"] for s in streams(client)] == [before]
    assert "godwit:" not in client.process.err(), client.process.err()


def test_udp_moves(w):
    """Either end moves, then both at once: datagrams flow again, none twice, the association is the same."""
    server, client = pair(w)
    talker = talk(w.b)
    before = streams(client)[0]["id"]
    for _ in range(2):
        w.b.move()
        wait_flows(talker, 5, "datagrams after the client's move")
        w.a.move()
        wait_flows(talker, 5, "datagrams after the server's move")
    client.ok("debug", "rebind")
    wait_flows(talker, 5, "datagrams after a rebind")
    w.b.link("down")
    wait(lambda: client.peer()["heard_s"] > 2, 10, "the outage to last")
    w.b.link("up")
    wait_flows(talker, 5, "datagrams after an outage")
    assert [s["id"] for s in streams(client)] == [before], streams(client)
    assert client.peer()["moves"] >= 4


def test_udp_relayed(w):
    """Through a beacon, while both ends move at once."""
    w.forwarding(False)
    beacon = Beacon(w)
    helper(w.a, "udp-echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--beacon", beacon.text, "--expose", "echo=udp:127.0.0.1:7000", "--allow", "any")
    forward(client, f"{server.address}/echo", "--beacon", beacon.text)
    talker = talk(w.b)
    path = client.peer()["path"]
    assert path["kind"] == "relay" and path["via"] == f"{AT}:4443", path
    assert exchange(w.b, bytes(1400)) == 0  # 9 bytes less than direct
    w.a.move()
    w.b.move()
    wait_flows(talker, 10, "datagrams after both have moved")
    assert client.peer()["path"]["kind"] == "relay", client.peer()


def test_udp_relay_to_direct(w):
    """The relay carries them until a direct path is found; none is lost or comes twice at the change."""
    node = Node(w.a, "beacon")
    text = node.spawn("beacon", "--listen", "10.9.1.1:4443", "--tls-listen", "none").wait_out(r"^ready (\S+)$").group(1)
    helper(w.a, "udp-echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--beacon", text, "--expose", "echo=udp:127.0.0.1:7000", "--allow", "any")
    forward(client, f"{server.address}/echo", "--beacon", text)
    talker = talk(w.b, 2)
    wait(lambda: client.peer()["path"]["kind"] == "direct", 15, "a direct path")
    wait_flows(talker, 5, "datagrams over the direct path")
    assert client.peer()["moves"] >= 1, client.peer()
    got = [int(line.split()[1]) for line in talker.out().splitlines()]
    assert len(got) > got[-1] - got[0] - 20, f"{got[-1] - got[0] + 1 - len(got)} of {got[-1]} lost"


test_udp_relay_to_direct.world = {"direct": True}


def test_udp_bad_usage(w):
    """What makes no sense is refused with a reason, exit 2."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    node = Node(w.a, "node")
    cases = [
        ("forward", "udp:", ticket), ("forward", "udp:7001", ticket), ("forward", "udp:127.0.0.1", ticket),
        ("forward", "udp:127.0.0.1:", ticket), ("forward", "udp:127.0.0.1:65536", ticket), ("forward", "udp::7001", ticket),
        ("forward", "udp:host.example:7001", ticket), ("forward", "udp:198.51.100.9:7001", ticket), ("forward", "udp:127.0.0.1:7009"),
        ("expose", "udp:", "--allow", "any"), ("expose", "udp:53", "--allow", "any"), ("expose", "udp::53", "--allow", "any"),
        ("expose", "udp:127.0.0.1:0", "--allow", "any"), ("expose", "udp:::1:53", "--allow", "any"),
        ("up", "--expose", "dns=udp:53", "--allow", "any"), ("up", "--forward", f"udp:53={ticket}"),
        ("forward", "udp:127.0.0.1:7009", ticket, "--udp-idle", "never"), ("forward", "udp:127.0.0.1:7009", ticket, "--udp-idle", "0"),
    ]
    for case in cases:
        r = node.run(*case)
        assert r.code == 2, f"godwit {' '.join(case)}: {r!r}"
        two_lines(r, 2)
    r = Node(w.b, "second").run("forward", UDP, ticket)
    two_lines(r, 1)
    assert "already in use" in r.err and "ss -ulpn" in r.err, r.err
