# SPDX-License-Identifier: Apache-2.0
"""What a user found by trying: the right exit status, at once, and a message that says what is wrong."""
import json

from netlab import Node, wait


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
