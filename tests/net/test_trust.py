# SPDX-License-Identifier: Apache-2.0
"""Networks, names, policy and the audit log, of nodes that run.

The router r runs the beacon; hosts a and b reach it and nothing else."""
import json
import os
import re
import signal
import subprocess
import sys
import time

from netlab import Node, binary, wait
from test_beacon import Beacon, echo_through
from test_contract import FLAG, MAYBE_TEXT, NETWORK, NUMBER, TEXT, check, one_object, write_policy
from test_moves import helper
from test_services import two_lines
from test_udp import exchange

BESIDE = True
DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
RULE = {"direction": TEXT, "service": MAYBE_TEXT, "who": TEXT, "source": TEXT}
CHECK = {"v": NUMBER, "who": TEXT, "direction": TEXT, "service": MAYBE_TEXT, "allowed": FLAG, "rule": MAYBE_TEXT, "source": MAYBE_TEXT,
         "why": MAYBE_TEXT, "networks": list, "running": FLAG}
ENTRY = {"v": NUMBER, "time": TEXT, "event": TEXT, "decision": TEXT, "who": MAYBE_TEXT, "name": MAYBE_TEXT, "service": MAYBE_TEXT,
         "path": ({"kind": TEXT}, None), "rule": MAYBE_TEXT, "why": MAYBE_TEXT, "lost": NUMBER}


def beacon_and_ca(w, *flags):
    """A beacon on the router, and a network acme whose CA is in the home of a node on a."""
    w.forwarding(False)
    beacon, ca = Beacon(w), Node(w.a, "ca")
    ca.env["GODWIT_BEACON"] = beacon.text
    ca.ok("network", "create", "acme", *(flags or ("--name", "ca")))
    return beacon, ca


def invite(ca, *flags):
    return ca.ok("network", "invite", "acme", *flags)


def member(host, ca, name, *flags):
    """A home that has joined by an invite of its own."""
    node = Node(host, name)
    node.ok("network", "join", "-", "--name", name, data=invite(ca, "--name", name, *flags))
    return node


def drip_reader(node, *argv):
    reader = node.spawn("connect", *argv, stdin=subprocess.PIPE)
    reader.wait_out(r"^line 3$")
    return reader


def audit(node):
    with open(os.path.join(node.home, "audit.jsonl"), encoding="utf-8") as f:
        return [one_object(line, ENTRY) for line in f]


def entries(node, **wanted):
    return [e for e in audit(node) if all(e[k] == v for k, v in wanted.items())]


def warnings(node):
    status = node.status()
    return [n["warning"] for n in status["networks"] if n["warning"]] + status["warnings"]


def clock(node, seconds):
    """Its clock goes that far ahead from now on."""
    node.env["LD_PRELOAD"] = os.path.join(os.path.dirname(binary()), "tests", "net", "wallclock.so")
    node.env["WALLCLOCK_AHEAD"] = str(seconds)
    return node


# --- the story of the README ---


def test_trust_story(w):
    """A network, a second machine and a CI job by invites, a database for one group, a revocation that ends a session."""
    beacon, db = beacon_and_ca(w, "--name", "db")
    helper(w.a, "drip", 7000, 50)
    db.process = db.spawn("expose", "7000", "--as", "pg", "--allow", "group:dev@acme")
    db.process.wait_out(r"to group:dev@acme\.$")
    laptop, job = Node(w.b, "laptop"), Node(w.b, "job")
    laptop.ok("network", "join", "-", "--name", "laptop", data=invite(db, "--group", "dev", "--name", "laptop"))
    job.env.update(GODWIT_INVITE=invite(db, "--group", "ci", "--expires", "90d"), GODWIT_IDENTITY="ephemeral")
    laptop.forward("7001", "db.acme/pg")
    assert laptop.process.wait_out("^Forwarding tcp 127.0.0.1:7001 to pg at db.acme.$")
    reader = w.b.spawn("python3", "-c", "import socket\ns=socket.create_connection(('127.0.0.1',7001))\n"
                                        "while d:=s.recv(999): print(d.decode(),end='',flush=True)", name="reader")
    reader.wait_out(r"^line 3$", 20)
    helper(w.a, "echo", 7002)
    db.spawn("expose", "7002", "--as", "report", "--allow", "group:ci").wait_out(r"to group:ci@acme\.$")
    r = job.run("connect", "db.acme/report", data="{}", seconds=60)
    assert r.code == 0 and r.out == "{}", repr(r)
    told = db.ok("policy", "check", "laptop.acme", "pg").splitlines()
    assert told == ["allowed: allow pg group:dev@acme  (expose)", "it is laptop, in acme, groups dev"], told
    r = job.run("connect", "db.acme/pg", data="", seconds=60)
    two_lines(r, 5)
    members = json.loads(db.ok("network", "members", "acme", "--json"))["members"]
    seen = {m["name"]: m for m in members if m["seen"]}
    assert seen["laptop"]["groups"] == ["dev"] and seen["laptop"]["by"] == "invite", members
    serial = seen["laptop"]["invite"]
    assert re.search(rf"^laptop +{laptop.address} .*  invite {serial}  valid  yes$", db.ok("network", "members"), re.M), serial
    r = db.run("network", "revoke", "acme", "laptop.acme")
    assert r.code == 0 and f"godwit network revoke acme serial:{serial}" in r.err, r
    at = time.monotonic()
    assert reader.wait(5) is not None and time.monotonic() - at < 2, reader.err()
    wait(lambda: "denied" in laptop.process.err() or "not allow" in laptop.process.err(), 5, "the forward to say why")
    assert entries(db, event="open", decision="allow", service="pg")[0]["name"] == "laptop.acme", audit(db)
    assert entries(db, event="open")[0]["rule"] == "allow pg group:dev@acme", audit(db)
    # Whom an invite has made a member is not forgotten, and the key is told apart from the invite.
    row = {m["address"]: m for m in json.loads(db.ok("network", "members", "--json"))["members"]}[laptop.address]
    assert (row["state"], row["name"], row["invite"], row["by"]) == ("revoked", "laptop", serial, "invite"), row
    assert db.ok("network", "revoke", "acme", "laptop").startswith(f"Already revoked: {laptop.address} (laptop)\n")
    laptop.ok("network", "join", db.ok("network", "export"))
    r = laptop.run("network", "renew")
    two_lines(r, 1)
    assert "has revoked the key of this node" in r.err, r


def test_trust_cold_start(w):
    """An empty home and an invite in the environment are enough; the word is wiped there."""
    beacon, ca = beacon_and_ca(w)
    helper(w.a, "echo", 7000)
    ca.up("--expose", "echo=7000", "--allow", "network:acme")
    word = invite(ca, "--name-prefix", "ci")
    job = Node(w.b, "job")
    job.env.update(GODWIT_INVITE=word, GODWIT_NAME="ci-1", GODWIT_IDENTITY="ephemeral")
    r = job.run("connect", "ca.acme/echo", data="from a job", seconds=30)
    assert r.code == 0 and r.out == "from a job", repr(r)
    resident = Node(w.b, "resident")
    resident.env.update(GODWIT_INVITE=word)
    resident.up()
    with open(f"/proc/{resident.process.pid}/environ", encoding="utf-8") as f:
        assert word not in f.read()
    check(resident.status()["networks"], [NETWORK])
    state = resident.status()["networks"][0]
    assert state["name"] == "acme" and state["member"]["trouble"] is None and state["warning"] is None, state
    assert resident.status()["beacons"][0]["own"], "the beacon of the invite"
    wait(lambda: resident.status()["networks"][0]["sequence"], 10, "the manifest to come from the beacon")
    assert word not in json.dumps(json.loads(resident.ok("config", "--json"))), "config shows no secret"
    resident.process.stop()
    resident.up()
    assert len(json.loads(resident.ok("network", "show", "--json"))["networks"]) == 1
    text = resident.ok("status")
    assert re.search(rf"^network acme: member, until {DATE}$", text, re.M), text


def test_trust_bad_invites(w):
    """A word that is none, a name that it does not permit, an invite that has expired: said at the start."""
    beacon, ca = beacon_and_ca(w)
    node = Node(w.b, "node")
    for word, name, why, code in (("iabc", "", "invite", 2), (invite(ca, "--name", "db"), "web", "does not permit the name web", 1),
                                  (invite(ca, "--name", "db"), "no_name", "no name for a member", 2)):
        node.env.update(GODWIT_INVITE=word, GODWIT_NAME=name)
        r = node.run("up")
        two_lines(r, code)
        assert why in r.err and word not in r.err, r.err
    clock(node, 3 * 86400)
    node.env.update(GODWIT_INVITE=invite(ca), GODWIT_NAME="")
    r = node.run("up")
    two_lines(r, 1)
    assert "the invite has expired" in r.err, r.err
    two_lines(node.run("up", "--invite", "iabc"), 2)


# --- policy ---


def test_trust_reload_ends_streams(w):
    """SIGHUP: what the rules no longer allow ends at once, the rest goes on; a broken file changes nothing."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "drip", 7000, 50)
    one, two = member(w.b, server, "one", "--group", "dev"), member(w.b, server, "two", "--group", "ops")
    write_policy(server, "allow drip group:dev group:ops # both")
    server.up("--expose", "drip=7000")
    assert "nobody may use" not in server.process.err()
    readers = [drip_reader(node, "server.acme/drip") for node in (one, two)]
    write_policy(server, "allow drip group:dev", "alow drip any")
    server.process.signal(signal.SIGHUP)
    wait(lambda: "policy:2: there is no rule \"alow\"" in server.process.err(), 5, "the mistake to be told")
    two_lines(server.run("policy", "reload"), 2)
    count = readers[1].out().count("\n")
    wait(lambda: readers[1].out().count("\n") > count + 3, 5, "the old rules to hold")
    write_policy(server, "allow drip group:dev")
    server.process.signal(signal.SIGHUP)
    at = time.monotonic()
    assert readers[1].wait(5) == 5 and time.monotonic() - at < 2, readers[1].err()
    count = readers[0].out().count("\n")
    wait(lambda: readers[0].out().count("\n") > count + 3, 5, "the other stream to go on")
    server.process.stop()
    write_policy(server, "allow")
    r = server.run("up", "--expose", "drip=7000")
    two_lines(r, 2)
    assert f"{server.home}/policy:1: it says no service" in r.err, r.err


def test_trust_policy_check(w):
    """check names the rule, or says why none; with a node by what the peer has shown, without by its key."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "echo", 7000)
    client = member(w.b, server, "client", "--group", "dev")
    write_policy(server, "allow echo group:dev", f"allow web {client.address}")

    def decide(code, *argv):
        r = server.run("policy", "check", *argv, "--json")
        assert r.code == code and r.err == "", repr(r)
        return one_object(r.out, CHECK)

    found = decide(5, client.address, "echo")
    assert not found["running"] and found["why"] == "no rule allows it" and found["rule"] is None, found
    assert decide(0, client.address, "echo", "--group", "dev@acme")["rule"] == "allow echo group:dev@acme"
    assert decide(0, client.address, "web")["source"] == f"{server.home}/policy:2"
    assert decide(0, "--dial", client.address)["why"] == "there is no dial rule: every node may be dialled"
    two_lines(server.run("policy", "check", "client.acme", "echo"), 3)
    two_lines(server.run("policy", "check", client.address), 2)
    two_lines(server.run("policy", "check", "nobody", "echo"), 2)
    server.up("--expose", "echo=7000", "--allow", "group:ops")
    assert decide(5, client.address, "echo")["running"]
    client.up()
    assert client.ok("connect", "server.acme/echo", data="x") == "x"
    found = decide(0, "client.acme", "echo")
    assert found["who"] == client.address and found["networks"] == [{"network": "acme", "name": "client", "groups": ["dev"]}], found
    assert server.ok("policy", "check", client.address, "echo").startswith(f"allowed: allow echo group:dev@acme  ({server.home}/policy:1)\n")
    shown = one_object(server.ok("policy", "show", "--json") + "\n", {"v": NUMBER, "rules": [RULE], "dial": TEXT, "running": FLAG})
    assert {(r["service"], r["who"], r["source"]) for r in shown["rules"]} >= {
        ("echo", "group:ops@acme", "flag --allow"), ("echo", "group:dev@acme", f"{server.home}/policy:1")}, shown
    assert re.search(r"^allow +echo +group:ops@acme +flag --allow$", server.ok("policy", "show"), re.M)


def test_trust_dial_rule(w):
    """As soon as there is a dial rule nobody else is dialled: exit 5, and nothing is sent."""
    beacon, server = beacon_and_ca(w, "--name", "server", "--group", "servers")
    helper(w.a, "echo", 7000)
    other = Node(w.a, "other").up("--beacon", beacon.text, "--expose", "echo=7000", "--allow", "any")
    server.up("--expose", "echo=7000", "--allow", "network:acme")
    client = member(w.b, server, "client")
    write_policy(client, "dial group:servers@acme")
    client.env["GODWIT_BEACON"] = beacon.text
    r = client.run("connect", f"{other.address}/echo", data="x")
    two_lines(r, 5)
    assert "own policy" in r.err and "policy check --dial" in r.err, r.err
    assert client.run("connect", f"{other.address}/echo", "--json", data="x").code == 5
    client.up()
    r = client.run("policy", "check", "--dial", other.address)
    assert r.code == 5 and r.out.startswith("denied: there are dial rules, and none is about it\n"), repr(r)
    write_policy(client, f"dial {server.address} {other.address}")
    assert client.ok("policy", "reload") == f"2 rules in {client.home}/policy"
    assert client.ok("connect", "server.acme/echo", data="x") == "x"
    assert client.ok("connect", f"{other.address}/echo", data="y") == "y"


# --- names ---


def test_trust_name_moves(w):
    """A forward follows a name to another key when the first is revoked, and may start before anything answers."""
    beacon, ca = beacon_and_ca(w)
    ca.up("--allow", "network:acme")
    helper(w.a, "echo", 7000)
    client = member(w.b, ca, "client")
    client.forward("7001", "db.acme/echo", "--beacon", f"{beacon.key}@10.1.1.1:4999/0")
    client.process.wait_out("^Forwarding tcp 127.0.0.1:7001 to echo at db.acme.$")
    wait(lambda: "nobody can be asked for the name db.acme" in client.process.err(), 15, "the search to fail")
    client.process.stop()
    first, second = member(w.a, ca, "db"), Node(w.a, "db2")
    second.ok("network", "join", "-", "--name", "db", data=invite(ca, "--name", "db"))
    first.up("--expose", "echo=7000", "--allow", "network:acme")
    client.forward("7001", "db.acme/echo")
    echo_through(w.b, 7001)
    assert client.peer()["address"] == first.address
    first.process.stop()
    assert client.ok("ping", ca.address, "-c", "1") and ca.ok("network", "revoke", "acme", first.address)
    second.up("--expose", "echo=7000", "--allow", "network:acme")

    def answered():
        r = w.b.run("python3", "-c", "import socket\ns=socket.create_connection(('127.0.0.1',7001),5); s.settimeout(5)\n"
                                     "s.sendall(b'x'); assert s.recv(1)==b'x'", seconds=40)
        return r.code == 0
    wait(answered, 60, "the other node of that name to answer")


def test_trust_name_of_a_udp_service(w):
    """forward udp: to a name ends when it is nobody's; else it follows it to another key when the first is revoked."""
    beacon, ca = beacon_and_ca(w)
    ca.up("--allow", "network:acme")
    helper(w.a, "udp-echo", 7000)
    client, first, second = member(w.b, ca, "client"), member(w.a, ca, "dns"), Node(w.a, "dns2")
    r = client.run("forward", "udp:127.0.0.1:7001", "dns.acme/echo")
    assert r.code == 4 and "no member of acme is called dns" in r.err, repr(r)
    first.up("--expose", "echo=udp:127.0.0.1:7000", "--allow", "network:acme")
    client.process = client.spawn("forward", "udp:127.0.0.1:7001", "dns.acme/echo")
    client.process.wait_out("^Forwarding udp 127.0.0.1:7001 to echo at dns.acme.$")
    assert exchange(w.b, bytes(1000)) == 0
    assert client.peer()["address"] == first.address, client.peer()
    second.ok("network", "join", "-", "--name", "dns", data=invite(ca, "--name", "dns"))
    first.process.stop()
    assert client.ok("ping", ca.address, "-c", "1") and ca.ok("network", "revoke", "acme", first.address)
    second.up("--expose", "echo=udp:127.0.0.1:7000", "--allow", "network:acme")
    wait(lambda: exchange(w.b, b"the other one", tries=4) == 0, 60, "the other node of that name to answer")
    assert any(p["path"] for p in client.status()["peers"] if p["address"] == second.address), client.status()


def test_trust_ambiguous_name(w):
    """Two members of invites claim one name: neither is taken, loudly; one that a CA has signed wins."""
    beacon, ca = beacon_and_ca(w)
    ca.up()
    helper(w.a, "echo", 7000)
    client = member(w.b, ca, "client")
    nodes = [Node(w.a, f"db{i}") for i in range(2)]
    for node in nodes:
        node.ok("network", "join", "-", "--name", "db", data=invite(ca, "--name", "db"))
        node.up("--expose", "echo=7000", "--allow", "network:acme")
    client.up()

    def ping():
        return client.run("ping", "db.acme", "-c", "1", seconds=40)
    wait(lambda: ping().code == 1, 20, "both to be known")
    r = ping()
    two_lines(r, 1)
    assert "two members of acme claim the name db: neither is taken" in r.err, r.err
    for what, code, why in (("nobody.acme", 4, "no member of acme is called nobody"), ("db.other", 2, "no network \"other\"")):
        r = client.run("ping", what, "-c", "1", seconds=40)
        two_lines(r, code)
        assert why in r.err, r.err
    nodes[1].process.stop()
    word = ca.ok("network", "invite", "acme", "--for", nodes[1].address, "--name", "db")
    nodes[1].ok("network", "join", word)
    nodes[1].up("--expose", "echo=7000", "--allow", "network:acme")
    wait(lambda: ping().code == 0, 20, "the one that a CA has signed to win")
    assert f"from {nodes[1].address[:5]}" in ping().out


def test_trust_revocation_by_beacon(w):
    """A CA revokes, connected to nobody but the beacon, and so are its members: a live stream ends within seconds."""
    beacon, ca = beacon_and_ca(w)
    helper(w.a, "drip", 7000, 50)
    server, client = member(w.a, ca, "server"), member(w.b, ca, "client", "--group", "dev")
    ca.up()
    server.up("--expose", "drip=7000", "--allow", "group:dev")
    reader = drip_reader(client, "server.acme/drip")
    at = time.monotonic()
    ca.ok("network", "revoke", "acme", client.address)
    assert reader.wait(20) == 5 and time.monotonic() - at < 10, (time.monotonic() - at, reader.err())
    assert ca.status()["peers"] == [], ca.status()["peers"]
    assert server.status()["networks"][0]["sequence"] == ca.status()["networks"][0]["sequence"]


# --- further CAs ---


def shown(node):
    return json.loads(node.ok("network", "show", "acme", "--json"))


def test_trust_further_ca(w):
    """Whom a further CA invites uses a service, until that CA is taken away: then its session ends, and who joins so gets in no more."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "drip", 7000, 50)
    server.up("--expose", "drip=7000", "--allow", "group:dev@acme")
    second = member(w.b, server, "second", "--group", "dev").up()
    assert second.ok("ping", "server.acme", "-c", "1")
    key = second.ok("network", "ca")
    server.ok("network", "endorse", key)
    wait(lambda: shown(second)["ca_key"], 10, "the endorsement to come")
    words = [second.ok("network", "invite", "--group", "dev", "--name", name) for name in ("laptop", "late")]
    second.process.stop()  # nobody needs it
    laptop, late = Node(w.b, "laptop"), Node(w.b, "late")
    for node, word in zip((laptop, late), words):
        node.ok("network", "join", "-", "--name", node.name, data=word)
    reader = drip_reader(laptop, "server.acme/drip")
    seen = {m["name"]: m for m in json.loads(server.ok("network", "members", "--json"))["members"] if m["seen"]}
    assert seen["laptop"]["ca"] == key and seen["laptop"]["by"] == "invite", seen
    at = time.monotonic()
    server.ok("network", "revoke", key)
    assert reader.wait(5) == 5 and time.monotonic() - at < 2, reader.err()
    ended = wait(lambda: entries(server, event="end", service="drip"), 5, "the end in the audit log")[0]
    assert ended["why"] and ended["who"] == laptop.address, ended
    r = late.run("connect", "server.acme/drip", data="", seconds=60)
    assert r.code in (4, 5) and r.out == "", r
    second.up()
    wait(lambda: shown(second)["ca"]["state"] == "revoked", 10, "the second home to be told")
    two_lines(second.run("network", "invite"), 1)


def test_trust_two_cas(w):
    """A CA that was away does not undo by itself what another one has revoked; when people make it, that is told until it is mended."""
    w.forwarding(False)
    beacon, ca = Beacon(w), clock(Node(w.a, "ca"), -55)
    ca.env["GODWIT_BEACON"] = beacon.text
    ca.ok("network", "create", "acme", "--name", "ca", "--lifetime", "60")
    second, gone = Node(w.b, "second"), Node(w.b, "gone").address
    second.ok("network", "join", ca.ok("network", "invite", "--for", second.address))
    ca.ok("network", "endorse", second.ok("network", "ca"))
    second.ok("network", "join", ca.ok("network", "export"))
    clock(ca, 0).ok("network", "revoke", gone)
    ca.up("--allow", "network:acme")
    second.up()  # its manifest has expired, or nearly
    wait(lambda: of_acme(second)["sequence"] == of_acme(ca)["sequence"], 10, "the news of the beacon")
    assert shown(ca)["manifest"]["signer"] == shown(ca)["cas"][0] and shown(second)["revoked"]["keys"] == 1, shown(ca)
    second.process.stop()
    again = Node(w.b, "again").address
    ca.ok("network", "revoke", again)
    second.ok("network", "renew")
    second.up()
    second.ok("ping", "ca.acme", "-c", "1")
    wait(lambda: warnings(ca), 10, "the warning")
    signer = shown(second)["ca"]["address"]
    text = f"the manifest of acme no longer revokes {again}: {signer} has signed it on an older one"
    assert warnings(ca) == [text] and f"godwit: {text}\n  try: where a CA's key is: godwit network revoke acme {again}\n" in ca.process.err()
    ca.ok("network", "revoke", again)
    wait(lambda: warnings(ca) == [], 5, "the warning to end")
    assert shown(ca)["revoked"]["keys"] == 2, shown(ca)


# --- time ---


def test_trust_expired_certificate(w):
    """A certificate ends: the stream with it, and it was told before that nothing would renew it."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "drip", 7000, 50)
    server.up("--expose", "drip=7000", "--allow", "group:dev@acme")
    short = invite(clock(server, -45), "--name", "short", "--group", "dev", "--lifetime", "60", "--expires", "60")
    clock(server, 0)
    client = Node(w.b, "client")
    client.ok("network", "join", "-", "--name", "short", data=short)
    until = json.loads(client.ok("network", "show", "acme", "--json"))["certificate"]["valid_until"]
    client.up()
    reader = drip_reader(client, "server.acme/drip")
    wait(lambda: warnings(client), until - time.time(), "a warning while there is time")
    assert re.fullmatch(rf"this node's certificate of acme expires at {DATE}, and cannot be renewed: the invite .*", warnings(client)[0]), warnings(client)
    assert reader.wait(30) == 5 and abs(time.time() - until) < 2, (time.time() - until, reader.err())
    assert entries(server, event="end", service="drip")[0]["why"], audit(server)
    client.process.stop()
    client.up()
    assert "has expired" in client.process.err() and "warning: this node's certificate of acme has expired" in client.ok("status"), client.process.err()


def test_trust_renewal(w):
    """After half of its validity a node renews its certificate by its invite, and its streams go on."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "drip", 7000, 50)
    server.up("--expose", "drip=7000", "--allow", "group:dev@acme")
    client = clock(Node(w.b, "client"), -23)
    word = invite(clock(server, -23), "--name", "short", "--group", "dev", "--lifetime", "60")
    clock(server, 0)
    client.ok("network", "join", "-", "--name", "short", data=word)
    clock(client, 0)
    client.up()
    reader = drip_reader(client, "server.acme/drip")
    until = client.status()["networks"][0]["member"]["expires"]
    wait(lambda: client.status()["networks"][0]["member"]["expires"] > until + 15, 20, "the renewal")
    wait(lambda: time.time() > until + 1 or not reader.running(), 60, "the first certificate to have expired")
    count = reader.out().count("\n")
    wait(lambda: reader.out().count("\n") > count + 20, 10, "the stream to go on")
    assert warnings(client) == [], warnings(client)


def of_acme(node):
    return node.status()["networks"][0]


def short_lived(node, ca, seconds, *flags):
    """A certificate for a minute by a CA, signed that long ago, so that half of it is over soon."""
    clock(ca, -seconds)
    word = ca.ok("network", "invite", "--for", node.address, "--lifetime", "60", "--name", node.name, *flags)
    clock(ca, 0)
    node.ok("network", "join", word)


def test_trust_renewal_by_ca(w):
    """Where the key of a CA is, the node signs its certificate and the manifest anew before they expire; its members get both."""
    w.forwarding(False)
    beacon, server = Beacon(w), clock(Node(w.a, "server"), -21)
    server.env["GODWIT_BEACON"] = beacon.text
    server.ok("network", "create", "acme", "--no-member", "--lifetime", "60")
    short_lived(server, server, 24)
    helper(w.a, "drip", 7000, 50)
    server.up("--expose", "drip=7000", "--allow", "group:dev@acme")
    client = member(w.b, server, "client", "--group", "dev").up()
    reader = drip_reader(client, "server.acme/drip")
    wait(lambda: of_acme(client)["sequence"], 5, "the manifest")
    before, told = of_acme(server), of_acme(client)
    assert told["sequence"] == before["sequence"] and before["expires"] - time.time() < 40, (before, told)
    wait(lambda: of_acme(server)["member"]["expires"] > before["member"]["expires"] + 15, 15, "the certificate to be renewed")
    wait(lambda: of_acme(server)["expires"] > before["expires"] + 15, 10, "the manifest to be renewed")
    assert time.time() < before["expires"] - 15 and time.time() < before["member"]["expires"] - 15
    wait(lambda: of_acme(client)["sequence"] == of_acme(server)["sequence"] > told["sequence"], 5, "the member to get it")
    assert shown(server)["certificate"]["by"] == "ca" and shown(server)["certificate"]["valid"], shown(server)
    count = reader.out().count("\n")
    wait(lambda: reader.out().count("\n") > count + 5, 10, "the stream to go on")
    for node in (server, client):
        assert warnings(node) == [] and node.process.err() == "", (warnings(node), node.process.err())


def test_trust_renewal_by_a_further_ca(w):
    """What cannot be renewed is told, and no more when the node has become a CA."""
    beacon, ca = beacon_and_ca(w)
    ca.up("--allow", "network:acme")
    node = Node(w.b, "node")
    short_lived(node, ca, 31)
    node.up()
    wait(lambda: warnings(node), 5, "the warning")
    text = rf"this node's certificate of acme expires at {DATE}, and cannot be renewed: neither an invite nor the key of a CA is here"
    assert re.fullmatch(text, warnings(node)[0]) and len(re.findall(text, node.process.err())) == 1, (warnings(node), node.process.err())
    assert f"warning: {warnings(node)[0]}" in node.ok("status")
    until = of_acme(node)["member"]["expires"]
    key = node.ok("network", "ca")
    node.ok("ping", "ca.acme", "-c", "1")  # it will be told at once
    ca.ok("network", "endorse", key)
    wait(lambda: of_acme(node)["member"]["expires"] > until + 15 and warnings(node) == [], until - time.time(), "the renewal")
    assert shown(node)["certificate"]["valid"], shown(node)


def test_trust_renewal_is_not_possible(w):
    """A manifest that nobody renews is told, and locks nobody out; nor does a CA's key that cannot be read."""
    w.forwarding(False)
    beacon, ca = Beacon(w), clock(Node(w.a, "ca"), -37)
    ca.env["GODWIT_BEACON"] = beacon.text
    ca.ok("network", "create", "acme", "--no-member", "--lifetime", "60")
    server, client = Node(w.a, "server"), Node(w.b, "client")
    for node in (server, client):
        node.ok("network", "join", ca.ok("network", "invite", "--for", node.address, "--name", node.name, "--group", "dev"))
    helper(w.a, "drip", 7000, 50)
    serve = ("--expose", "drip=7000", "--allow", "group:dev@acme")
    server.up(*serve)
    assert warnings(server) == [], warnings(server)
    reader = drip_reader(client, "server.acme/drip")
    wait(lambda: warnings(server), 15, "a warning while there is time")
    text = rf"the manifest of acme expires at {DATE}"
    hint = "\n  try: where the key of its CA is: godwit up, or godwit network renew acme\n"
    assert re.fullmatch(text, warnings(server)[0]) and re.search(text + hint, server.process.err()), server.process.err()
    assert f"warning: {warnings(server)[0]}" in server.ok("status") and reader.running(), reader.err()
    reader.stop()
    server.process.stop()
    for node in (server, client):
        clock(node, 60)
    server.up(*serve)
    text = rf"the manifest of acme has expired \(it goes on to count\): {DATE}"
    assert re.fullmatch(text, warnings(server)[0]) and re.search(text, server.process.err()), server.process.err()
    drip_reader(client, "server.acme/drip")

    pem = os.path.join(ca.home, "networks", "acme", "ca.pem")
    os.chmod(pem, 0o640)
    clock(ca, 60)
    ca.up()
    text = rf"the manifest of acme has expired \(it goes on to count\): {DATE}, and cannot be renewed: .*others may read"
    assert re.match(text, warnings(ca)[0]) and re.search(text, ca.process.err()), (warnings(ca), ca.process.err())
    os.chmod(pem, 0o600)
    ca.process.signal(signal.SIGHUP)
    wait(lambda: warnings(ca) == [], 5, "the manifest to be renewed")


def test_trust_clocks(w):
    """Ten minutes do not matter; an hour is told, and peers do not answer."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "echo", 7000)
    server.up("--expose", "echo=7000", "--allow", "network:acme")
    word = invite(server)
    for seconds, good in ((590, True), (-590, True), (-3600, False), (3600, False)):
        client = Node(w.b, f"client{seconds}")
        client.ok("network", "join", "-", data=word)
        clock(client, seconds)
        process = client.spawn("up")
        wait(lambda: client.run("status").code == 0, 10, "the node")
        if good:
            r = client.run("connect", "server.acme/echo", data="x", seconds=60)
            assert r.code == 0 and r.out == "x" and warnings(client) == [], (seconds, r, warnings(client))
        else:
            side = "behind" if seconds < 0 else "ahead of"
            text = f"this host's clock is 1h {side} the beacon's (10.1.1.1:4443): peers will not answer"
            wait(lambda: text in warnings(client), 10, "the warning")
            assert process.err().count(text) == 1 and f"warning: {text}" in client.ok("status"), process.err()
            assert client.run("connect", f"{server.address}/echo", data="x", seconds=60).code == 4
        process.stop()


# --- the audit log ---


def test_trust_audit(w):
    """A line for each decision: a stranger's knock, a stream taken, one refused, one ended, a certificate that does not hold."""
    beacon, server = beacon_and_ca(w, "--name", "server")
    helper(w.a, "echo", 7000)
    client, stranger = member(w.b, server, "client"), Node(w.b, "stranger")
    for node in (client, stranger):
        node.env["GODWIT_BEACON"] = beacon.text
    write_policy(server, "allow echo network:acme")
    server.up("--expose", "echo=7000", "--expose", "web=7001")
    assert client.ok("connect", "server.acme/echo", data="four") == "four"
    assert client.run("connect", "server.acme/web", data="x").code == 5
    assert stranger.run("connect", f"{server.address}/echo", data="x").code == 5
    path = os.path.join(server.home, "audit.jsonl")
    assert os.stat(path).st_mode & 0o777 == 0o600
    wait(lambda: entries(server, event="end"), 5, "the end of the stream")
    taken = entries(server, event="open", decision="allow")
    assert len(taken) == 1 and taken[0]["who"] == client.address and taken[0]["name"] == "client.acme" and taken[0]["service"] == "echo"
    assert taken[0]["rule"] == "allow echo network:acme" and taken[0]["path"]["kind"] in ("relay", "direct"), taken
    refused = entries(server, event="open", decision="deny")
    assert refused and refused[0]["service"] == "web" and refused[0]["who"] == client.address and refused[0]["why"], audit(server)
    ended = entries(server, event="end")[0]
    assert ended["rx_bytes"] == 4 and ended["tx_bytes"] == 4 and ended["name"] == "client.acme", ended
    knocks = entries(server, event="knock", decision="deny")
    assert knocks and knocks[0]["who"] == stranger.address and knocks[0]["why"], audit(server)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ended["time"])
    client.ok("network", "export", "acme")
    server.ok("network", "revoke", "acme", client.address)
    assert client.run("connect", f"{server.address}/echo", data="x", seconds=40).code == 5
    wait(lambda: entries(server, event="certificate"), 5, "the certificate to be refused")
    assert entries(server, event="certificate")[0]["decision"] == "deny" and "revoked" in entries(server, event="certificate")[0]["why"]
    assert not os.path.exists(os.path.join(client.home, "audit.jsonl")), "one-shots write none"


def test_trust_audit_cannot_be_written(w):
    """A file that cannot be opened is refused at the start; "none" writes none.  (Errors later: unit/cli_audit_log.)"""
    node = Node(w.a, "node")
    r = node.run("up", "--audit", "/no/where/audit")
    two_lines(r, 1)
    assert "audit log /no/where/audit" in r.err, r.err
    node.up("--audit", "none")
    assert not os.path.exists(os.path.join(node.home, "audit.jsonl"))


def in_a_terminal(node, redirected=False):
    """`up` that leads the session of a new terminal: (what hangs up when it is closed, the process).  `redirected`: none of
    its descriptors is the terminal."""
    master, slave = os.openpty()
    code = ("import fcntl,os,sys,termios\nfcntl.ioctl(0,termios.TIOCSCTTY,0)\n" +
            ("os.dup2(os.open('/dev/null',os.O_RDWR),0)\n" if redirected else "") + "os.execv(sys.argv[1],sys.argv[1:])")
    node.process = node.host.spawn(sys.executable, "-c", code, binary(), "up", "--allow", "any", name=node.name, stdin=slave, env=node.env)
    os.close(slave)
    node.process.wait_out(r"^ready n")
    return master, node.process


def test_trust_terminal_is_gone(w):
    """SIGHUP of who still has its terminal reads the rules again; when the terminal goes, who was started on it ends, and
    who had only been started from it goes on, with the rules read again."""
    on, off = Node(w.a, "on"), Node(w.a, "off")
    (terminal, up), (other_terminal, other) = in_a_terminal(on), in_a_terminal(off, redirected=True)
    for node in (on, off):
        write_policy(node, "alow drip any")
    up.signal(signal.SIGHUP)
    wait(lambda: "there is no rule \"alow\"" in up.err(), 5, "the rules to be read")
    assert up.running() and other.err().count("alow") == 0
    os.close(terminal)
    assert up.wait(5) == 0 and up.err().count("there is no rule") == 1, up.err()
    os.close(other_terminal)
    wait(lambda: "there is no rule \"alow\"" in other.err(), 5, "the rules to be read")
    assert off.status()["pid"] == other.pid


def test_trust_damaged_network(w):
    """What is wrong with one network is told, and the others are used."""
    node = Node(w.a, "node")
    for name in ("one", "two"):
        node.ok("network", "create", name)
    with open(os.path.join(node.home, "networks", "one", "manifest"), "wb") as f:
        f.write(b"nonsense")
    node.up("--allow", "network:one", "--expose", "echo=7000")
    assert "network one is not loaded" in node.process.err() and "is damaged" in node.process.err(), node.process.err()
    r = node.run("ping", "db.one", "-c", "1")
    two_lines(r, 1)
    assert "the network one cannot be used" in r.err and "godwit network show one" in r.err, r
    found = {n["name"]: n for n in node.status()["networks"]}
    assert found["one"]["warning"] and found["one"]["address"] is None and found["two"]["warning"] is None, found
    node.ok("network", "create", "three")
    wait(lambda: len(node.status()["networks"]) == 3, 5, "the running node to be told")
    subprocess.run(["rm", "-r", os.path.join(node.home, "networks", "three")], check=True)
    node.process.signal(signal.SIGHUP)
    wait(lambda: len(node.status()["networks"]) == 2, 5, "what is gone to be dropped")
