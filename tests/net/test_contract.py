# SPDX-License-Identifier: Apache-2.0
"""What other programs read: the shapes of each command's output, and the exit codes.

A shape lists the members that must be there, in any number of lines; more may come."""
import json
import os
import re
import signal
import socket
import subprocess

from netlab import TOP, Node, binary, wait
from test_beacon import AT, Beacon
from test_moves import helper
from test_services import two_lines

BESIDE = True
ADDRESS = r"n[a-z2-7]{55}"
SHORT = r"n[a-z2-7]{4}…[a-z2-7]{5}"
TEXT, NUMBER, FLAG = str, (int, float), bool
MAYBE_TEXT, MAYBE_NUMBER, MAYBE_FLAG = (str, type(None)), (int, float, type(None)), (bool, type(None))

BEACON = {"address": TEXT, "endpoint": TEXT, "transport": MAYBE_TEXT, "state": TEXT, "home": FLAG, "rtt_ms": MAYBE_NUMBER,
          "heard_s": MAYBE_NUMBER, "spare": FLAG, "own": FLAG, "error": MAYBE_TEXT, "fault": MAYBE_TEXT}
PING_PATH = {"kind": TEXT, "endpoint": MAYBE_TEXT, "via": MAYBE_TEXT, "transport": TEXT, "why": MAYBE_TEXT}
PATH = {**PING_PATH, "rtt_ms": NUMBER, "since_s": NUMBER}
PEER = {"address": TEXT, "state": TEXT, "path": (PATH, None), "streams": NUMBER, "moves": NUMBER, "tx_bytes": NUMBER, "rx_bytes": NUMBER,
        "heard_s": MAYBE_NUMBER}
SERVICE = {"name": TEXT, "target": TEXT, "allow": [TEXT]}
STREAM = {"id": TEXT, "peer": TEXT, "service": TEXT, "tx_bytes": NUMBER, "rx_bytes": NUMBER, "age_s": NUMBER, "state": TEXT}
NETWORK = {"name": TEXT, "address": MAYBE_TEXT, "sequence": MAYBE_NUMBER, "expires": MAYBE_NUMBER, "warning": MAYBE_TEXT,
           "member": ({"name": TEXT, "groups": list, "expires": NUMBER, "trouble": MAYBE_TEXT}, None)}
STATUS = {"v": NUMBER, "address": TEXT, "incarnation": TEXT, "uptime_s": NUMBER, "beacons": [BEACON], "peers": [PEER],
          "services": [SERVICE], "streams": [STREAM], "networks": list, "warnings": list, "sandbox": TEXT}
PING = {"v": NUMBER, "seq": NUMBER, "rtt_ms": NUMBER, "path": PING_PATH}
BENCH = {"v": NUMBER, "bytes": NUMBER, "seconds": NUMBER, "gbit_s": NUMBER, "cpu_s": NUMBER, "cpu_s_per_gb": NUMBER,
         "rtt_us": {"p50": NUMBER, "p99": NUMBER}}
NETCHECK = {"v": NUMBER, "udp": MAYBE_FLAG, "ipv4": {"works": MAYBE_FLAG, "seen": MAYBE_TEXT}, "ipv6": {"works": MAYBE_FLAG, "seen": MAYBE_TEXT},
            "nat": MAYBE_FLAG, "mapping": TEXT, "filtering": TEXT, "hairpinning": MAYBE_FLAG,
            "port_mapping": {"state": TEXT, "protocol": MAYBE_TEXT, "external": MAYBE_TEXT},
            "beacons": [{"address": TEXT, "endpoint": TEXT, "rtt_ms": MAYBE_NUMBER, "clock_offset_s": MAYBE_NUMBER}], "verdict": TEXT}
BEACON_STATUS = {"v": NUMBER, "address": TEXT, "ready": TEXT, "uptime_s": NUMBER, "pid": NUMBER, "sandbox": TEXT,
                 "beacon": {"sessions": NUMBER, "registered": NUMBER, "channels": NUMBER, "records": NUMBER, "relayed_bytes": NUMBER,
                            "relayed_packets": NUMBER, "refused": NUMBER, "draining": FLAG, "drops": {}}}
ERROR = {"v": NUMBER, "error": {"code": TEXT, "message": TEXT, "hint": TEXT}}


def check(value, shape, where="$"):
    if isinstance(shape, dict):
        assert isinstance(value, dict), (where, value)
        for name, inner in shape.items():
            assert name in value, f"{where}.{name} is missing in {value}"
            check(value[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list) and value, f"{where} is empty: nothing was checked"
        for i, one in enumerate(value):
            check(one, shape[0], f"{where}[{i}]")
    elif isinstance(shape, tuple) and shape[-1] is None:
        if value is not None:
            check(value, shape[0], where)
    else:
        wanted = shape if isinstance(shape, tuple) else (shape,)
        assert isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool)), (where, value, shape)


def write_policy(node, *lines):
    """The rules of its home; `policy reload` or SIGHUP makes a running node read them."""
    os.makedirs(node.home, mode=0o700, exist_ok=True)
    path = os.path.join(node.home, "policy")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)
    return path


def one_object(text, shape):
    """One line, "v":1 first."""
    assert text.startswith('{"v":1') and text.count("\n") == 1 and text.endswith("\n"), text
    value = json.loads(text)
    check(value, shape)
    return value


def pair(w):
    """A beacon on the router, a node with a service on a, one on b that uses it; all is relayed."""
    w.forwarding(False)
    beacon, server, client = Beacon(w), Node(w.a, "server"), Node(w.b, "client")
    helper(w.a, "drip", 7000, 50)
    server.up("--beacon", beacon.text, "--expose", "drip=7000", "--allow", "any")
    client.forward("7001", f"{server.address}/drip", "--beacon", beacon.text)
    reader = w.b.spawn("python3", "-c", "import socket\ns=socket.create_connection(('127.0.0.1',7001))\n"
                                        "while d:=s.recv(999): print(d.decode(),end='',flush=True)", name="reader")
    reader.wait_out(r"^line 3$")
    return beacon, server, client


def test_contract_status(w):
    """status: every member that the contract names, on both sides; and the table."""
    beacon, server, client = pair(w)
    for node, kinds in ((server, {"services"}), (client, set())):
        shape = {**STATUS, **({} if kinds else {"services": list})}
        status = one_object(node.run("status", "--json").out, shape)
        assert status["peers"][0]["state"] == "connected" and status["peers"][0]["path"]["kind"] == "relay", status
        assert status["beacons"][0]["transport"] in ("udp", "tls") and status["streams"][0]["state"] == "open", status
    lines = client.ok("status", "--streams").splitlines()
    assert re.fullmatch(rf"{SHORT}  up [\d.]+s  beacon {re.escape(AT)} udp [\d.]+ ms \(home\)", lines[0]), lines
    assert lines[1].split() == ["PEER", "PATH", "RTT", "HEARD", "STREAMS", "MOVES", "SENT", "RECEIVED"], lines
    assert re.match(rf"{SHORT}  relay {re.escape(AT)} \(udp\)  [\d.]+ ms +[\d.]+s +1 +\d+ +", lines[2]), lines
    for title, row in ((lines[1], lines[2]), (lines[-2], lines[-1])):
        for column in re.finditer(r"\S+", title):
            start = column.start()
            assert row[start] != " " and (start == 0 or row[start - 2:start] == "  "), (title, row)
    assert "SERVICE  TARGET              ALLOWED" in server.ok("status") and "drip     tcp 127.0.0.1:7000  any" in server.ok("status")


def test_contract_ping_and_bench(w):
    """ping and bench, as text and as JSON."""
    beacon, server, client = pair(w)
    to = server.address
    text = client.ok("ping", to, "-c", "2", "-i", "0.05")
    for line in text.splitlines():
        assert re.fullmatch(rf"reply from {to[:5]}…{to[-5:]}: relay {re.escape(AT)} \(udp\) in [\d.]+ ms( \(.*\))?", line), text
    for flag in ("--json", "--jsonl"):
        lines = client.run("ping", to, "-c", "2", "-i", "0.05", flag).out.splitlines(keepends=True)
        replies = [one_object(line, PING) for line in lines]
        assert [r["seq"] for r in replies] == [1, 2] and list(replies[0])[:3] == ["v", "seq", "rtt_ms"], replies
    one_object(client.run("bench", to, "--seconds", "0.3", "--json").out, BENCH)


def test_contract_expose_and_tickets(w):
    """expose prints what to paste; the ticket in it can be shown as it stands there."""
    beacon, node = Beacon(w), Node(w.a, "server")
    process = node.spawn("expose", "5432", "--as", "pg", "--allow", "any", "--beacon", beacon.text)
    process.wait_out(r"godwit forward")
    lines = process.out().splitlines()
    assert lines[:2] == ["Offering pg (tcp 127.0.0.1:5432) to anyone who knows the address.", "On the other machine:"], lines
    found = re.fullmatch(r"  godwit forward 5432 ((t[a-z2-7]+)/pg)", lines[2])
    assert found and len(lines) == 3, lines
    ticket = {"v": NUMBER, "address": TEXT, "service": TEXT, "endpoints": [TEXT], "beacons": [TEXT]}
    shown = one_object(node.run("ticket", "show", found[1], "--json").out, ticket)
    assert shown["address"] == node.address and shown["service"] == "pg" and shown["beacons"] == [beacon.text.removesuffix("/443")], shown
    assert "service   pg" in node.ok("ticket", "show", found[1]) and "service" not in node.ok("ticket", "show", found[2])
    made = one_object(node.run("ticket", "--service", "pg", "--json").out, {"v": NUMBER, "ticket": TEXT})
    assert made["ticket"].startswith("t")
    two_lines(node.run("ticket", "show", found[2][:-1]), 2)
    offer = {"v": NUMBER, "name": TEXT, "target": TEXT, "allow": [TEXT], "ticket": TEXT, "port": NUMBER}
    process = node.spawn("expose", "5433", "--allow", "any", "--json")
    process.wait_out(r"\n")
    one_object(process.out(), offer)


def test_contract_expose_without_a_beacon(w):
    """Behind a NAT that is a mistake: said, without touching what is printed."""
    node = Node(w.a, "server")
    process = node.spawn("expose", "5432", "--allow", "any")
    process.wait_out(r"godwit forward")
    wait(lambda: "  try: --beacon" in process.err(), 5, "the remark")
    assert process.err().startswith("godwit: only the same network can reach this: there is no beacon\n"), process.err()
    process.stop()
    w.a.ip_batch("address add 198.51.100.7/32 dev eth0")
    process = node.spawn("expose", "5432", "--allow", "any")
    process.wait_out(r"godwit forward")
    assert process.err() == "", process.err()
    w.forwarding(False)
    r = Node(w.b, "client").run("ping", node.ticket("5432"), "-c", "1")
    two_lines(r, 4)
    assert "behind a NAT give it a --beacon" in r.err, repr(r)


def test_contract_ticket_names_beacons_to_come(w):
    """The first ticket names a second beacon that has not answered yet; it may be the spare in a moment."""
    beacon, node = Beacon(w), Node(w.a, "server")
    late = f"{Node(w.r, 'late').address}@10.2.1.1:4443/0"
    destination = node.expose("5432", "pg", "any", "--beacon", late, "--beacon", beacon.text)
    shown = json.loads(node.ok("ticket", "show", destination, "--json"))["beacons"]
    assert shown == [beacon.text.removesuffix("/443"), late], shown


def test_contract_beacon(w):
    """beacon: ready, --status, --json; nodes and beacons in each other's homes; a private one."""
    beacon, node = Beacon(w), Node(w.a, "server")
    for command in (("beacon", "--status"), ("status",)):
        status = one_object(beacon.node.run(*command, "--json").out, BEACON_STATUS)
        assert status["address"] == beacon.key and status["ready"] == beacon.text, status
        text = beacon.node.ok(*command)
        assert re.match(rf"{SHORT}  beacon, up [\d.]+s\nnodes use   --beacon {re.escape(beacon.text)}\nsessions    0 ", text), text
    two_lines(node.run("beacon", "--status"), 3)
    two_lines(beacon.node.run("beacon"), 1)
    assert f"process {status['pid']}" in beacon.node.run("beacon").err
    other = Node(w.r, "other")
    process = other.spawn("beacon", "--listen", "10.2.1.1:4443", "--tls-listen", "none", "--name", "b.example", "--allow", node.address, "--json")
    process.wait_out(r"\n")
    ready = one_object(process.out(), {"v": NUMBER, "ready": TEXT})["ready"]
    assert ready == f"{other.address}@b.example:4443/0", ready
    private = ready.replace("b.example", "10.2.1.1")
    node.up("--beacon", private, "--allow", "any")
    r = Node(w.b, "client").run("ping", node.address, "-c", "1", "--beacon", private)
    two_lines(r, 4)
    assert "does not take this key" in r.err, r.err
    for flags, why in ((("--store", "redis://x"), "redis"), (("--limit", "x=1"), '"x"'), (("--limit", "bytes"), "NAME=NUMBER"),
                       (("--listen", "4443"), "ADDR:PORT"), (("--tls-listen", "no"), "ADDR:PORT"), (("--name", "a b"), "host name"),
                       (("--name", "eu1:4443"), "the ports are"), (("--name", "[::1]"), "host name"), (("--name", "key@eu1"), "host name")):
        r = Node(w.r, "third").run("beacon", *flags)
        two_lines(r, 2)
        assert why in r.err, r.err


def test_contract_beacon_says_what_is_amiss(w):
    """A private address and a TLS port that cannot be had are said; the beacon works all the same."""
    node = Node(w.r, "beacon")
    holder = w.r.spawn("python3", "-c", "import socket,time\ns=socket.create_server(('10.1.1.1',443)); print('ok',flush=True); time.sleep(99)")
    holder.wait_out("^ok$")
    process = node.spawn("beacon", "--listen", "10.1.1.1:4443")
    process.wait_out(rf"^ready {ADDRESS}@10\.1\.1\.1:4443/0$")
    err = process.err()
    assert "godwit: nodes where UDP is blocked cannot use this beacon: TLS at 10.1.1.1:443: " in err and err.count("  try: ") == 2, err
    assert "godwit: 10.1.1.1 is reached from this network only\n  try: --name HOST" in err, err
    process.stop()
    process = node.spawn("beacon", "--listen", "10.1.1.1:4443", "--tls-listen", "none", "--name", "b.example")
    process.wait_out("^ready ")
    assert process.err() == "", process.err()


def test_contract_why_no_tls(w):
    """Where UDP is blocked the reason why TLS fails is told: it is what can be mended."""
    w.forwarding(False)
    beacon, client = Beacon(w), Node(w.b, "client")
    proxy = w.r.spawn("python3", "-c", "import socket\ns=socket.create_server(('10.1.1.1',3128)); print('ok',flush=True)\n"
                                       "while True:\n c=s.accept()[0]; c.recv(999); c.sendall(b'HTTP/1.1 403 Forbidden\\r\\n\\r\\n'); c.close()")
    proxy.wait_out("^ok$")
    blocked = f"{beacon.key}@{AT}:4999/443"
    stranger = Node(w.b, "stranger").address
    for url, why in (("http://10.1.1.1:1", "proxy 10.1.1.1:1: connection refused"), ("http://10.1.1.1:3128", "proxy 10.1.1.1:3128 refused: 403"),
                     ("https://10.1.1.1:3128", "HTTPS_PROXY: https:// proxies are not supported")):
        client.env["HTTPS_PROXY"] = url
        r = client.run("ping", stranger, "-c", "1", "--beacon", blocked)
        two_lines(r, 4)
        assert f"no beacon answers: {AT}:4999 timed out (TLS: {why}" in r.err, r.err
    client.env["HTTPS_PROXY"] = "http://10.1.1.1:1"
    process = client.spawn("up", "--beacon", blocked)
    wait(lambda: process.running() and client.run("status").code == 0 and client.status()["beacons"][0]["tls_error"], 10, "tls_error in status")
    del client.env["HTTPS_PROXY"]
    process.stop()
    client.up("--beacon", blocked)
    assert client.status()["beacons"][0]["tls_error"] is None


def test_contract_netcheck(w):
    """netcheck --json has every member, and the table its columns."""
    w.forwarding(False)
    beacon, node = Beacon(w), Node(w.b, "client")
    one_object(node.run("netcheck", "--json", "--timeout", "2", "--beacon", beacon.text).out, NETCHECK)
    lines = node.ok("netcheck", "--timeout", "2", "--beacon", beacon.text).splitlines()
    names = [line.split("  ")[0] for line in lines]
    for name in ("UDP", "IPv4", "IPv6", "Mapping", "Filtering", "Port mapping", "BEACON"):
        assert name in names, lines
    # Those of a network, too, before it has been talked to.
    ca = Node(w.b, "ca")
    ca.ok("network", "create", "acme", "--beacon", beacon.text)
    node.ok("network", "join", "-", data=ca.run("network", "invite").out)
    asked = one_object(node.run("netcheck", "--json", "--timeout", "2").out, NETCHECK)["beacons"]
    assert [b["address"] for b in asked] == [beacon.key] and asked[0]["udp4"], asked
    title = next(i for i, line in enumerate(lines) if line.startswith("BEACON"))
    assert lines[title].split() == ["BEACON", "UDP", "TLS", "CLOCK"], lines
    assert lines[title + 1][lines[title].index("CLOCK")] in "+-0" and lines[title + 1].rstrip() == lines[title + 1], lines


def test_contract_small_ones(w):
    """id, version, help, config; the man page has every command and flag of the help."""
    node = Node(w.a, "server")
    with open(os.path.join(TOP, "docs/man/godwit.1"), encoding="utf-8") as f:
        manual = f.read().replace("\\-", "-")
    assert one_object(node.run("id", "--json").out, {"v": NUMBER, "address": TEXT})["address"] == node.address
    one_object(node.run("version", "--json").out, {"v": NUMBER, "version": TEXT})
    listed = one_object(node.run("help", "--json").out, {"v": NUMBER, "commands": [{"name": TEXT, "usage": TEXT, "summary": TEXT}]})
    for command in ("id", "up", "expose", "connect", "forward", "ping", "status", "netcheck", "ticket", "beacon", "network", "policy", "bench", "debug"):
        assert command in [c["name"] for c in listed["commands"]], listed
        help_of = one_object(node.run("help", command, "--json").out,
                             {"v": NUMBER, "name": TEXT, "usage": TEXT, "options": [{"name": TEXT, "summary": TEXT}]})
        assert "--json" in [o["name"] for o in help_of["options"]], help_of
        for flag in [f"godwit {command}", *[o["name"] for o in help_of["options"]]]:
            assert re.search(rf"{re.escape(flag)}(?![a-z-])", manual), f"{flag} is not in the man page"
    assert node.ok("ping", "-h") == node.ok("ping", "--help") == node.ok("help", "ping")
    settings = one_object(node.run("config", "--json").out,
                          {"v": NUMBER, "settings": {"beacon": {"source": TEXT}, "relay-only": {"value": TEXT, "source": TEXT},
                                                    "no-sandbox": {"value": TEXT, "source": TEXT}}})
    assert settings["settings"]["beacon"]["value"] == []


def test_contract_exit_codes(w):
    """0 to 5, 124 and 130; two lines on stderr, or one object on stdout."""
    w.forwarding(True)
    beacon, server, silent, client = Beacon(w), Node(w.a, "server"), Node(w.a, "silent"), Node(w.b, "client")
    write_policy(server, f"allow echo {client.address}")
    server.up("--beacon", beacon.text, "--expose", "echo=7000", "--expose", "other=7001")
    silent.up("--beacon", beacon.text, "--allow", beacon.key)
    hint = ("--beacon", beacon.text)
    cases = [(2, "usage", ("ping",)), (2, "usage", ("pnig",)), (3, "no-node", ("status",)),
             (4, "unreachable", ("ping", Node(w.b, "absent").address, "-c", "1", *hint)),
             (5, "denied", ("ping", silent.address, "-c", "1", *hint)), (5, "denied", ("connect", f"{silent.address}/x", *hint)),
             (5, "denied", ("connect", f"{server.address}/other", *hint)),
             (124, "timeout", ("ping", Node(w.b, "absent").address, "-c", "1", "--timeout", "0.5", "--beacon", f"{beacon.key}@{AT}:4999/0"))]
    for code, word, argv in cases:
        r = client.run(*argv)
        two_lines(r, code)
        assert r.out == "", (argv, r)
        r = client.run(*argv, "--json")
        assert r.code == code and r.err == "", (argv, r)
        assert one_object(r.out, ERROR)["error"]["code"] == word, (argv, r)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        process = client.spawn("up")
        process.wait_out("^ready ")
        process.signal(number)
        assert process.wait() == code, process.err()


def test_contract_service_manager(w):
    """up and beacon tell it when they are ready, and when they stop."""
    for argv in (("up",), ("beacon", "--listen", f"{AT}:4443", "--tls-listen", "none")):
        node = Node(w.r, argv[0])
        path = os.path.join(w.dir, "notify-" + argv[0])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(10)
            node.env["NOTIFY_SOCKET"] = path
            process = node.spawn(*argv)
            assert s.recv(100) == b"READY=1"
            process.signal(signal.SIGTERM)
            assert s.recv(100) == b"STOPPING=1"
            assert process.wait() == 0, process.err()


def test_contract_completion(w):
    """bash completes the commands, flags and values that the program has."""
    source = f"source {TOP}/completions/godwit.bash; COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDS=(\"$2\") COMP_CWORD=0; " \
             "_godwit 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\""

    def complete(line):
        return subprocess.run(["bash", "-c", source, "-", line, binary()], capture_output=True, text=True, check=True).stdout.split()
    assert complete("godwit be") == ["beacon", "bench"]
    assert complete("godwit netcheck --b") == ["--beacon"]
    assert complete("godwit beacon --tls-listen ") == ["none"]
    assert complete("godwit beacon --tls-listen none --al") == ["--allow"]
    assert complete("godwit up --relay-only --beac") == ["--beacon"]
    assert complete("godwit network re") == ["revoke", "renew"]
    assert complete("godwit network en") == ["endorse"] and complete("godwit network c") == ["create", "ca"]
    assert complete("godwit network invite --name-p") == ["--name-prefix"]
    Node(w.a, "ca").ok("network", "create", "acme")
    for home in (f" --home {w.dir}/home-ca", f" --home={w.dir}/home-ca"):
        assert complete(f"godwit network show{home} a") == ["acme"], home
    assert complete("godwit network join fi") == ["file:"] and complete("godwit up --identity e") == ["env:", "ephemeral"]
    assert complete("godwit up --invite ") == ["env:", "file:", "fd:"]
