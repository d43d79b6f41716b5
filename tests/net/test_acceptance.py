# SPDX-License-Identifier: Apache-2.0
"""What a user found by trying: the right exit status, at once, and a message that says what is wrong."""
import json
import re
import signal
import time

from netlab import Node, wait
from test_beacon import pair
from test_services import two_lines


def test_acceptance_relay_only_without_beacon(w):
    """--relay-only does not use the endpoints of a ticket: without a beacon nothing is left, and the commands say so at once."""
    ticket = Node(w.a, "server").expose("7000", "echo").split("/")[0]
    client = Node(w.b, "client")
    for argv in (["ping", ticket, "-c", "1"], ["connect", f"{ticket}/echo"], ["forward", "0", f"{ticket}/echo"]):
        r = client.run(*argv, "--relay-only", seconds=10)
        assert r.code == 4 and "godwit: there is no beacon" in r.err, repr(r)
        r = client.run(*argv, "--relay-only", "--json", seconds=10)
        assert r.code == 4 and json.loads(r.out.splitlines()[-1])["error"]["code"] == "unreachable", repr(r)


test_acceptance_relay_only_without_beacon.world = {"direct": True}


def test_acceptance_relay_only_offer(w):
    """A ticket that holds neither endpoints nor beacons is of no use to anybody."""
    server = Node(w.a, "server")
    server.expose("7000", "echo", "any", "--relay-only")
    wait(lambda: "nobody can reach this" in server.process.err(), 5, "the warning")


test_acceptance_relay_only_offer.world = {"direct": True}


def test_acceptance_netcheck_signals(w):
    """Ctrl-C ends netcheck with 130, SIGTERM with 0, both at once and without half a result."""
    beacon = f"{Node(w.a, 'server').address}@10.9.1.1:4999/4999"  # nobody answers there
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)):
        client = Node(w.b, f"client{number}")
        p = client.spawn("netcheck", "--beacon", beacon, "--timeout", "60")
        wait(lambda: caught(p.child.pid, number), 10, "netcheck to be in the middle of it")
        at = time.monotonic()
        p.signal(number)
        wait(lambda: not p.running(), 5, "netcheck to end")
        assert p.child.returncode == status and p.out() == "", (number, p.child.returncode, p.out())
        assert time.monotonic() - at < 4


def caught(pid, number):
    """Blocked by the process: it reads the signal itself."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        mask = next(int(line.split()[1], 16) for line in f if line.startswith("SigBlk"))
    return mask >> (number - 1) & 1


test_acceptance_netcheck_signals.world = {"direct": True}


def test_acceptance_every_silent_beacon(w):
    """Eight beacons that do not answer: the message names all, and why, and is not cut."""
    key = Node(w.a, "server").address
    beacons = [f"--beacon={key}@10.9.1.1:{port}/{port}" for port in range(5001, 5009)]
    r = Node(w.b, "client").run("ping", key, "-c", "1", *beacons)
    two_lines(r, 4)
    what = r.err.splitlines()[0]
    assert what.count("(TLS: 10.9.1.1:") == 8 and what.endswith(")"), what


test_acceptance_every_silent_beacon.world = {"direct": True}


def test_acceptance_why_of_a_visitor(w):
    """Who has only a ticket cannot tell how others see it; that does not mean that its UDP is blocked."""
    _, server, client = pair(w)
    ticket = server.ticket("echo")
    client.spawn("ping", ticket)
    why = wait(lambda: (server.peer().get("path") or {}).get("why", "").removeprefix("looking for a direct path"), 10, "a reason")
    assert why == "the peer tells only local addresses", why


def test_acceptance_home_cannot_be_made(w):
    """The reason is told, not that what could not be made is missing."""
    r = Node(w.a, "node").run("id", "--home", "/sys/godwit")
    two_lines(r, 1)
    assert re.search("not permitted|denied", r.err), r.err


test_acceptance_home_cannot_be_made.world = {"loopback": True}
