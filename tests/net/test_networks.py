# SPDX-License-Identifier: Apache-2.0
"""godwit network: what works on the files of a home, without a node that runs."""
import base64
import hashlib
import json
import os
import re
import stat
import time

from netlab import Node, binary, wait
from test_contract import ADDRESS, ERROR, FLAG, MAYBE_TEXT, NUMBER, TEXT, one_object
from test_services import two_lines

BESIDE = True
NETWORK = r"c[a-z2-7]{55}"
DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
SERIAL = r"[0-9a-f]{16}"
DAY = 86400

MANIFEST = {"sequence": NUMBER, "issued": NUMBER, "expires": NUMBER, "state": TEXT, "signer": TEXT}
CERTIFICATE = {"address": TEXT, "name": TEXT, "groups": list, "serial": TEXT, "valid_from": NUMBER, "valid_until": NUMBER, "by": TEXT,
               "ephemeral": FLAG, "valid": FLAG, "refusal": MAYBE_TEXT}
SHOW = {"label": TEXT, "network": TEXT, "name": TEXT, "cas": [TEXT], "manifest": (MANIFEST, None), "beacons": list,
        "revoked": {"keys": NUMBER, "serials": NUMBER}, "certificate": (CERTIFICATE, None), "ca_key": FLAG,
        "ca": ({"address": MAYBE_TEXT, "state": TEXT}, None),
        "invite": ({"expires": NUMBER, "valid": FLAG}, None)}
INVITE = {"v": NUMBER, "network": TEXT, "label": TEXT, "ca": TEXT, "address": TEXT, "serial": TEXT, "names": list, "prefixes": list, "groups": list,
          "ephemeral": FLAG, "lifetime_s": NUMBER, "valid_until": NUMBER, "revoked": FLAG, "state": TEXT, "invite": TEXT}
MEMBERSHIP = {"v": NUMBER, "network": TEXT, "label": TEXT, "address": TEXT, "serial": TEXT, "name": TEXT, "groups": list, "ephemeral": FLAG,
              "valid_until": NUMBER, "membership": TEXT}
MEMBER = {"address": TEXT, "name": TEXT, "groups": list, "serial": TEXT, "valid_until": NUMBER, "by": TEXT, "invite": MAYBE_TEXT,
          "ca": MAYBE_TEXT, "revoked": FLAG, "state": TEXT}
MEMBERS = {"v": NUMBER, "network": TEXT, "label": TEXT, "members": [MEMBER], "invites": list}
CA = {"v": NUMBER, "network": TEXT, "label": TEXT, "address": TEXT, "state": TEXT, "made": FLAG}
ENDORSED = {"v": NUMBER, "network": TEXT, "label": TEXT, "sequence": NUMBER, "already": FLAG, "address": TEXT}
REVOKED = {"v": NUMBER, "network": TEXT, "label": TEXT, "sequence": NUMBER, "already": FLAG, "ca": FLAG, "address": MAYBE_TEXT, "serial": MAYBE_TEXT,
           "name": TEXT, "invite": MAYBE_TEXT}


def network(node, *argv, **more):
    return node.run("network", *argv, **more)


def good(node, *argv, **more):
    return node.ok("network", *argv, **more)


def shape(node, wanted, *argv):
    r = network(node, *argv, "--json")
    assert r.code == 0 and r.err == "", (argv, r)
    return one_object(r.out, {"v": NUMBER, **wanted})


def show(node, label="acme"):
    return shape(node, SHOW, "show", label)


def refused(node, why, *argv, code=1, data=None):
    """Two lines with that reason; the same as JSON; what it exits with."""
    r = network(node, *argv, data=data)
    two_lines(r, code)
    assert why in r.err, r.err
    r = network(node, *argv, "--json", data=data)
    assert r.code == code and r.err == "", (argv, r)
    assert why in one_object(r.out, ERROR)["error"]["message"], r.out
    return r


def join(node, invite, *argv):
    node.env["GODWIT_INVITE"] = invite
    return network(node, "join", "env:GODWIT_INVITE", *argv)


def joined(node, invite, *argv):
    r = join(node, invite, *argv)
    assert r.code == 0, r
    return r.out


def at(node, seconds):
    """The node's wall clock goes so far ahead."""
    node.env["LD_PRELOAD"] = os.path.join(os.path.dirname(binary()), "tests", "net", "wallclock.so")
    node.env["WALLCLOCK_AHEAD"] = str(seconds)


def today(node):
    del node.env["LD_PRELOAD"], node.env["WALLCLOCK_AHEAD"]


def created(w, *argv):
    ca = Node(w.a, "ca")
    good(ca, "create", "acme", *argv)
    return ca


def changed(word, where):
    return word[:where] + ("b" if word[where] == "a" else "a") + word[where + 1:]


def modes(home):
    """What others may do with anything in a home."""
    for top, directories, files in os.walk(home):
        for name in (*directories, *files):
            path = os.path.join(top, name)
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            assert mode == (0o700 if name in directories else 0o600), (path, oct(mode))


def test_network_life(w):
    """create, invite, join in another home, show, members, export, join the bundle, revoke, renew."""
    ca, node, third = Node(w.a, "ca"), Node(w.b, "node"), Node(w.b, "third")
    text = good(ca, "create", "acme", "--name", "admin", "--group", "ops")
    assert re.fullmatch(rf"Network acme: {NETWORK}", text), text
    key = text.split()[-1]
    r = network(ca, "invite", "acme", "--group", "web", "--name-prefix", "web-")
    assert r.code == 0 and re.fullmatch(r"i[a-z2-7]+\n", r.out), r
    assert re.fullmatch(rf"godwit: invite {SERIAL}, until {DATE}; it is a secret: .*\n  try: GODWIT_INVITE=\.\.\. godwit up, .*\n", r.err), r
    out = joined(node, r.out.strip(), "--name", "web-1")
    assert re.fullmatch(rf"Joined acme: {key}\n{node.address} is web-1, groups web, until {DATE}\n", out), out

    at_ca, at_node = show(ca), show(node)
    assert at_ca["ca_key"] and at_ca["invite"] is None and at_ca["certificate"]["by"] == "ca" and at_ca["manifest"]["state"] == "fresh", at_ca
    assert (at_ca["certificate"]["name"], at_ca["certificate"]["groups"]) == ("admin", ["ops"]), at_ca
    assert abs(at_ca["certificate"]["valid_until"] - time.time() - 365 * DAY) < 60, at_ca
    assert abs(at_ca["manifest"]["expires"] - time.time() - 30 * DAY) < 60, at_ca
    assert not at_node["ca_key"] and at_node["invite"]["valid"] and at_node["manifest"] is None, at_node
    assert at_node["certificate"]["by"] == "invite" and at_node["certificate"]["address"] == node.address, at_node
    assert abs(at_node["certificate"]["valid_until"] - time.time() - DAY) < 60, at_node
    assert "manifest     not yet seen" in good(node, "show", "acme")

    bundle = good(ca, "export")
    assert re.fullmatch(r"c[a-z2-7]{57,}", bundle), bundle
    assert re.fullmatch(rf"Trusting acme: {key}", good(node, "join", bundle))
    assert show(node)["manifest"]["sequence"] == at_ca["manifest"]["sequence"] and show(node)["certificate"]["valid"]
    assert good(node, "export") == bundle
    assert re.fullmatch(rf"Trusting acme: {key}\nThis node is no member of it\.", good(third, "join", "-", data=f"\n {bundle}\n"))
    assert show(third)["certificate"] is None
    word = good(ca, "invite", "--for", third.address, "--name", "db", "--group", "db", "--group", "ops")
    out = good(third, "join", word)
    assert re.fullmatch(rf"Joined acme: {key}\n{third.address} is db, groups db, ops, until {DATE}", out), out

    lines = good(ca, "members", "acme").splitlines()
    assert lines[0].split() == ["NAME", "ADDRESS", "GROUPS", "VALID", "UNTIL", "BY", "STATE", "SEEN"], lines
    assert re.fullmatch(rf"db +{third.address}  db, ops  {DATE}  a CA  valid  -", lines[1]), lines
    assert re.fullmatch(rf"{SERIAL}  web-\.\.\.  web +{DATE}  valid", lines[-1]), lines
    out = good(ca, "revoke", "db")
    assert re.fullmatch(rf"Revoked {third.address} \(db\)\nIts certificate would have been valid until {DATE}\.", out), out
    sequence = show(ca)["manifest"]["sequence"]
    out = good(ca, "revoke", "acme", third.address)
    assert out.startswith(f"Already revoked: {third.address} (db)\n"), out
    assert show(ca)["manifest"]["sequence"] == sequence > at_ca["manifest"]["sequence"] and show(ca)["revoked"] == {"keys": 1, "serials": 0}
    r = network(third, "join", good(ca, "export"))
    assert r.code == 0 and "the certificate of this node is refused: it is revoked" in r.err, r
    assert show(third)["certificate"]["refusal"] == "it is revoked" and "refused: it is revoked" in good(third, "show", "acme")

    before = show(ca)
    assert re.fullmatch(rf"The manifest of acme expires {DATE}\.\nThe certificate of this node is valid until {DATE}\.", good(ca, "renew"))
    after = show(ca)
    assert after["manifest"]["sequence"] > before["manifest"]["sequence"] and after["revoked"] == before["revoked"], (before, after)
    assert after["certificate"]["serial"] != before["certificate"]["serial"] and after["certificate"]["name"] == "admin", after
    serial = show(node)["certificate"]["serial"]
    assert re.fullmatch(rf"The certificate of this node is valid until {DATE}\.", good(node, "renew"))
    assert show(node)["certificate"]["serial"] != serial and show(node)["certificate"]["name"] == "web-1"
    refused(third, "is signed by a CA, whose key is not here", "renew")
    for home in (ca.home, node.home, third.home):
        modes(home)
    assert network(ca, "show").out.splitlines()[0].split() == ["LABEL", "NETWORK", "NAME", "HERE", "VALID", "UNTIL", "MANIFEST", "EXPIRES", "CA", "KEY"]


def test_network_json(w):
    """The shape of each answer."""
    ca, node = Node(w.a, "ca"), Node(w.b, "node")
    assert shape(ca, {"networks": list}, "show")["networks"] == []
    made = shape(ca, SHOW, "create", "acme", "--beacon", f"{node.address}@eu1.example.net")
    assert made["beacons"] == [f"{node.address}@eu1.example.net:4443"], made
    invite = shape(ca, INVITE, "invite", "--name", "a", "--name", "b", "--name-prefix", "w-", "--group", "g", "--ephemeral", "--lifetime", "1h",
                   "--expires", "7d")
    assert (invite["names"], invite["prefixes"], invite["groups"], invite["ephemeral"]) == (["a", "b"], ["w-"], ["g"], True), invite
    assert invite["lifetime_s"] == 3600 and abs(invite["valid_until"] - time.time() - 7 * DAY) < 60, invite
    node.env["I"] = invite["invite"]
    mine = shape(node, SHOW, "join", "env:I", "--name", "b")
    assert mine["certificate"]["ephemeral"] and abs(mine["certificate"]["valid_until"] - time.time() - 3600) < 60, mine
    shape(node, SHOW, "renew")
    word = shape(ca, MEMBERSHIP, "invite", "--for", node.address, "--lifetime", "30d")
    assert abs(word["valid_until"] - time.time() - 30 * DAY) < 60 and word["membership"].startswith("c"), word
    shape(node, SHOW, "join", word["membership"])
    assert shape(ca, {"networks": [SHOW]}, "show")["networks"][0]["label"] == "acme"
    members = shape(ca, MEMBERS, "members")
    assert {m["address"] for m in members["members"]} == {ca.address, node.address} and members["invites"][0]["serial"] == invite["serial"], members
    shape(ca, {"network": TEXT, "label": TEXT, "sequence": NUMBER, "bundle": TEXT}, "export")
    revoked = shape(ca, REVOKED, "revoke", f"serial:{invite['serial']}")
    assert revoked["serial"] == invite["serial"] and not revoked["already"] and revoked["valid_until"] == invite["valid_until"], revoked
    assert shape(ca, REVOKED, "revoke", invite["serial"])["already"]
    assert shape(ca, REVOKED, "revoke", node.address)["address"] == node.address
    shape(ca, SHOW, "renew")


def test_network_secrets(w):
    """No secret is on a command line, in what show and the others print, or in files of others."""
    ca, node = created(w, "--name", "admin"), Node(w.b, "node")
    invite = good(ca, "invite")
    joined(node, invite)
    with open(f"{ca.home}/networks/acme/ca.pem", encoding="ascii") as f:
        secrets = [f.read().split("\n")[1], invite]
    for one in (ca, node):
        for argv in (("show",), ("show", "acme"), ("members",), ("export",), ("renew",), ("invite", "x")):
            for flags in ((), ("--json",)):
                r = network(one, *argv, *flags)
                assert not any(s in r.out + r.err for s in secrets), (argv, r)
    for word in (invite, invite.upper(), invite[:-1], invite + "/x"):
        r = refused(node, "an invite is a secret", "join", word, code=2)
        assert word not in r.out, r
    r = refused(node, "neither a bundle nor where one is", "join", "file" + invite, code=2)
    assert invite not in r.out, r
    for name in ("manifest", "chain", "ledger.jsonl"):
        for home in (ca.home, node.home):
            path = f"{home}/networks/acme/{name}"
            if os.path.exists(path):
                with open(path, "rb") as f:
                    assert invite.encode() not in f.read(), path
    with open(f"{node.home}/networks/acme/invite", encoding="ascii") as f:
        assert f.read().strip() == invite


def test_network_words(w):
    """Where a word may come from, and each that is none."""
    ca, node = created(w), Node(w.b, "node")
    invite, bundle = good(ca, "invite"), good(ca, "export")
    path = os.path.join(w.dir, "word")
    for word in (bundle, bundle.upper(), invite):
        with open(path, "w", encoding="ascii") as f:
            f.write(f"\t{word}\r\n\n")
        assert show(node)["network"] if network(node, "join", f"file:{path}").code == 0 else None, word
        r = node.host.run("sh", "-c", f"exec {binary()} network join fd:7 7<{path}", env=node.env)
        assert r.code == 0, r
        assert good(node, "join", "-", data=word)
    key, ticket = show(ca)["network"], "tlvvgabqkyqvn6vjp7nhslea45a5yls6pnkmizfv4bbu2hxa5iruh7a"
    for word, why in ((ca.address, "that is an address"), (key, "that is the key of a network"), ("", "that is nothing"),
                      ("hello", "that is something else"), (bundle[:-1], "the bundle: "), (changed(bundle, 40), "the bundle: the checksum"),
                      (invite[:-2], "the invite: "), (changed(invite, 60), "the invite: the checksum"),
                      ("i" + ticket, "the invite: ")):
        refused(node, why, "join", "-", code=2, data=word)
    for where, why in (("env:NOT_THERE", "no environment variable NOT_THERE"), ("file:/not/there", "cannot read /not/there"), ("fd:x", '"fd:x"'),
                       ("fd:99", "cannot read that descriptor"), (ca.address, "that is an address"), (key, "the key of a network")):
        refused(node, why, "join", where, code=2)
    refused(node, "has no use for --name", "join", bundle, "--name", "x", code=2)


def test_network_joining_is_checked(w):
    """Names, lifetimes, labels, keys and times that an invite or a certificate does not permit."""
    ca, node = created(w), Node(w.b, "node")
    invite = good(ca, "invite", "--name", "web", "--name-prefix", "job-", "--lifetime", "1h")
    for argv, why, code in ((("--name", "db"), "does not permit the name db", 1), (("--name", "job"), "does not permit the name job", 1),
                            (("--name", "Web"), '"Web" is no name for a member', 2), (("--lifetime", "2h"), "of 1h at most", 2),
                            (("--lifetime", "soon"), "--lifetime needs a time", 2), (("--as", "A"), '"A" is no name for a network', 2),
                            (("--identity", "ephemeral"), "an ephemeral key is gone", 2), (("--group", "x"), "join takes no --group", 2)):
        node.env["I"] = invite
        refused(node, why, "join", "env:I", *argv, code=code)
        assert not os.path.exists(f"{node.home}/networks") or os.listdir(f"{node.home}/networks") == [], argv
    joined(node, invite, "--name", "job-7", "--lifetime", "10m")
    assert abs(show(node)["certificate"]["valid_until"] - time.time() - 600) < 60
    refused(node, "this network is called acme here already", "join", "env:I", "--as", "other", code=2)
    # Another network of the same name.
    second = Node(w.a, "second")
    good(second, "create", "acme", "--no-member")
    node.env["I"] = good(second, "invite")
    refused(node, "has another network that is called acme", "join", "env:I")
    refused(node, "has another network that is called acme", "join", good(second, "export"))
    joined(node, node.env["I"], "--as", "acme-2")
    assert show(node, "acme-2")["network"] == show(second)["network"] and show(node, show(ca)["network"])["label"] == "acme"
    refused(node, "this home has 2 networks", "renew", code=2)
    # A certificate for another key, one that is revoked, one that is not valid yet, one that has expired.
    third = Node(w.b, "third")
    word = good(ca, "invite", "--for", third.address)
    refused(node, f"for another node: {third.address}", "join", word)
    at(third, -3 * DAY)
    refused(third, "the manifest in the bundle: it is of the future", "join", word)
    node.env["I"] = good(ca, "invite")
    at(node, -DAY)
    refused(node, "is not valid before", "join", "env:I")
    at(node, 2 * DAY)
    refused(node, "the invite has expired", "join", "env:I")
    refused(node, "the invite has expired", "renew", "acme")
    at(third, 400 * DAY)
    refused(third, "the certificate in the bundle: it has expired", "join", word)
    today(third)
    good(ca, "revoke", third.address)
    good(third, "join", good(ca, "export"))
    refused(third, "the certificate in the bundle: it is revoked", "join", word)
    refused(ca, "has revoked the key", "invite", "--for", third.address)
    serial = shape(ca, INVITE, "invite")
    third.env["I"] = serial["invite"]
    good(ca, "revoke", f"serial:{serial['serial']}")
    good(third, "join", good(ca, "export"))
    refused(third, "has revoked the key of this node", "join", "env:I")
    fourth = Node(w.b, "fourth")
    fourth.env["I"] = serial["invite"]
    good(fourth, "join", good(ca, "export"))
    refused(fourth, "the invite: it is revoked", "join", "env:I")


def test_network_ca_is_checked(w):
    """What create, invite, revoke and renew refuse."""
    ca, other = created(w, "--name", "admin"), Node(w.b, "other")
    good(other, "join", good(ca, "export"))
    bad = [("create",), ("create", "a", "b"), ("create", "A"), ("create", "-a"), ("create", "a" * 64), ("create", "x", "--lifetime", "1s"),
           ("create", "x", "--no-member", "--name", "x"), ("create", "x", "--ephemeral"), ("invite", "--group", "A"), ("invite", "--name", "a_b"),
           ("invite", "--name-prefix", ""), ("invite", "--group", "g" * 33), ("invite", "--lifetime", "11y"), ("invite", "--expires", "x"),
           ("invite", "--lifetime", "2d"), ("invite", "--for", "nobody"), ("invite", "--for", ca.address, "--name-prefix", "x"),
           ("invite", "--for", ca.address, "--expires", "1d"), ("invite", "--for", ca.address, "--name", "a", "--name", "b"),
           ("invite", *(f"--group=g{i}" for i in range(9))), ("invite", *(f"--name=n{i}" for i in range(5))), ("invite", "--group=a", "--group=a"),
           ("revoke", "nobody"), ("revoke", "serial:xyz"), ("revoke", ca.address[:-1]), ("revoke",), ("show", "a", "b"), ("nonsense",), ()]
    for argv in bad:
        r = network(ca, *argv)
        two_lines(r, 2)
    refused(ca, "has another network that is called acme", "create", "acme")
    refused(ca, "no member's certificate would fit", "invite", *(f"--group={i}-{'g' * 30}" for i in range(8)))
    refused(ca, 'no network "other"', "show", "other")
    refused(ca, "that is the network's own key", "revoke", show(ca)["network"])
    refused(ca, "that is the network's own key", "revoke", show(ca)["cas"][0])
    for argv in (("invite",), ("revoke", ca.address)):
        refused(other, "the key of a CA of acme is not in this home", *argv)
    refused(other, "this node is no member of acme", "renew")
    refused(Node(w.b, "empty"), "this home has no network", "members")
    at(ca, -DAY)
    for argv in (("invite",), ("renew",), ("revoke", other.address)):
        refused(ca, "the clock of this machine is wrong", *argv)
    at(ca, -60 * 365 * DAY)
    refused(ca, "the clock of this machine is wrong: it says 1970-01-01 00:00 UTC", "create", "old")


def test_network_names_that_are_revoked(w):
    """By name, by a petname, and not when that is more than one node."""
    ca, one, two = created(w), Node(w.b, "one"), Node(w.b, "two")
    good(ca, "invite", "--for", one.address, "--name", "web")
    with open(f"{ca.home}/names", "w", encoding="ascii") as f:
        f.write(f"laptop {two.address}\nweb {two.address}\n")
    refused(ca, '"web" is more than one node', "revoke", "web", code=2)
    assert good(ca, "revoke", "laptop").startswith(f"Revoked {two.address}\nNo certificate of it is known here.")
    good(ca, "invite", "--for", one.address, "--name", "db")
    assert good(ca, "revoke", "db.acme").startswith(f"Revoked {one.address} (db)")
    refused(ca, 'known as "db.other"', "revoke", "db.other", code=2)
    good(ca, "invite", "--for", ca.address, "--name", "db")  # the name goes on
    assert good(ca, "revoke", "db").startswith(f"Revoked {ca.address} (db)")
    refused(ca, '"db" is more than one node', "revoke", "db", code=2)
    states = {m["address"]: m["state"] for m in shape(ca, MEMBERS, "members")["members"]}
    assert states == {ca.address: "revoked", one.address: "revoked"}, states


def test_network_time_passes(w):
    """Warnings before and after a manifest expires; serials that expired long ago go; renewals."""
    ca, node = created(w, "--lifetime", "20d"), Node(w.b, "node")
    first, second = (shape(ca, INVITE, "invite", "--expires", e)["serial"] for e in ("1d", "100d"))
    for serial in (first, second):
        good(ca, "revoke", f"serial:{serial}")
    good(node, "join", good(ca, "export"))
    at(ca, 14 * DAY)
    assert show(ca)["manifest"]["state"] == "expiring"
    assert re.search(r"expires in [56]d\d\dh \(renew it: godwit network renew acme\)", good(ca, "show", "acme")), good(ca, "show", "acme")
    assert "(expiring)" in good(ca, "show")
    at(node, 21 * DAY)
    assert show(node)["manifest"]["state"] == "expired" and "who has the CA key has to renew it" in good(node, "show", "acme")
    late = Node(w.b, "late")
    at(late, 21 * DAY)
    r = network(late, "join", good(node, "export"))
    assert r.code == 0 and "the manifest has expired" in r.err, r
    # A member by an invite chooses its serial: that of its certificate ends no revocation.
    entry = {"what": "revoke", "address": late.address, "serial": second, "name": "", "groups": [], "until": int(time.time()) + DAY}
    with open(f"{ca.home}/networks/acme/ledger.jsonl", "a", encoding="ascii") as f:
        f.write(json.dumps(entry) + "\n")
    at(ca, 40 * DAY)
    good(ca, "renew")
    after = show(ca)
    assert after["revoked"] == {"keys": 0, "serials": 1} and after["manifest"]["state"] == "fresh", after
    assert after["manifest"]["expires"] - after["manifest"]["issued"] == 20 * DAY, after
    good(ca, "renew", "--lifetime", "1y", "--beacon", f"{node.address}@eu1.example.net")
    after = show(ca)
    assert after["manifest"]["expires"] - after["manifest"]["issued"] == 365 * DAY and len(after["beacons"]) == 1, after
    at(node, 40 * DAY)
    good(node, "join", good(ca, "export"))
    assert show(node)["manifest"]["sequence"] == after["manifest"]["sequence"] and show(node)["beacons"] == after["beacons"]
    older = good(ca, "export")
    good(ca, "revoke", node.address)
    good(node, "join", good(ca, "export"))
    good(node, "join", older)  # no news, and no harm
    assert show(node)["revoked"]["keys"] == 1


def trusting(host, name, ca):
    node = Node(host, name)
    good(node, "join", good(ca, "export"))
    return node


def held(node):
    """What the CA key of a home is to the network; whether it signs."""
    shown = show(node)
    assert shown["ca_key"] == (shown["ca"] is not None and shown["ca"]["state"] in ("network", "further")), shown
    return shown["ca"] and shown["ca"]["state"]


def test_network_further_ca(w):
    """A second home makes a key, the first endorses it, the second signs, the first takes it away."""
    ca, second, node = created(w, "--name", "admin"), Node(w.b, "second"), Node(w.b, "node")
    joined(second, good(ca, "invite"))
    good(second, "join", good(ca, "export"))
    assert held(ca) == "network" and held(second) is None
    r = network(second, "ca")
    path = f"{second.home}/networks/acme/ca.pem"
    assert r.code == 0 and re.fullmatch(rf"{ADDRESS}\n", r.out), r
    key = r.out.strip()
    assert r.err == f"godwit: made a key in {path}; it signs once it is endorsed\n  try: where the network's own key is: " \
                    f"godwit network endorse {key}\n", r.err
    again = shape(second, CA, "ca", "acme")
    assert (again["address"], again["state"], again["made"]) == (key, "waiting", False), again
    assert held(second) == "waiting" and f"a CA that is not endorsed ({key}), an invite" in good(second, "show", "acme")
    assert good(second, "show").splitlines()[1].endswith("  waiting")
    refused(second, "is not endorsed yet", "invite")
    refused(second, "is not endorsed yet", "revoke", ca.address)
    serial = show(second)["certificate"]["serial"]
    good(second, "renew")  # by the invite, all the same
    assert show(second)["certificate"]["serial"] != serial and show(second)["certificate"]["by"] == "invite"

    r = network(ca, "endorse", key)
    assert r.code == 0 and r.out == f"Endorsed {key}\n" and "godwit network export acme" in r.err, r
    sequence = show(ca)["manifest"]["sequence"]
    assert network(ca, "endorse", "acme", key).out == f"Already endorsed: {key}\n"
    again = shape(ca, ENDORSED, "endorse", key)
    assert again["already"] and again["address"] == key and again["sequence"] == sequence == show(ca)["manifest"]["sequence"], again
    assert show(ca)["cas"][1:] == [key] and f"further CA   {key}" in good(ca, "show", "acme")
    refused(second, "is not endorsed yet", "invite")  # as far as it knows
    good(second, "join", good(ca, "export"))
    assert held(second) == "further" and f"the key of a further CA ({key})" in good(second, "show", "acme")
    assert good(second, "show").splitlines()[1].endswith("  yes")
    r = network(second, "ca")
    assert (r.code, r.out, r.err) == (0, f"{key}\n", ""), r

    # Who has never met the second home checks what it has signed.
    other = trusting(w.a, "other", ca)
    word = good(second, "invite", "--for", node.address, "--name", "web", "--group", "g")
    good(node, "join", word)
    assert show(node)["certificate"]["valid"] and show(node)["certificate"]["by"] == "ca", show(node)
    rows = {m["address"]: m for m in shape(second, MEMBERS, "members")["members"]}
    assert rows[node.address]["ca"] == key and re.search(rf"CA {key[:5]}\S+ +valid", good(second, "members")), rows
    invite = shape(second, INVITE, "invite", "--group", "g")
    assert invite["ca"] == key, invite
    joined(other, invite["invite"])
    assert show(other)["certificate"]["valid"] and show(other)["certificate"]["groups"] == ["g"], show(other)
    good(second, "renew")
    assert show(second)["manifest"]["signer"] == key and show(second)["certificate"]["by"] == "ca", show(second)
    good(second, "revoke", ca.address)
    good(ca, "join", good(second, "export"))
    assert show(ca)["manifest"]["signer"] == key and show(ca)["certificate"]["refusal"] == "it is revoked", show(ca)
    refused(second, "the CA here: it cannot revoke itself", "revoke", key)

    out = good(ca, "revoke", key)
    assert out == f"Revoked {key}\nIt was a CA: what it has signed counts no more.", out
    assert show(ca)["cas"][1:] == [] and show(ca)["revoked"]["keys"] == 2
    assert good(ca, "revoke", key).startswith(f"Already revoked: {key}")
    for home in (second, node, other):
        r = network(home, "join", good(ca, "export"))
        assert r.code == 0 and "its signer is no CA of the network" in r.err, r
        assert not show(home)["certificate"]["valid"], show(home)
    refused(node, "its signer is no CA", "join", word)
    other.env["I"] = invite["invite"]
    refused(other, "the invite: its signer is no CA", "join", "env:I")
    assert {m["address"]: m["state"] for m in shape(second, MEMBERS, "members")["members"]}[node.address] == "revoked"
    assert held(second) == "revoked" and good(second, "show").splitlines()[1].endswith("  revoked")
    for argv in (("invite",), ("revoke", node.address), ("ca",)):
        refused(second, "is revoked", *argv)
    refused(ca, "this network has revoked that key", "endorse", key)
    # A new key in its place.
    os.unlink(path)
    good(ca, "endorse", good(second, "ca"))
    good(second, "join", good(ca, "export"))
    assert held(second) == "further" and good(second, "invite")
    modes(second.home)


def like(key):
    """Another key that begins as this one does, and might be one."""
    raw = bytearray(base64.b32decode(key.upper()))
    while True:
        raw[20] = (raw[20] + 1) % 256
        raw[33:] = hashlib.sha256(b"godwit address v1" + raw[:33]).digest()[:2]
        yield base64.b32encode(raw).decode().lower().rstrip("=")


def test_network_endorse_is_checked(w):
    """What endorse and ca refuse."""
    ca = created(w, "--name", "admin")
    second = trusting(w.b, "second", ca)
    keys = [good(second, "ca")]
    for i in range(3):
        keys.append(good(trusting(w.b, f"home{i}", ca), "ca"))
    for argv in (("endorse",), ("endorse", "a", "b", "c"), ("endorse", keys[0][:-1]), ("endorse", changed(keys[0], 20)), ("endorse", "nobody"),
                 ("endorse", show(ca)["network"]), ("endorse", keys[0], "--name", "x"), ("ca", "a", "b"), ("ca", "--lifetime", "1d")):
        two_lines(network(ca, *argv), 2)
    refused(ca, "that is the address of a node", "endorse", ca.address, code=2)
    refused(ca, 'no network "other"', "endorse", "other", keys[0])
    refused(ca, 'no network "other"', "ca", "other")
    refused(Node(w.b, "empty"), "this home has no network", "ca")
    refused(Node(w.b, "empty"), "this home has no network", "endorse", keys[0])
    for home in (second, trusting(w.b, "none", ca)):
        refused(home, "only the network's own key endorses", "endorse", keys[1])
    # The network's key and those of CAs differ in their first bytes.
    own = show(ca)["cas"][0]
    assert network(ca, "endorse", own).out == f"Already endorsed: {own}\n"
    for first in (own, keys[0]):
        if first != own:
            good(ca, "endorse", first)
        twin = next(k for k in like(first) if "is no key" not in network(ca, "endorse", k).err)
        refused(ca, "the same first four bytes", "endorse", twin)
    good(second, "join", good(ca, "export"))
    refused(second, "only the network's own key endorses", "endorse", keys[1])
    for key in keys[1:3]:
        good(ca, "endorse", key)
    sequence = show(ca)["manifest"]["sequence"]
    refused(ca, "acme has 3 further CAs, and no room for more", "endorse", keys[3])
    assert show(ca)["manifest"]["sequence"] == sequence and show(ca)["cas"][1:] == keys[:3]
    good(ca, "revoke", keys[1])
    good(ca, "endorse", keys[3])
    assert sorted(show(ca)["cas"][1:]) == sorted([keys[0], *keys[2:]]), show(ca)
    at(ca, -DAY)
    refused(ca, "the clock of this machine is wrong", "endorse", keys[1])


def test_network_damage(w):
    """Files that are damaged, or that others may write: one line says which, and what to do."""
    ca = created(w)
    path = f"{ca.home}/networks/acme"
    os.chmod(f"{path}/ca.pem", 0o640)
    refused(ca, "others may read", "invite")
    os.chmod(f"{path}/ca.pem", 0o600)
    os.chmod(f"{path}/manifest", 0o666)
    refused(ca, "others may write", "show", "acme")
    os.chmod(f"{path}/manifest", 0o600)
    good(ca, "create", "second")
    with open(f"{path}/chain", "wb") as f:
        f.write(b"nonsense")
    r = refused(ca, "acme/chain is damaged", "show", "acme")
    r = network(ca, "show")
    assert r.code == 0 and "second" in r.out and "acme/chain is damaged" in r.err, r
    listed = json.loads(network(ca, "show", "--json").out)["networks"]
    assert "error" in listed[0] and listed[1]["label"] == "second", listed


def test_network_beside_a_node(w):
    """Changes are no trouble for a node that runs, and none that does not know of them."""
    ca = Node(w.a, "ca")
    ca.up()
    r = network(ca, "create", "acme")
    assert r.code == 0 and r.err.count("godwit: ") == 1, r
    r = network(ca, "revoke", "serial:1")
    assert r.code == 0 and r.err == "", r
    assert ca.status()["address"] == ca.address


def test_network_at_once(w):
    """Commands at the same moment lose nothing."""
    ca = created(w)
    running = [ca.spawn("network", "revoke", f"serial:{i + 1}") for i in range(12)]
    for p in running:
        wait(lambda p=p: not p.running(), 20, "revoke")
        assert p.child.returncode == 0, p.err()
    assert show(ca)["revoked"]["serials"] == 12
