# SPDX-License-Identifier: Apache-2.0
"""What a process gives up once it has started, where its key is, and that all still works."""
import base64
import os
import re
import signal
import subprocess
import sys

from netlab import Node, as_tester, binary, tester_ids, user_mode, wait
from test_beacon import AT, Beacon, echo_through
from test_moves import helper
from test_services import two_lines
from test_udp import exchange, forward

BESIDE = True
NAMED = "192.0.2.77"  # what helper.py udp-dns says of every name


def facts(pid):
    """/proc/PID/status, and the limits of core files."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        found["core"] = next(line for line in f if line.startswith("Max core file size")).split()[4:6]
    return found


def hardened(process, key=True):
    """A command that says something and then goes on takes its last steps after that: wait for them."""
    wait(lambda: facts(process.pid)["Seccomp"] == "2", 5, f"the sandbox of {process.name}")
    f = facts(process.pid)
    assert f["NoNewPrivs"] == "1" and f["core"] == ["0", "0"], f
    assert [int(f[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4, f
    assert int(f["CapBnd"], 16) == 0, f  # the tests are root in their namespaces
    assert not key or int(f["VmLck"].split()[0]) > 0, f


def test_hardening_state(w):
    """Whatever runs for long has given up its rights, and says so."""
    beacon, server, client = Beacon(w), Node(w.a, "server"), Node(w.b, "client")
    helper(w.a, "drip", 7000, 50)
    server.up("--beacon", beacon.text, "--expose", "drip=7000", "--allow", "any")
    to, flags = server.ticket("drip"), ("--beacon", beacon.text)
    hardened(beacon.process)
    hardened(server.process)
    assert server.status()["sandbox"] == "on" and "sandbox" not in server.ok("status")
    assert beacon.node.status()["sandbox"] == "on" and "sandbox" not in beacon.node.ok("status")
    hardened(Node(w.b, "forward").forward("7001", to, *flags))
    other = Node(w.b, "expose")
    other.expose("7002", "x", "any", *flags)
    hardened(other.process)
    for argv, line in ((("connect", to), "^line 2$"), (("ping", server.address, *flags), "^reply "),
                       (("bench", server.address, "--seconds", "60", *flags), None)):
        process = client.spawn(*argv, stdin=subprocess.PIPE)
        if line:
            process.wait_out(line)
        hardened(process)
    # One that only asks a running node has no key and nothing to lose; it stays as it is.
    asking = server.spawn("expose", "7003", "--as", "y", "--allow", "any")
    asking.wait_out("^Offering y ")
    assert facts(asking.pid)["Seccomp"] != "2"


def test_hardening_of_a_user(w):
    """Without root it is the same, and other processes of the same user cannot look into it."""
    for name, flags, code in (("on", [], 7), ("off", ["--no-sandbox"], 0)):
        home = os.path.join(w.dir, "home-" + name)
        os.mkdir(home, 0o700)
        argv = as_tester([binary(), "up", "--home", home, *flags])
        if not user_mode():
            os.chown(home, *tester_ids())
        process = w.a.spawn(*argv, name="up-" + name)
        process.wait_out("^ready ")
        f = facts(process.pid)
        assert [int(f[cap], 16) for cap in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4, f
        assert int(f["VmLck"].split()[0]) > 0, f
        assert name == "off" or (f["Seccomp"] == "2" and f["NoNewPrivs"] == "1" and f["core"] == ["0", "0"]), f
        look = [sys.executable, "-c", f"import sys\ntry: open('/proc/{process.pid}/mem','rb')\nexcept PermissionError: sys.exit(7)"]
        r = w.a.run(*(["nsenter", "--preserve-credentials", f"--user=/proc/{process.pid}/ns/user", "--", *look] if user_mode()
                      else as_tester(look)))
        assert r.code == code, (name, r)


def test_hardening_off(w):
    """--no-sandbox, the variable and the setting leave all as it is, and status says so."""
    limit = facts(os.getpid())["core"]
    for name, argv, variable in (("flag", ["--no-sandbox"], None), ("variable", [], "yes"), ("file", [], None)):
        node = Node(w.a, name)
        if variable:
            node.env["GODWIT_NO_SANDBOX"] = variable
        if name == "file":
            os.mkdir(node.home, 0o700)
            with open(f"{node.home}/config.json", "w", encoding="utf-8") as f:
                f.write('{"no-sandbox": true}')
        node.up(*argv)
        f = facts(node.process.pid)
        assert f["Seccomp"] == facts(os.getpid())["Seccomp"] and f["core"] == limit and int(f["CapEff"], 16) > 0, f
        assert node.status()["sandbox"] == "off" and "\nsandbox off\n" in node.ok("status") + "\n"
        node.process.stop()
    beacon = Node(w.a, "beacon")
    beacon.process = beacon.spawn("beacon", "--no-sandbox", "--listen", "127.0.0.1:4443", "--tls-listen", "none")
    beacon.process.wait_out("^ready ")
    assert beacon.status()["sandbox"] == "off" and "\nsandbox     off" in beacon.ok("status")


# --- the key ---


def memory(pid):
    """(start, flags, bytes) of every mapping that can be read."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as f, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in f:
            if range_ := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line):
                start, end, rights = int(range_[1], 16), int(range_[2], 16), range_[3]
            elif line.startswith("VmFlags:") and rights.startswith("r") and start < 1 << 47:
                try:
                    mem.seek(start)
                    yield start, line.split()[1:], mem.read(end - start)
                except OSError:
                    pass  # [vvar]


def places_of(pid, what):
    return [(flags, m.start()) for _, flags, data in memory(pid) for m in re.finditer(re.escape(what), data)]


def key_of(path):
    """The PEM text, and the seed in it."""
    with open(path, encoding="ascii") as f:
        pem = f.read()
    return pem, base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]


def test_hardening_key_in_memory(w):
    """The seed is in one place, which is locked and left out of dumps; the text it came from is nowhere."""
    for command in ("up", "beacon"):
        for kind in ("home", "env", "fd"):
            node = Node(w.r, command + kind)
            Node(w.r, "maker" + kind + command).ok("id", "--home", node.home)
            pem, seed = key_of(f"{node.home}/identity.pem")
            argv = ["--listen", f"{AT}:4443", "--tls-listen", f"{AT}:443"] if command == "beacon" else []
            if kind == "env":
                node.env["SECRET_KEY"] = pem
                argv += ["--identity", "env:SECRET_KEY"]
            if kind == "fd":
                argv = ["sh", "-c", f'exec "$@" 3<{node.home}/identity.pem', "sh", binary(), command, *argv, "--identity", "fd:3"]
            process = w.r.spawn(*argv, name=command, env=node.env) if kind == "fd" else node.spawn(command, *argv)
            process.wait_out("^ready ")
            hardened(process)
            places = places_of(process.pid, seed)
            assert len(places) == 1 and {"lo", "dd"} <= set(places[0][0]), (command, kind, places)
            assert not places_of(process.pid, pem.splitlines()[1].encode()), (command, kind)
            with open(f"/proc/{process.pid}/environ", "rb") as f:
                assert pem.splitlines()[1].encode() not in f.read(), (command, kind)
            assert not any(os.readlink(f"/proc/{process.pid}/fd/{fd}").endswith(".pem") for fd in os.listdir(f"/proc/{process.pid}/fd"))
            process.stop()


def test_hardening_key_after_use(w):
    """Handshakes, signed records and relayed packets leave no second copy."""
    beacon, server, client = Beacon(w), Node(w.a, "server"), Node(w.b, "client")
    helper(w.a, "echo", 7000)
    server.up("--beacon", beacon.text, "--expose", "echo=7000", "--allow", "any")
    client.forward("7001", f"{server.address}/echo", "--beacon", beacon.text)
    echo_through(w.b, 7001, os.urandom(30_000))
    for node, process in ((server, server.process), (client, client.process), (beacon.node, beacon.process)):
        _, seed = key_of(f"{node.home}/identity.pem")
        places = places_of(process.pid, seed)
        assert len(places) == 1 and {"lo", "dd"} <= set(places[0][0]), (node.name, places)


def test_hardening_no_core(w):
    """A process that is killed by a signal leaves no core file."""
    node, path = Node(w.a, "node"), os.path.join(w.dir, "cores")
    os.mkdir(path)
    process = w.a.spawn("sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", binary(), "up", name="up", env=node.env, cwd=path)
    process.wait_out("^ready ")
    process.signal(signal.SIGABRT)
    assert process.wait() == -signal.SIGABRT
    assert os.listdir(path) == []


# --- what has to go on ---


def with_dns(w, node, *argv):
    """The command where names are looked up at 127.0.0.1."""
    path = os.path.join(w.dir, "resolv.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return node.host.spawn("unshare", "-m", "sh", "-c", script, path, binary(), *argv, name=node.name, env=node.env)


def test_hardening_names(w):
    """Host names of targets and beacons, by UDP and TLS, from the hosts file and from DNS."""
    w.a.ip_batch(f"address add {NAMED}/32 dev lo")
    helper(w.a, "udp-dns", 53)
    helper(w.a, "echo", f"{NAMED}:7000")
    beacon = Node(w.a, "beacon")
    beacon.process = beacon.spawn("beacon", "--listen", "[::]:4443", "--tls-listen", "[::]:443", "--name", "beacon.example.org")
    key = beacon.process.wait_out(r"^ready (n[a-z2-7]{55})@beacon\.example\.org").group(1)
    # Without an answer at the UDP port it goes over TLS.
    for name, port, transport in (("localhost", 4443, "udp"), ("localhost", 4999, "tls"), ("beacon.example.org", 4443, "udp"),
                                  ("beacon.example.org", 4999, "tls")):
        server = Node(w.a, f"{transport}-{name}")
        server.process = with_dns(w, server, "up", "--beacon", f"{key}@{name}:{port}/443", "--expose", "echo=tcp:db.example.org:7000",
                                  "--allow", "any")
        server.process.wait_out("^ready ", 20)
        hardened(server.process)
        own = server.status()["beacons"][0]
        assert own["state"] == "ready" and own["transport"] == transport, own
        r = Node(w.a, "client").run("connect", server.ticket("echo"), data="by name")
        assert r.code == 0 and r.out == "by name", repr(r)
        server.process.stop()


def test_hardening_life(w):
    """A first run makes the key; services are kept, forgotten, down and up again; the UDP port changes."""
    server, client = Node(w.a, "server"), Node(w.b, "client")
    server.up("--allow", "any")
    assert os.stat(f"{server.home}/identity.pem").st_mode & 0o777 == 0o600
    server.ok("expose", "7000", "--as", "later", "--allow", "any", "--keep")
    server.ok("expose", f"unix:{w.dir}/socket", "--as", "path", "--allow", "any", "--keep")
    server.ok("expose", "udp:127.0.0.1:7000", "--as", "datagrams", "--allow", "any", "--keep")
    client.up()
    two_lines(client.run("connect", server.ticket("later"), data="x"), 1)
    helper(w.a, "echo", 7000)
    helper(w.a, "echo", f"unix:{w.dir}/socket")
    helper(w.a, "udp-echo", 7000)
    for service in ("later", "path"):
        r = client.run("connect", server.ticket(service), data=service)
        assert r.code == 0 and r.out == service, repr(r)
    forward(Node(w.b, "udp"), server.ticket("datagrams"))
    assert exchange(w.b, b"x" * 1000) == 0
    for fault in ("move", "break", "rebind"):
        server.ok("debug", fault)
        r = client.run("connect", server.ticket("later"), data=fault)
        assert r.code == 0 and r.out == fault, (fault, r)
    w.a.move()
    r = client.run("connect", server.ticket("later"), data="moved")
    assert r.code == 0 and r.out == "moved", repr(r)
    server.ok("expose", "--forget", "path")
    assert {s["name"] for s in server.status()["services"]} == {"later", "datagrams"}
    hardened(server.process)
    hardened(client.process)
    server.process.signal(signal.SIGTERM)
    assert server.process.wait() == 0 and not os.path.exists(f"{server.home}/control")
