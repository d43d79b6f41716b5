# SPDX-License-Identifier: Apache-2.0
"""Ports asked of the laboratory's NATs, which speak NAT-PMP when told to."""
import os
import re
import subprocess

from netlab import TOP, binary

LAB = os.path.join(TOP, "tests", "lab", "lab")
PORT = 41641
BESIDE = True
# The program in the background, its outcome, the NAT's table; the same after it has ended.
SCRIPT = """
table() { lab nat %(site)s dump | grep -c ':%(port)d -> ' || true; }
lab spawn a pm %(program)s %(port)d >/dev/null
until lab log a pm | grep -Eq '^(mapped|none)'; do sleep 0.02; done
echo "before $(table)"
lab kill a pm
lab log a pm
echo "after $(table)"
"""


def ask(sites, site="A"):
    program = os.path.join(os.path.dirname(binary()), "tests", "net", "portmap")
    assert os.access(program, os.X_OK), f"no {program}"
    script = SCRIPT % {"site": site, "port": PORT, "program": program}
    r = subprocess.run([LAB, "run", "-e", "server srv\n" + sites, "--", "sh", "-c", script], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert r.returncode == 0, f"lab: {r.stderr[-800:]}"
    return r.stdout


def shows(text, pattern):
    assert re.search(pattern, text, re.M), f"no {pattern!r} in {text!r}"


def test_portmap_nat_pmp(_):
    """A NAT that speaks NAT-PMP gives a port, and gets it back when the program ends."""
    text = ask("site A eim-apdf natpmp=on hosts=a")
    shows(text, rf"^mapped nat-pmp 198\.51\.100\.6:{PORT} nested=0")
    shows(text, "^  pcp: absent the gateway speaks another version")
    shows(text, "^before 1$")
    shows(text, "^after 0$")


def test_portmap_behind_two_nats(_):
    """A port of a NAT behind a carrier's NAT is marked as nested."""
    shows(ask("site A double natpmp=on hosts=a"), rf"^mapped nat-pmp 100\.64\.\d+\.\d+:{PORT} nested=1")


def test_portmap_nobody_answers(_):
    """A NAT that speaks nothing of the kind: no mapping, and the reasons."""
    text = ask("site A eim-apdf hosts=a")
    shows(text, "^none none - nested=0 no gateway speaks PCP, NAT-PMP or UPnP")
    shows(text, "^  nat-pmp: absent no answer")
    shows(text, "^  upnp: absent no gateway device answers")
    shows(text, "^before 0$")
