# SPDX-License-Identifier: Apache-2.0
"""An allowed peer whose candidates are somebody else's addresses: what goes there is counted at their network."""
import subprocess

from attacker import Tap, exact_lines, flows, program
from netlab import Node, wait
from test_beacon import Beacon
from test_moves import helper

BESIDE = True
SECONDS = 9  # less than the 15 s after which a dialler begins its second round
VICTIMS = "192.0.2."
# docs/threat-model.md: probes of 31 bytes, 8 addresses x 7 in a round, 8 rounds in a row and one each 5 s.
PROBE, PROBE_SIZE, ROUND = 0x23, 31, 8 * 7
ROUNDS = 8 + SECONDS // 5


class Liar(Node):
    """A node of attack/liar.c: it names victims, and nothing but them, a hundred times a second."""

    def spawn(self, *args, stdin=None):
        return self.host.spawn(program("liar"), *args, name=f"{self.name}-{args[0]}", stdin=stdin, env=self.env)


def relayed(w, offers, dials):
    """A drip from `offers` to `dials` through a beacon; returns its reader, what went to the victims, and who they were."""
    w.forwarding(False)
    # A new address is a network event, at which there may be a round more.
    wait(lambda: not w.a.run("ip", "-6", "address", "show", "tentative").out, 10, "the host's own addresses")
    w.r.ip_batch(*[f"address add {VICTIMS}{n}/32 dev lo" for n in range(1, 9)])
    beacon, tap = Beacon(w), Tap(w, "to_a")
    helper(offers.host, "drip", 7000, 10)
    offers.up("--beacon", beacon.text, "--expose", "drip=7000", "--allow", "any")
    reader = dials.spawn("connect", f"{offers.address}/drip", "--beacon", beacon.text, stdin=subprocess.PIPE)
    reader.wait_out(r"^line 10$")
    got = tap.answers(at_victim, SECONDS)
    flows(reader)
    return reader, got


def at_victim(d):
    return d.to.startswith(VICTIMS)


def harmless(got, rounds):
    assert {(d.data[0], len(d.data)) for d in got} == {(PROBE, PROBE_SIZE)}, {(d.data[0], len(d.data)) for d in got}
    assert len({d.to for d in got}) == 8, "not all are asked"
    assert ROUND <= len(got) <= rounds * ROUND, (len(got), rounds)


def test_attack_candidates_of_a_dialler(w):
    """It begins a hundred rounds a second: the node takes part in eight, and one each five seconds, with probes alone."""
    server, liar = Node(w.a, "server"), Liar(w.b, "liar")
    reader, got = relayed(w, server, liar)
    harmless(got, ROUNDS)
    assert exact_lines(reader) and server.peer()["path"]["kind"] == "relay", server.peer()


def test_attack_candidates_of_an_accepter(w):
    """It answers a round a hundred times a second: the node asks each address seven times."""
    client, liar = Node(w.a, "client"), Liar(w.b, "liar")
    reader, got = relayed(w, liar, client)
    harmless(got, 1)
    assert exact_lines(reader)
