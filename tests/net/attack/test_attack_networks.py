# SPDX-License-Identifier: Apache-2.0
"""Members that are none any more, rights that nobody gave, manifests of yesterday."""
import base64
import os
import subprocess
import time

from attacker import PORT, Forger, Tap, flows
from cryptography.hazmat.primitives import serialization
from netlab import Node, wait
from packets import DELEGATE, Hello, Identity, chain, key_of, raw_private
from test_beacon import Beacon, own_beacons
from test_beacon_limits import counts
from test_moves import helper
from test_networks import at
from test_trust import entries

BESIDE = True


class Acme:
    """A network whose CA is on b; a node on a with a service "drip" for its group dev, and for a key of no network."""

    def __init__(self, w, *more):
        self.w, self.ca, self.server, self.port = w, Node(w.b, "ca"), Node(w.a, "server"), 4000
        self.ca.ok("network", "create", "acme", "--name", "ca", "--group", "dev")
        self.ca.ok("network", "create", "other")
        self.network = self.signer().key
        helper(w.a, "drip", 7000, 10)
        self.server.ok("network", "join", self.bundle())
        self.server.ok("network", "join", "-", "--name", "server", data=self.invite("--name", "server"))
        self.server.up("--listen", f"{w.a.address()}:{PORT}", "--expose", "drip=7000", "--allow", "group:dev@acme", *more)
        self.at, self.accepter = (w.a.address(), PORT), key_of(self.server.address)

    def bundle(self):
        return self.ca.ok("network", "export", "acme")

    def invite(self, *flags):
        return self.ca.ok("network", "invite", "acme", *flags)

    def member(self, name, *flags):
        node = Node(self.w.b, name)
        node.ok("network", "join", "-", "--name", name, data=self.invite("--name", name, "--group", "dev", *flags))
        return node

    def signer(self, label="acme"):
        """The CA's key, as a thief or a second implementation has it."""
        with open(os.path.join(self.ca.home, "networks", label, "ca.pem"), "rb") as f:
            return Identity(raw_private(serialization.load_pem_private_key(f.read(), None)))

    def sequence(self, node=None):
        return [n for n in (node or self.server).status()["networks"] if n["name"] == "acme"][0]["sequence"]

    def read(self, node):
        reader = node.spawn("connect", self.server.ticket("drip"), stdin=subprocess.PIPE)
        reader.wait_out(r"^line 10$", 20)
        return reader


def shown(node):
    with open(os.path.join(node.home, "networks", "acme", "chain"), "rb") as f:
        return f.read()


def delegate(word):
    """(key, chain) of an invite."""
    raw = base64.b32decode(word.upper() + "=" * (-len(word) % 8))
    size = int.from_bytes(raw[34:36], "big")
    return Identity(raw[2:34]), raw[36:36 + size]


def answered(acme, tap, who, certificates):
    """Is a knock with them answered?  One that is good comes behind it: when that is answered, this one has been, or will not be."""
    acme.port += 2
    good, forger, ports = Identity(), Forger(acme.w.b), set()

    def ours(d):
        return d.source == acme.at[0] and d.port in (acme.port, acme.port + 1)
    for port, key, shows in ((acme.port, who, certificates), (acme.port + 1, good, chain(acme.signer(), acme.network, good.key, groups=["dev"]))):
        forger.send(acme.w.b.address(), port, *acme.at, Hello(key, acme.accepter, chain=shows).packet)
    while acme.port + 1 not in ports:
        ports |= {d.port for d in tap.answers(ours)}
    return acme.port in ports | {d.port for d in tap.hear(0.1, ours)}


def test_attack_certificates(w):
    """Certificates that are made from the specification: what holds is answered; what does not is met with silence."""
    acme, tap, who = Acme(w), Tap(w, "to_a"), Identity()
    ca, now = acme.signer(), int(time.time())
    good = chain(ca, acme.network, who.key, "web", ["dev"])
    assert answered(acme, tap, who, good), "the library's certificates are no good"
    assert answered(acme, tap, who, chain(ca, acme.network, who.key, None, ["dev", "ops"], begin=now + 600))
    flipped = bytearray(good)
    flipped[-1] ^= 1
    foreign = acme.signer("other")
    for what, bad in (("none", b""), ("of another group", chain(ca, acme.network, who.key, "web", ["ops"])),
                      ("of another key", chain(ca, acme.network, Identity().key, "web", ["dev"])),
                      ("expired a second ago", chain(ca, acme.network, who.key, "web", ["dev"], begin=now - 3601)),
                      ("valid in an hour", chain(ca, acme.network, who.key, "web", ["dev"], begin=now + 3600)),
                      ("with a wrong signature", bytes(flipped)), ("by itself", chain(who, acme.network, who.key, "web", ["dev"])),
                      ("by another network's CA", chain(foreign, acme.network, who.key, "web", ["dev"])),
                      ("of another network", chain(foreign, foreign.key, who.key, "web", ["dev"])), ("half of one", good[:len(good) // 2]),
                      ("with bytes behind", good + b"\0"), ("500 random bytes", os.urandom(500))):
        assert not answered(acme, tap, who, bad), what
    assert acme.server.process.running() and acme.server.status()["peers"] == []


def test_attack_delegates(w):
    """Who has an invite gives nobody more than it holds: groups, names, time, nor the right to go on."""
    acme, tap, who, now = Acme(w), Tap(w, "to_a"), Identity(), int(time.time())
    d, parent = delegate(acme.invite("--group", "dev", "--name-prefix", "ci-", "--lifetime", "1h"))
    assert answered(acme, tap, who, chain(d, acme.network, who.key, "ci-1", ["dev"], parent=parent, lasts=1800))
    ops, ops_parent = delegate(acme.invite("--group", "ops"))
    member = chain(acme.signer(), acme.network, who.key, "web", ["dev"])
    other = Identity()
    for what, bad in (("a group that it has not", chain(ops, acme.network, who.key, None, ["dev"], parent=ops_parent)),
                      ("both", chain(d, acme.network, who.key, None, ["dev", "ops"], parent=parent, lasts=1800)),
                      ("another name", chain(d, acme.network, who.key, "ca", ["dev"], parent=parent, lasts=1800)),
                      ("longer than allowed", chain(d, acme.network, who.key, "ci-1", ["dev"], parent=parent, lasts=7200)),
                      ("beyond its own end", chain(d, acme.network, who.key, "ci-1", ["dev"], parent=parent, begin=now + 86400 - 600, lasts=1800)),
                      ("by another", chain(other, acme.network, who.key, "ci-1", ["dev"], parent=parent, lasts=1800)),
                      ("the delegate's alone", parent),
                      ("by a member", chain(who, acme.network, other.key, None, ["dev"], parent=member))):
        assert not answered(acme, tap, other if what == "by a member" else who, bad), what
    assert not answered(acme, tap, d, parent), "the delegate itself"


def test_attack_expired_invite(w):
    """An invite that leaked and has expired makes no member, whatever the thief's clock says; nor does what it made before."""
    acme, tap, who, now = Acme(w), Tap(w, "to_a"), Identity(), int(time.time())
    d = Identity()
    parent = chain(acme.signer(), acme.network, d.key, groups=["dev"], begin=now - 7200, lasts=3600, flags=DELEGATE)
    for begin in (now - 7000, now - 3700, now - 60, now):
        assert not answered(acme, tap, who, chain(d, acme.network, who.key, None, ["dev"], parent=parent, begin=begin, lasts=60)), begin
    refused = entries(acme.server, event="certificate", who=who.address)
    assert refused and all(e["decision"] == "deny" for e in refused), refused
    # The same, not expired.
    parent = chain(acme.signer(), acme.network, d.key, groups=["dev"], begin=now - 7200, lasts=9000, flags=DELEGATE)
    assert answered(acme, tap, who, chain(d, acme.network, who.key, None, ["dev"], parent=parent, begin=now, lasts=60))


def ends_within(reader, seconds, since):
    reader.wait(10)
    took = time.monotonic() - since
    assert took < seconds, f"the stream has ended after {took:.1f} s"


def test_attack_revoked_by_file(w):
    """A member with a live stream is revoked; the manifest comes by hand: the stream ends within 2 s, and no other."""
    acme = Acme(w)
    bad, good = acme.member("bad"), acme.member("good")
    reader, other = acme.read(bad), acme.read(good)
    acme.ca.ok("network", "revoke", "acme", bad.address)
    flows(reader)  # nobody knows yet
    acme.server.ok("network", "join", acme.bundle())
    ends_within(reader, 2, time.monotonic())
    flows(other)
    assert bad.run("connect", acme.server.ticket("drip"), seconds=40).code == 5  # who has a ticket is told
    tap = Tap(w, "to_a")
    assert not answered(acme, tap, Identity.of_home(bad.home), shown(bad))
    assert any("revoked" in e["why"] for e in entries(acme.server, event="certificate"))


def test_attack_revoked_by_peer(w):
    """The same, the manifest being brought by a member that connects."""
    acme = Acme(w)
    bad = acme.member("bad")
    reader = acme.read(bad)
    acme.ca.ok("network", "revoke", "acme", bad.address)
    before = acme.sequence()
    p = acme.ca.spawn("connect", acme.server.ticket("drip"), stdin=subprocess.PIPE)
    wait(lambda: acme.sequence() > before, 10, "the manifest to arrive")
    ends_within(reader, 2, time.monotonic())
    p.wait_out(r"^line 3$")


def test_attack_revoked_by_beacon(w):
    """The same, by a beacon that the node comes back to: it and its CA never talk to each other.
    (While it is connected it is told: test_trust_revocation_by_beacon.)"""
    beacon = Beacon(w, address="10.2.1.1")
    acme = Acme(w, "--beacon", beacon.text)
    bad = acme.member("bad")
    reader = acme.read(bad)
    before = acme.sequence()
    w.a.ip_batch("route add blackhole 10.2.1.1/32")
    beacon.kill()
    beacon.start()
    acme.ca.ok("network", "revoke", "acme", bad.address)
    acme.ca.up("--beacon", beacon.text)
    wait(lambda: own_beacons(acme.ca)[0]["state"] == "ready", 20, "the CA's own node to be there")
    wait(lambda: counts(beacon)["manifests"] == 2, 10, "the manifests of both its networks to be told")
    flows(reader)
    w.a.ip_batch("route del blackhole 10.2.1.1/32")
    wait(lambda: acme.sequence() > before, 90, "the manifest to arrive")
    ends_within(reader, 2, time.monotonic())


def test_attack_old_manifest(w):
    """A peer and a beacon with the manifest from before a revocation: it changes nothing at who knows better."""
    beacon = Beacon(w)
    acme = Acme(w, "--beacon", beacon.text)
    bad, stale = acme.member("bad"), acme.member("stale")
    stale.ok("network", "join", acme.bundle())
    old, before = acme.bundle(), acme.sequence()
    acme.ca.ok("network", "revoke", "acme", bad.address)
    acme.server.ok("network", "join", acme.bundle())
    wait(lambda: acme.sequence() > before, 5, "the new one to be used")
    new, tap = acme.sequence(), Tap(w, "to_a")
    # By hand, by a peer, and by a beacon that has it from one who knows nothing newer.
    acme.server.run("network", "join", old)
    stale.up("--beacon", beacon.text)
    flows(acme.read(stale))
    assert acme.sequence() == new
    assert not answered(acme, tap, Identity.of_home(bad.home), shown(bad)), "the revocation was undone"
    wait(lambda: acme.sequence(stale) == new, 20, "the other to learn")


def test_attack_clock_skew(w):
    """Ten minutes either way make no difference; an hour does, and the log of who hears the knock says that it is the clock."""
    acme = Acme(w)
    ticket = acme.server.ticket("drip")
    for name, seconds in (("early", -590), ("late", 590)):
        node = acme.member(name, "--expires", "3h")
        at(node, seconds)
        p = node.spawn("connect", ticket, stdin=subprocess.PIPE)
        p.wait_out(r"^line 10$", 20)
        p.stop()
    node = acme.member("wrong", "--expires", "3h")
    at(node, 3600)
    assert node.run("connect", ticket, seconds=60).code != 0
    said = entries(acme.server, event="knock", who=node.address)
    assert said and "clock differs" in said[0]["why"], said


def test_attack_names_of_others(w):
    """A leaked invite claims the name of a node that a CA has signed: it is not taken for it; of another delegated one: nobody is, loudly."""
    w.forwarding(False)
    beacon = Beacon(w)
    ca = Node(w.a, "ca")
    ca.env["GODWIT_BEACON"] = beacon.text
    ca.ok("network", "create", "acme", "--name", "ca")
    helper(w.a, "echo", 7000)
    db, thief, client = Node(w.a, "db"), Node(w.b, "thief"), Node(w.b, "client")
    ca.ok("network", "renew", "acme", "--beacon", beacon.text)
    leaked = ca.ok("network", "invite", "acme", "--name-prefix", "d")
    db.ok("network", "join", "-", data=ca.ok("network", "invite", "acme", "--for", db.address, "--name", "db"))
    thief.ok("network", "join", "-", "--name", "db", data=leaked)
    client.ok("network", "join", "-", data=ca.ok("network", "invite", "acme", "--name-prefix", "c"))
    for node in (db, thief):
        node.up("--expose", "echo=7000", "--allow", "network:acme")
    client.up()
    for _ in range(3):
        r = client.run("ping", "db.acme", "-c", "1", seconds=40)
        assert r.code == 0 and f"from {db.address[:5]}" in r.out, repr(r)
    # Of another that has its name by an invite.
    thief.process.stop()
    second = Node(w.b, "second")
    for node in (thief, second):
        node.ok("network", "join", "-", "--name", "dx", data=ca.ok("network", "invite", "acme", "--name-prefix", "d"))
        node.up("--allow", "network:acme")
    wait(lambda: "neither is taken" in client.run("ping", "dx.acme", "-c", "1", seconds=40).err, 30, "it to be ambiguous")
    r = client.run("ping", "db.acme", "-c", "1", seconds=40)
    assert r.code == 0 and f"from {db.address[:5]}" in r.out, repr(r)
