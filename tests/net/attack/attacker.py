# SPDX-License-Identifier: Apache-2.0
"""What an attacker has in the namespaces: sockets that forge, and ears on the wire."""
import collections
import os
import select
import socket
import struct
import subprocess
import sys
import time

from netlab import Node, binary, wait
from packets import INITIAL, Hello, Identity, Long, key_of
from test_moves import helper

PORT = 5000  # of the node that is attacked
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
KEY_UNPROVEN = 16  # handshakes of a key, before a Retry answers it
LATER = 4300  # port of its host, from where outlast() knocks

Datagram = collections.namedtuple("Datagram", "source sport to port data")


def socket_in(host, make, *more):
    """A socket that `make`, an expression, makes in a host's namespace."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    code = ("import array,socket,sys\n"
            f"s={make}\n" + "".join(f"s.{x}\n" for x in more) +
            "socket.socket(fileno=int(sys.argv[1])).sendmsg([b'x'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[s.fileno()]))])")
    subprocess.run(host.inside([sys.executable, "-c", code, str(right.fileno())]), pass_fds=[right.fileno()], check=True)
    _, fds, _, _ = socket.recv_fds(left, 1, 1)
    left.close()
    right.close()
    return socket.socket(fileno=fds[0])


def udp_in(host, address="0.0.0.0", port=0):
    return socket_in(host, "socket.socket(socket.AF_INET,socket.SOCK_DGRAM)", f"bind(({address!r},{port}))")


def program(name):
    """One of this directory's, as it was built."""
    return os.path.join(os.path.dirname(os.path.realpath(binary())), "..", "..", "tests", "net", name)


class Forger:
    """Sends datagrams of whatever source."""

    def __init__(self, host):
        self.socket = socket_in(host, "socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_RAW)")

    def send(self, source, sport, to, port, data):
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
        self.socket.sendto(ip + struct.pack(">HHHH", sport, port, 8 + len(data), 0) + data, (to, 0))

    def repeat(self, d, **changes):
        self.send(*d._replace(**changes))


class Tap:
    """All that goes over one of the router's interfaces, both ways."""

    def __init__(self, world, interface):
        self.socket = socket_in(world.r, "socket.socket(socket.AF_PACKET,socket.SOCK_DGRAM,socket.htons(3))",
                                "setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,8<<20)", f"bind(({interface!r},3))")
        self.socket.setblocking(False)

    def take(self):
        """The UDP datagrams since the last time; without those that the kernel has cut, or joined in one."""
        out = []
        while True:
            try:
                packet, where = self.socket.recvfrom(65536)
            except BlockingIOError:
                return out
            if where[1] != 0x0800 or len(packet) < 28 or packet[9] != 17:
                continue
            at = (packet[0] & 15) * 4
            sport, port, size = struct.unpack(">HHH", packet[at:at + 6])
            out.append(Datagram(socket.inet_ntoa(packet[12:16]), sport, socket.inet_ntoa(packet[16:20]), port, packet[at + 8:at + size]))

    def hear(self, seconds, match):
        """What matches, within that time."""
        end, out = time.monotonic() + seconds, []
        while time.monotonic() < end:
            select.select([self.socket], [], [], max(0, end - time.monotonic()))
            out += [d for d in self.take() if match(d)]
        return out

    def answers(self, match, seconds=0):
        """What matches: something, and what comes within that time after it."""
        first = []

        def look():
            first.extend(d for d in self.take() if match(d))
            return first
        wait(look, 10, "an answer")
        return first + self.hear(seconds, match)


def cpu_s(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class Guard:
    """The memory of a process grows by at most so many KiB."""

    def __init__(self, process, kib):
        self.process, self.kib = process, kib

    def __enter__(self):
        self.before, self.cpu = self.process.rss_kib(), cpu_s(self.process)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            assert self.process.running(), self.process.err()[-500:]
            grown = self.process.rss_kib() - self.before
            assert grown <= self.kib, f"{self.process.name} has grown by {grown} KiB"
            self.cpu = cpu_s(self.process) - self.cpu


def exact_lines(reader):
    """The number of whole lines of a drip; none is lost, repeated or out of order."""
    got = reader.out().split("\n")[:-1]
    assert got == [f"line {n + 1}" for n in range(len(got))], "lines were lost, repeated or reordered"
    assert reader.running(), f"connect ended: {reader.err()}"
    return len(got)


def flows(reader, seconds=5, lines=10):
    start = exact_lines(reader)
    wait(lambda: exact_lines(reader) >= start + lines, seconds, "the stream to go on")


def plain(host, name):
    """A node whose datagrams go one by one, so that a tap sees each."""
    node = Node(host, name)
    node.env["GODWIT_NO_OFFLOAD"] = "1"
    return node


class Target:
    """A node on a with a service "drip" that one member may use, and that member on b."""

    def __init__(self, w, *more):
        self.w = w
        helper(w.a, "drip", 7000, 10)
        self.server, self.client = plain(w.a, "server"), plain(w.b, "client")
        self.member = self.client.address
        self.server.up("--listen", f"{w.a.address()}:{PORT}", "--expose", "drip=7000", "--allow", self.member, *more)
        self.address, self.key = self.server.address, key_of(self.server.address)
        self.at = (w.a.address(), PORT)
        self.process = self.server.process

    def who(self):
        """The member's key, as somebody has it who is the member."""
        return Identity.of_home(self.client.home)

    def read(self):
        """The member reads the drip; returns the process."""
        reader = self.client.spawn("connect", self.server.ticket("drip"), stdin=subprocess.PIPE)
        reader.wait_out(r"^line 10$")
        return reader

    def outlast(self, who):
        """Until all handshakes of that key which are in progress now have been given up.  A key has 16 at most, and
        they end in order: when 16 that were begun later have been answered, no older one is left."""
        tap, forger, fresh, begun = Tap(self.w, "to_a"), Forger(self.w.b), set(), set()

        def look():
            hello = Hello(who, self.key)
            fresh.add(hello.scid)
            forger.send(self.w.b.address(), LATER, *self.at, hello.packet)
            for d in tap.hear(0.05, lambda d: d.source == self.at[0] and d.port == LATER and d.data[0] & 0x80):
                long = Long(d.data)
                if long.kind == INITIAL and long.dcid in fresh:
                    begun.add(long.dcid)
            return len(begun) >= KEY_UNPROVEN
        wait(look, 20, "the handshakes to be given up")

    def hear_all(self, sender, packets):
        """Send them, so that none is lost: a hundred at a time, which its socket holds."""
        before = self.datagrams()["received"]
        for i in range(0, len(packets), 100):
            for packet in packets[i:i + 100]:
                sender(packet)
            wait(lambda: self.datagrams()["received"] - before >= min(i + 100, len(packets)), 10, "all to be received")

    def datagrams(self):
        return self.server.status()["datagrams"]

    def peers(self):
        return self.server.status()["peers"]


# --- floods ---


def flood_file(w, name, packets):
    path = os.path.join(w.dir, name)
    with open(path, "wb") as f:
        for p in packets:
            f.write(struct.pack(">H", len(p)) + p)
    return path


class Flood:
    """`flood`, from the router, with sources in 198.18.0.0/15 unless `sources` says others."""

    def __init__(self, w, to, path, rate, seconds, random=(0, 0), sources=("198.18.0.0", 15)):
        self.rate, self.seconds = rate, seconds
        self.process = w.r.spawn(program("flood"), sources[0], str(sources[1]), to[0], str(to[1]), str(rate), str(seconds), path,
                                 str(random[0]), str(random[1]), name="flood")
        self.process.wait_out("^flooding$")

    def sent(self):
        """The datagrams a second, when it is over."""
        return int(self.process.wait_out(r"^sent (\d+)$", self.seconds + 10)[1]) / self.seconds
