# SPDX-License-Identifier: Apache-2.0
"""Services, the command line's promises, and what happens to wrong input."""
import base64
import hashlib
import json
import os
import random
import re
import socket
import stat
import subprocess
import sys
import time

from netlab import Node, capture_in, udp_payload, udp_socket_in, wait
from test_moves import HELPER, helper

VECTOR_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
VECTOR = "ndlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a"


def address_of(key):
    body = b"\x68" + key
    check = hashlib.sha256(b"godwit address v1" + body).digest()[:2]
    return base64.b32encode(body + check).decode().rstrip("=").lower()


def pair(w, *server_args):
    """An echo service named "echo" on a, and a client's home on b."""
    helper(w.a, "echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "echo=7000", *(server_args or ("--allow", "any")))
    return server, client


def two_lines(result, code):
    """The shape of every error: exit code, two lines on stderr, nothing on stdout."""
    assert result.code == code, f"expected exit {code}: {result!r}"
    lines = result.err.strip().split("\n")
    assert len(lines) == 2 and lines[0].startswith("godwit: ") and lines[1].startswith("  try: "), result.err
    assert result.out == "", result.out


# --- bytes ---


def test_half_close(w):
    """`printf | godwit connect`: the server answers after our end, and both directions arrive."""
    helper(w.a, "sum", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    destination = server.expose("7000", "sum")
    for data in (b"x", b"", os.urandom(3_000_000)):
        r = client.run("connect", destination, data=data)
        assert r.code == 0 and r.out == f"{len(data)} {hashlib.sha256(data).hexdigest()}\n", repr(r)
    client.forward("7001", destination)
    with_nc = w.b.run(sys.executable, "-c", "import socket\ns=socket.create_connection(('127.0.0.1',7001)); s.sendall(b'y'*100000);"
                      "s.shutdown(1)\nwhile b:=s.recv(999): print(b.decode(), end='')")
    assert with_nc.out == f"100000 {hashlib.sha256(b'y' * 100000).hexdigest()}\n", repr(with_nc)


def test_unix_sockets(w):
    """A unix: target behind a unix: listener."""
    helper(w.a, "echo", f"unix:{w.dir}/target")
    server, client = Node(w.a, "server"), Node(w.b, "client")
    path = f"{w.dir}/listener"
    client.forward(f"unix:{path}", server.expose(f"unix:{w.dir}/target", "echo"))
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        data = os.urandom(50_000)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while block := s.recv(65536):
            got += block
    assert got == data
    client.process.signal(15)
    assert client.process.wait(10) == 0
    assert not os.path.exists(path), "the listener's socket was left behind"


def test_target_named_by_host(w):
    """expose tcp:HOST:PORT."""
    helper(w.a, "echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    assert client.run("connect", server.expose("tcp:127.0.0.1:7000", "echo"), data="hello").out == "hello"


def test_examples_echo(w):
    """The echo pair of examples/ talks across two hosts, and each file is under 80 lines."""
    top = os.path.dirname(os.path.realpath(os.environ.get("GODWIT") or os.path.join(os.path.dirname(__file__), "../../build/godwit")))
    build = top if os.path.isdir(os.path.join(top, "examples")) else os.path.join(top, "../..")
    programs = {n: os.path.join(build, "examples", n) for n in os.listdir(os.path.join(build, "examples"))
                if os.access(os.path.join(build, "examples", n), os.X_OK) and "." not in n}
    server_path = next(p for n, p in programs.items() if "server" in n)
    client_path = next(p for n, p in programs.items() if "client" in n)
    server = w.a.spawn(server_path, name="echo-server")
    ticket = server.wait_out(r"\b(t[a-z2-7]{60,}\S*)").group(1)
    r = w.b.run(client_path, ticket, "hello", data="hello\n")
    assert r.code == 0 and "hello" in r.out, repr(r)


# --- who may do what ---


def test_denied(w):
    """A key that is not allowed gets exit 5; the allowed one gets through; nobody is let in by default."""
    client, stranger = Node(w.b, "client"), Node(w.b, "stranger")
    helper(w.a, "echo", 7000)
    server = Node(w.a, "server")
    destination = server.expose("7000", "echo", client.address)
    assert client.run("connect", destination, data="in").out == "in"
    two_lines(stranger.run("connect", destination, data="out"), 5)
    r = stranger.run("connect", destination, "--json", data="out")
    assert r.code == 5 and json.loads(r.out)["error"]["code"] == "denied", repr(r)
    assert client.run("connect", destination, data="again").out == "again"


def test_expose_without_allow(w):
    """expose without --allow explains what to add, exit 2."""
    r = Node(w.a, "server").run("expose", "7000", "--as", "echo")
    two_lines(r, 2)
    assert "--allow" in r.err


def test_denied_service(w):
    """A key allowed at the node but asking for another service: refused, and told which."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    r = client.run("connect", ticket.split("/")[0] + "/nothing", data="x") if "/" in ticket else \
        client.run("connect", server.ticket("nothing"), data="x")
    assert r.code in (1, 5), repr(r)
    two_lines(r, r.code)
    assert client.run("connect", server.ticket("echo"), data="x").out == "x"


def test_target_down(w):
    """The target refuses: the client is told so; other streams are unharmed."""
    helper(w.a, "drip", 7000, 20)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "drip=7000", "--expose", "gone=7999", "--allow", "any")
    client.up()
    reader = client.spawn("connect", server.ticket("drip"), stdin=subprocess.PIPE)
    reader.wait_out(r"^line 3$")
    r = client.run("connect", server.ticket("gone"), data="x")
    two_lines(r, 1)
    assert "target" in r.err, r.err
    seen = reader.out().count("\n")
    wait(lambda: reader.out().count("\n") > seen + 3, 5, "the other stream to go on")


def test_forward_reports_refusal(w):
    """A forwarded connection to a dead target is closed, not left hanging, and forward goes on."""
    server, client = Node(w.a, "server"), Node(w.b, "client")
    client.forward("7001", server.expose("7000", "echo"))
    probe = "import socket; s=socket.create_connection(('127.0.0.1',7001)); s.settimeout(10)\ntry: s.sendall(b'x'); print(s.recv(10))\nexcept ConnectionError: print('reset')"
    r = w.b.run(sys.executable, "-c", probe)
    assert r.out.strip() in ("b''", "reset"), repr(r)
    helper(w.a, "echo", 7000)
    r = w.b.run(sys.executable, "-c", probe)
    assert r.out.strip() == "b'x'", repr(r)


# --- nobody there, timeouts, things in use ---


def test_nobody_there(w):
    """A ticket whose endpoints are silent: exit 4, or 124 when --timeout ended the wait."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    server.process.stop()
    r = client.run("connect", ticket, "--timeout", "2", data="x", seconds=20)
    two_lines(r, 124)
    two_lines(client.run("connect", ticket, data="x", seconds=60), 4)
    r = client.run("ping", ticket, "-c", "1", "--timeout", "1", seconds=20)
    assert r.code == 124, repr(r)


def test_bare_address_is_unreachable(w):
    """An address nobody has told us endpoints of: exit 4, at once, saying what to do."""
    client = Node(w.b, "client")
    started = time.monotonic()
    two_lines(client.run("connect", VECTOR + "/echo", data="x"), 4)
    assert time.monotonic() - started < 10


def test_questions_to_a_running_node_are_forgotten(w):
    """Through a running node every question gets its own answer, and none is asked on for ever."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    server.process.stop()
    client.up()
    r = client.run("ping", VECTOR, seconds=10)
    two_lines(r, 4)
    assert "no endpoint" in r.err, r.err
    two_lines(client.run("ping", VECTOR, seconds=10), 4)
    two_lines(client.run("connect", VECTOR + "/x", data="", seconds=10), 4)
    two_lines(client.run("ping", ticket, seconds=20), 4)
    known = client.run("ping", server.address, seconds=20)
    two_lines(known, 4)
    assert "no endpoint" not in known.err, known.err  # the ticket's are remembered
    started = time.monotonic()
    two_lines(client.run("ping", ticket, "--timeout", "1", seconds=10), 124)
    assert time.monotonic() - started > 0.9, "the end of an old attempt answered a new question"
    sent = client.status()["datagrams"]["sent"]
    wait(lambda: time.monotonic() - started > 4, 5, "three seconds")
    assert client.status()["datagrams"]["sent"] <= sent + 2, "the node still dials"


def test_failure_of_one_command_is_its_own(w):
    """The command whose node serves the others fails: one of them takes over."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    server.process.stop()
    first = client.spawn("forward", "7001", ticket, "--timeout", "2")
    first.wait_out("^Forwarding")
    second = client.spawn("expose", "7002", "--as", "other", "--allow", "any")
    second.wait_out("godwit forward")
    assert first.wait(10) == 124, first.err()
    wait(lambda: client.run("status").code == 0, 5, "the other command's node")
    assert second.running() and [s["name"] for s in client.status()["services"]] == ["other"], second.err()


def test_own_address(w):
    """A node does not dial itself."""
    client = Node(w.b, "client")
    r = client.run("connect", client.address + "/echo", data="x")
    assert r.code in (1, 2, 4), repr(r)
    two_lines(r, r.code)


def test_second_up_on_one_home(w):
    """A second `up` fails and says which process holds the home."""
    node = Node(w.a, "server").up()
    r = node.run("up")
    two_lines(r, 1)
    assert str(node.process.pid) in r.err, r.err


def test_ports_in_use(w):
    """UDP and TCP ports in use: clear errors."""
    server, client = pair(w, "--allow", "any", "--listen", "0.0.0.0:41700")
    r = Node(w.a, "other").run("up", "--listen", "0.0.0.0:41700")
    two_lines(r, 1)
    assert "41700" in r.err and "in use" in r.err, r.err
    helper(w.b, "echo", 7001)
    r = client.run("forward", "7001", server.ticket("echo"))
    two_lines(r, 1)
    assert "7001" in r.err and "in use" in r.err, r.err


def test_no_node_running(w):
    """status without a node: exit 3."""
    two_lines(Node(w.a, "server").run("status"), 3)


def test_stale_control_socket(w):
    """kill -9 leaves a control socket behind: the next `up` takes the home over."""
    node = Node(w.a, "server").up()
    node.process.kill()
    node.up()
    assert node.status()["address"] == node.address


def test_identity_in_use(w):
    """Two live processes of one key: the newest wins, the older stops and says why."""
    server, client = pair(w)
    older = Node(w.b, "older")
    older.up("--forward", "7001=" + server.ticket("echo"))
    older.process.wait_listens(7001)
    probe = "import socket; s=socket.create_connection(('127.0.0.1',%d)); s.settimeout(10); s.sendall(b'x'); print(s.recv(10))"
    assert w.b.run(sys.executable, "-c", probe % 7001).out.strip() == "b'x'"
    newer = Node(w.b, "newer")
    os.makedirs(newer.home, mode=0o700)
    identity = identity_file(older.home)
    newer.up("--identity", "file:" + identity, "--forward", "7002=" + server.ticket("echo"))
    newer.process.wait_listens(7002)
    assert w.b.run(sys.executable, "-c", probe % 7002).out.strip() == "b'x'"
    # The older learns of it when it next talks to a peer that knows the newer.
    w.b.run(sys.executable, "-c", probe % 7001)
    assert older.process.wait(20) != 0
    assert "in use elsewhere" in older.process.err(), older.process.err()
    assert w.b.run(sys.executable, "-c", probe % 7002).out.strip() == "b'x'"


def test_two_connects_share_a_key(w):
    """One-shot commands of one home live beside each other."""
    server, client = pair(w)
    first = client.spawn("connect", server.ticket("echo"), stdin=subprocess.PIPE)
    first.send("one\n")
    first.wait_out("^one$")
    assert client.run("connect", server.ticket("echo"), data="two").out == "two"
    first.send("three\n")
    first.wait_out("^three$")
    first.stdin.close()
    assert first.wait(10) == 0, first.err()


# --- identity ---


def identity_file(home):
    for root, _, names in os.walk(home):
        for name in names:
            path = os.path.join(root, name)
            if stat.S_ISREG(os.stat(path).st_mode):
                with open(path, "rb") as f:
                    if f.read(27) == b"-----BEGIN PRIVATE KEY-----":
                        return path
    raise AssertionError(f"no identity in {home}: {os.listdir(home)}")


def openssl_key(pem_path):
    der = subprocess.run(["openssl", "pkey", "-in", pem_path, "-pubout", "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout
    return der[-32:]


def test_identity_from_openssl(w):
    """A key made by `openssl genpkey -algorithm ed25519` works, and gives the address it should."""
    assert address_of(bytes.fromhex(VECTOR_KEY)) == VECTOR
    node = Node(w.a, "node")
    path = os.path.join(w.dir, "key.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    os.chmod(path, 0o600)
    assert node.ok("id", "--identity", "file:" + path) == address_of(openssl_key(path))
    with open(path, encoding="ascii") as f:
        node.env["MY_KEY"] = f.read()
    assert node.ok("id", "--identity", "env:MY_KEY") == address_of(openssl_key(path))
    with open(path, "rb") as f:
        r = subprocess.run(node.argv("id", "--identity", f"fd:{f.fileno()}"), pass_fds=[f.fileno()], stdout=subprocess.PIPE, check=False)
    assert r.stdout.decode().strip() == address_of(openssl_key(path))


def test_identity_for_openssl(w):
    """openssl reads the key that godwit makes; mode 0600; never overwritten."""
    node = Node(w.a, "node")
    address = node.address
    path = identity_file(node.home)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert address_of(openssl_key(path)) == address
    with open(path, "rb") as f:
        before = f.read()
    assert node.address == address
    with open(path, "rb") as f:
        assert f.read() == before
    assert node.ok("id", "--identity", "ephemeral") != address


def test_home_is_private(w):
    """The home of a running node, with its control socket, is closed to other users."""
    node = Node(w.a, "node").up()
    assert stat.S_IMODE(os.stat(node.home).st_mode) & 0o077 == 0, oct(os.stat(node.home).st_mode)


def test_bad_identities(w):
    """Readable by others, truncated, empty, of another type, absent: refused, each saying which."""
    node = Node(w.a, "node")
    good = os.path.join(w.dir, "good.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", good], check=True)
    with open(good, encoding="ascii") as f:
        text = f.read()
    rsa = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    x25519 = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519"], check=True, stdout=subprocess.PIPE).stdout.decode()
    seen = {}
    for name, content, mode in (("readable", text, 0o644), ("truncated", text[:70], 0o600), ("empty", "", 0o600),
                                ("rsa", rsa, 0o600), ("x25519", x25519, 0o600), ("garbage", "hello\n", 0o600)):
        path = os.path.join(w.dir, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(content)
        os.chmod(path, mode)
        r = node.run("id", "--identity", "file:" + path)
        assert r.code in (1, 2), f"{name}: {r!r}"
        two_lines(r, r.code)
        seen[name] = r.err.replace(path, "")
        with open(path, encoding="ascii") as f:
            assert f.read() == content, f"{name} was overwritten"
    assert seen["readable"] != seen["truncated"] != seen["rsa"]
    assert "0600" in seen["readable"] or "chmod" in seen["readable"], seen["readable"]
    r = node.run("id", "--identity", "file:" + os.path.join(w.dir, "absent"))
    assert r.code in (1, 2), repr(r)
    assert not os.path.exists(os.path.join(w.dir, "absent")) or "file:" in r.err


def test_disk_full(w):
    """No room for the identity: a clear error, and no half-written key is left."""
    full = os.path.join(w.dir, "full")
    os.mkdir(full)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", full], check=True)
    try:
        with open(os.path.join(full, "filler"), "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        node = Node(w.a, "node")
        node.env["GODWIT_HOME"] = full
        r = node.run("id")
        two_lines(r, 1)
        assert os.path.getsize(os.path.join(full, "filler")) and not any(
            n.endswith(".pem") or n == "identity" for n in os.listdir(full)), os.listdir(full)
        os.unlink(os.path.join(full, "filler"))
        assert re.fullmatch(r"n[a-z2-7]{55}", node.ok("id")), "the home does not work once there is room"
    finally:
        subprocess.run(["umount", "-l", full], check=True)


def test_unwritable_home(w):
    """A home that cannot be made, or is read-only: a clear error."""
    node = Node(w.a, "node")
    path = os.path.join(w.dir, "file")
    with open(path, "w", encoding="ascii"):
        pass
    for home in (path, path + "/below", "/proc/nowhere"):
        node.env["GODWIT_HOME"] = home
        two_lines(node.run("id"), 1)
    read_only = os.path.join(w.dir, "ro")
    os.mkdir(read_only)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", read_only], check=True)
    try:
        node.env["GODWIT_HOME"] = read_only
        two_lines(node.run("id"), 1)
    finally:
        subprocess.run(["umount", "-l", read_only], check=True)


# --- bad input on the command line ---


def test_bad_usage(w):
    """Bad tickets, addresses, ports, targets, flags: two lines, exit 2."""
    node = Node(w.a, "node")
    server = Node(w.b, "server").up("--expose", "x=7000", "--allow", "any")
    ticket = server.ticket("x")
    bad_checksum = VECTOR[:-1] + ("b" if VECTOR[-1] == "a" else "a")
    low_order = address_of(bytes(32))
    swapped = ticket[:30] + ("b" if ticket[30] != "b" else "c") + ticket[31:]
    cases = [
        ("connect", VECTOR[:-1] + "/x"), ("connect", bad_checksum + "/x"), ("connect", "n" + "0" * 55 + "/x"),
        ("connect", low_order + "/x"), ("connect", swapped), ("connect", "nobody/x"), ("connect", ""), ("connect",),
        ("connect", VECTOR + "/UPPER!"), ("connect", VECTOR + "/" + "x" * 64), ("connect", ticket, "--timeout", "soon"),
        ("forward", "65536", ticket), ("forward", "port", ticket), ("forward", "7001"),
        ("forward", "unix:" + "x" * 200, ticket), ("expose", "70000", "--allow", "any"), ("expose", "--allow", "any"),
        ("expose", "tcp:nowhere", "--allow", "any"), ("expose", "5432", "--allow", "someone"),
        ("expose", "5432", "--as", "Bad Name", "--allow", "any"), ("up", "--expose", "x"), ("up", "--forward", "7000"),
        ("up", "--listen", "nowhere"), ("up", "--listen", "1.2.3.4:99999"), ("up", "--frobnicate"), ("frobnicate",),
        ("ping",), ("ping", ticket, "-c", "many"), ("ticket", "show", "t" * 80), ("ticket", "show"), ("debug", "explode"),
        ("id", "--identity", "what"), ("bench",),
    ]
    for case in cases:
        r = node.run(*case)
        assert r.code == 2, f"godwit {' '.join(case)}: {r!r}"
        two_lines(r, 2)
    r = node.run("connect", VECTOR[:-1] + "/x", "--json")
    error = json.loads(r.out)
    assert r.code == 2 and error["v"] == 1 and error["error"]["code"] and error["error"]["message"], repr(r)


def test_address_any_case(w):
    """Addresses parse without regard to case: same error as in lower case, not a format error."""
    node = Node(w.a, "node")
    assert node.run("connect", VECTOR.upper() + "/x", data="").code == node.run("connect", VECTOR + "/x", data="").code == 4


# --- status, ping, ticket, bench, config, help ---


def test_stopped_node(w):
    """A node whose process is stopped: status says so instead of waiting for ever."""
    node = Node(w.a, "server").up()
    node.process.signal(19)
    try:
        r = node.run("status", seconds=20)
        two_lines(r, 1)
        assert "does not answer" in r.err, r.err
    finally:
        node.process.signal(18)
    assert node.status()["address"] == node.address


def test_status_json(w):
    """`status --json` has the keys of the contract, and they tell the truth."""
    server, client = pair(w)
    client.up("--forward", "7001=" + server.ticket("echo"))
    client.process.wait_listens(7001)
    hold = w.b.spawn(sys.executable, "-c", "import socket,sys; s=socket.create_connection(('127.0.0.1',7001)); s.sendall(b'x'*1000);"
                     "n=0\nwhile n<1000: n+=len(s.recv(1000))\nprint('held',flush=True); sys.stdin.read()", name="hold", stdin=subprocess.PIPE)
    hold.wait_out("^held$")
    s = client.status()
    assert s["v"] == 1 and s["address"] == client.address and s["uptime_s"] >= 0 and s["incarnation"], s
    assert s["beacons"] == [] and s["services"] == [], s
    peer = s["peers"][0]
    for key in ("address", "state", "path", "streams", "moves", "tx_bytes", "rx_bytes", "heard_s"):
        assert key in peer, f"no {key} in {peer}"
    assert peer["address"] == server.address and peer["state"] == "connected" and peer["streams"] == 1, peer
    for key in ("kind", "endpoint", "rtt_ms", "since_s"):
        assert key in peer["path"], f"no {key} in {peer['path']}"
    assert peer["path"]["kind"] == "direct" and peer["path"]["endpoint"].startswith("10.1.1.2:"), peer
    stream = s["streams"][0]
    for key in ("id", "peer", "service", "tx_bytes", "rx_bytes", "age_s", "state"):
        assert key in stream, f"no {key} in {stream}"
    assert stream["service"] == "echo" and stream["tx_bytes"] == stream["rx_bytes"] == 1000 and stream["state"] == "open", stream
    service = server.status()["services"][0]
    assert service["name"] == "echo" and "7000" in service["target"] and "allow" in service, service
    moves = peer["moves"]
    w.b.move()
    wait(lambda: client.peer()["moves"] == moves + 1, 5, "status to count the move")
    hold.stdin.close()
    wait(lambda: client.status()["streams"] == [], 5, "the stream to be gone")
    text = client.ok("status")
    assert "direct 10.1.1.2:" in text and "PEER" in text, text


def test_parked_peer_in_status(w):
    """After an outage longer than the connection's patience the peer is parked, and comes back."""
    helper(w.a, "drip", 7000, 20)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--expose", "drip=7000", "--allow", "any")
    client.up()
    reader = client.spawn("connect", server.ticket("drip"), stdin=subprocess.PIPE)
    reader.wait_out(r"^line 10$")
    w.forwarding(False)
    wait(lambda: client.peer()["state"] != "connected", 60, "the peer not to be called connected")
    w.forwarding(True)
    count = reader.out().count("\n")
    wait(lambda: reader.out().count("\n") > count + 5, 10, "lines after the network came back")
    assert client.peer()["state"] == "connected"


def test_ping(w):
    """ping names the path on each line; --json is one object a line."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    out = client.ok("ping", ticket, "-c", "3", "-i", "0.05")
    assert len(re.findall(r"^reply from n\S+: direct 10\.1\.1\.2:\d+ in [\d.]+ ms$", out, re.M)) == 3, out
    replies = [json.loads(x) for x in client.ok("ping", ticket, "-c", "2", "-i", "0.05", "--json").split("\n")]
    assert [r["seq"] for r in replies] in ([0, 1], [1, 2]) and all(0 < r["rtt_ms"] < 1000 for r in replies), replies
    assert all(r["path"]["kind"] == "direct" and r["v"] == 1 for r in replies), replies


def test_ticket_show(w):
    """A ticket decodes offline to the address, endpoints and service that it was made of."""
    server, _ = pair(w)
    shown = json.loads(Node(w.b, "other").ok("ticket", "show", server.ticket("echo"), "--json"))
    text = json.dumps(shown)
    assert shown["v"] == 1 and server.address in text and "10.1.1.2:" in text and "echo" in text, shown


def test_bench_json(w):
    """bench moves bytes and reports them."""
    server, client = pair(w)
    r = json.loads(client.ok("bench", server.ticket("echo"), "--seconds", "1", "--json"))
    for key in ("bytes", "seconds", "gbit_s", "cpu_s", "cpu_s_per_gb", "rtt_us"):
        assert key in r, f"no {key} in {r}"
    assert r["v"] == 1 and r["bytes"] > 1_000_000 and 0.5 < r["seconds"] < 5 and r["rtt_us"]["p99"] >= r["rtt_us"]["p50"] > 0, r


def test_bench_is_not_for_strangers(w):
    """bench is served to allowed peers only."""
    client, stranger = Node(w.b, "client"), Node(w.b, "stranger")
    server, _ = pair(w, "--allow", client.address)
    two_lines(stranger.run("bench", server.ticket("echo"), "--seconds", "1"), 5)


def test_help_version_config(w):
    """help, version and config answer on stdout, exit 0."""
    node = Node(w.a, "node")
    assert re.search(r"\d+\.\d+\.\d+", node.ok("version"))
    assert "expose" in node.ok("help")
    assert node.home in node.ok("config")
    assert json.loads(node.ok("config", "--json"))["v"] == 1


def test_keep(w):
    """expose --keep on a running node outlives the command and the node's restart."""
    helper(w.a, "echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up()
    keep = server.run("expose", "7000", "--as", "echo", "--allow", "any", "--keep")
    assert keep.code == 0, repr(keep)
    assert client.run("connect", server.ticket("echo"), data="kept").out == "kept"
    server.process.stop()
    server.up()
    assert client.run("connect", server.ticket("echo"), data="kept").out == "kept"
    server.ok("expose", "--forget", "echo")
    assert server.status()["services"] == []
    server.process.stop()
    server.up()
    assert server.status()["services"] == [], "a forgotten service came back"
    two_lines(server.run("expose", "--forget", "echo"), 2)


def test_expose_ends_with_the_command(w):
    """expose on a running node lasts until Ctrl-C, which exits 130."""
    helper(w.a, "echo", 7000)
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up()
    command = server.spawn("expose", "7000", "--as", "echo", "--allow", "any")
    destination = command.wait_out(r"godwit forward \S+ (t[a-z2-7]+/\S+)").group(1)
    assert [s["name"] for s in server.status()["services"]] == ["echo"]
    assert client.run("connect", destination, data="x").out == "x"
    command.signal(2)
    assert command.wait(10) == 130, command.err()
    wait(lambda: server.status()["services"] == [], 5, "the service to be gone")


# --- datagrams from strangers ---


def datagrams(rng, valid):
    """Random and mutated datagrams."""
    for n in range(3000):
        kind = n % 4
        if kind == 0:
            yield rng.randbytes(rng.randrange(1, 1500))
        elif kind == 1:
            yield bytes([0xc0 | rng.randrange(64)]) + rng.choice([b"\0\0\0\1", b"\0\0\0\0", b"\xff\0\0\x1d", b"\x1a\x2a\x3a\x4a"]) + rng.randbytes(rng.randrange(1200))
        elif kind == 2:
            yield bytes([rng.choice([0x20, 0x21])]) + rng.randbytes(rng.randrange(1, 1472))
        elif valid:
            packet = bytearray(rng.choice(valid))
            for _ in range(rng.randrange(1, 6)):
                packet[rng.randrange(len(packet))] = rng.randrange(256)
            yield bytes(packet[:rng.randrange(1, len(packet) + 1)])


def test_strangers_datagrams(w):
    """Random and mutated datagrams: no crash, and never more bytes back than came in (3 x for a valid Initial)."""
    server, client = pair(w, "--allow", "any", "--listen", "0.0.0.0:41700")
    ticket = server.ticket("echo")
    capture = capture_in(w.r, "to_a")
    client.ok("ping", ticket, "-c", "1")
    capture.settimeout(0.2)
    valid = []
    try:
        while len(valid) < 50:
            payload = udp_payload(capture.recv(65536))
            if payload and len(payload) < 1473:
                valid.append(payload)
    except TimeoutError:
        pass
    assert valid, "nothing captured"
    stranger = udp_socket_in(w.b)
    stranger.settimeout(0)
    rng, sent, got = random.Random(1), 0, 0

    def drain():
        total = 0
        try:
            while True:
                total += len(stranger.recv(65536))
        except BlockingIOError:
            return total
    for packet in datagrams(rng, valid):
        stranger.sendto(packet, ("10.1.1.2", 41700))
        sent += len(packet)
        got += drain()
        assert got <= sent, f"{got} bytes came back for {sent}"
    assert client.run("connect", ticket, data="alive").out == "alive"
    got += drain()
    assert got <= sent, f"{got} bytes came back for {sent}"
    assert server.process.running()


def test_first_byte_of_datagrams(w):
    """Over many connections every QUIC packet has bit 0x40 set; all else is a probe of ours."""
    server, client = pair(w)
    ticket = server.ticket("echo")
    capture = capture_in(w.r, "to_b")
    capture.settimeout(0)
    quic = other = 0
    for _ in range(100):
        client.ok("ping", ticket, "-c", "1")
        try:
            while True:
                payload = udp_payload(capture.recv(65536))
                if not payload:
                    continue
                if payload[0] & 0x40:
                    quic += 1
                else:
                    other += 1
                    assert payload[0] in (0x20, 0x21), f"first byte {payload[0]:#x}"
        except BlockingIOError:
            pass
    assert quic > 400, f"only {quic} QUIC packets seen ({other} others)"
