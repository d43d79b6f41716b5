# SPDX-License-Identifier: Apache-2.0
"""Small internets of network namespaces, without root: the ground for tests, demo and benchmarks.

    a (server)  10.1.K.2 --- 10.1.K.1  r  10.2.K.1 --- 10.2.K.2  b (client)

Router r has an address in every network K = 1..NETWORKS on both sides; a host "moves" by giving
up its address and taking one in another network.  `World(direct=True)` joins a and b by one
veth pair (10.9.K.1, 10.9.K.2) without a router.

enter() starts the calling script again inside private user, mount, pid and network namespaces:
whatever happens to it, every process and namespace it made goes with it."""
import contextlib
import json
import os
import pwd
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

NETWORKS = 30
TESTER_UID = 1000
INSIDE = "GODWIT_NETLAB"
TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
POLL = 0.005


class Timeout(AssertionError):
    pass


def wait(condition, seconds, what):
    """The first true value of condition(), looked at every few milliseconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"not within {seconds} s: {what}")
        time.sleep(POLL)


def binary():
    path = os.environ.get("GODWIT") or os.path.join(TOP, "build", "godwit")
    return os.path.abspath(path)


# --- namespaces ---


def can_unshare(flags):
    probe = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add probe"
    return subprocess.run(["unshare", *flags, "sh", "-c", probe], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def sbin_path():
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def enter():
    """Run the calling script again in namespaces of its own; returns inside of them.
    False when this system allows none."""
    sbin_path()
    if os.environ.get(INSIDE):
        settle()
        return True
    for mode, flags in (("user", ["-Urnmpf", "--mount-proc", "--kill-child"]),
                        ("root", ["-nmpf", "--mount-proc", "--kill-child"])):
        if can_unshare(flags):
            env = dict(os.environ, **{INSIDE: mode})
            sys.stdout.flush()
            child = subprocess.Popen(["unshare", *flags, sys.executable, *sys.argv], env=env)
            signal.signal(signal.SIGINT, lambda *_: None)  # it gets its own from the terminal
            signal.signal(signal.SIGTERM, lambda *_: child.kill())  # unshare passes no SIGTERM on; all inside end with it
            sys.exit(child.wait())
    return False


def settle():
    """Private /run (namespace names) and /etc/passwd (a user for programs that refuse uid 0)."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    os.makedirs("/run/netns")
    for what in ("add", "del"):  # the first one makes a mount of it: two at once would hide each other's
        subprocess.run(["ip", "netns", what, "first"], check=True)
    os.makedirs("/run/sshd", mode=0o755)
    os.makedirs("/run/tester", mode=0o700)
    os.chown("/run/tester", *((0, 0) if user_mode() else (TESTER_UID, TESTER_UID)))
    for name, id_line in (("passwd", f"tester:x:{TESTER_UID}:{TESTER_UID}::/run/tester:/bin/sh\n"),
                          ("group", f"tester:x:{TESTER_UID}:\n")):
        with open(f"/etc/{name}", encoding="utf-8") as f:
            lines = [x for x in f if x.split(":")[2] != str(TESTER_UID)]
        with open(f"/run/{name}", "w", encoding="utf-8") as f:
            f.writelines([*lines, id_line])
        os.chmod(f"/run/{name}", 0o644)
        subprocess.run(["mount", "--bind", f"/run/{name}", f"/etc/{name}"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def user_mode():
    return os.environ.get(INSIDE) == "user"


def as_tester(argv):
    """The same command under a uid other than 0 (PostgreSQL and sshd want one)."""
    if user_mode():
        return ["unshare", "-U", f"--map-user={TESTER_UID}", f"--map-group={TESTER_UID}", "--", *argv]
    uid, gid = tester_ids()
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--", *argv]


def tester_ids():
    """Inside the namespaces "tester" is in our own /etc/passwd; outside (loopback) borrow Debian's postgres."""
    if os.environ.get(INSIDE):
        return TESTER_UID, TESTER_UID
    entry = pwd.getpwnam("postgres")
    return entry.pw_uid, entry.pw_gid


# --- processes ---


class Process:
    """A child with its output in files, so that it can neither block nor be lost."""

    def __init__(self, argv, where, name, stdin=None, env=None, cwd=None):
        self.argv, self.name = argv, name
        self.out_path = os.path.join(where, f"{name}.out")
        self.err_path = os.path.join(where, f"{name}.err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL if stdin is None else stdin,
                                          stdout=out, stderr=err, env=env, cwd=cwd,
                                          start_new_session=True)
        self.pid = self.child.pid
        self.stdin = self.child.stdin

    def read(self, path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def out(self):
        return self.read(self.out_path)

    def err(self):
        return self.read(self.err_path)

    def out_size(self):
        return os.path.getsize(self.out_path)

    def running(self):
        return self.child.poll() is None

    def wait_out(self, pattern, seconds=10):
        """Wait for a line of stdout that matches; returns the match."""
        def look():
            found = re.search(pattern, self.out(), re.M)
            if not found and not self.running():
                found = re.search(pattern, self.out(), re.M)
                if not found:
                    raise AssertionError(f"{self.name} exited {self.child.returncode} before {pattern!r}: {self.err()[-500:]}")
            return found
        return wait(look, seconds, f"{self.name} to print {pattern!r}")

    def wait(self, seconds=10):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} did not exit within {seconds} s") from None

    def send(self, text):
        self.stdin.write(text.encode() if isinstance(text, str) else text)
        self.stdin.flush()

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self):
        """SIGTERM, and SIGKILL for its whole session when that does not do."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(3)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()
        if self.stdin:
            with contextlib.suppress(OSError):
                self.stdin.close()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def listens(self, port):
        """Does anything in this process's network namespace listen on the TCP port?"""
        try:
            for table in ("tcp", "tcp6"):
                with open(f"/proc/{self.pid}/net/{table}", encoding="ascii") as f:
                    for line in f.readlines()[1:]:
                        fields = line.split()
                        if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port:
                            return True
        except OSError:
            return False
        return False

    def wait_listens(self, port, seconds=10):
        def look():
            if self.listens(port):
                return True
            if not self.running():
                raise AssertionError(f"{self.name} exited {self.child.returncode}: {self.err()[-500:]}")
            return False
        wait(look, seconds, f"{self.name} to listen on port {port}")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}, stdout {self.out[-300:]!r}, stderr {self.err[-600:]!r}"


class Host:
    def __init__(self, world, name, prefix):
        self.world, self.name, self.prefix = world, name, prefix
        self.network = None
        self.processors = None  # a list as taskset's: what runs here stays there

    def inside(self, argv):
        if self.world.loopback:
            return list(argv)
        return [*(["taskset", "-c", self.processors] if self.processors else []), "nsenter", f"--net=/run/netns/{self.world.tag}{self.name}", "--", *argv]

    def run(self, *argv, seconds=30, data=None, env=None):
        try:
            r = subprocess.run(self.inside(argv), input=data if data is None or isinstance(data, bytes) else data.encode(),
                               stdin=subprocess.DEVNULL if data is None else None, env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{' '.join(argv[:4])}... did not end within {seconds} s") from None
        return Result(r.returncode, r.stdout.decode(errors="replace"), r.stderr.decode(errors="replace"))

    def spawn(self, *argv, name=None, stdin=None, env=None, cwd=None):
        self.world.serial += 1
        label = f"{self.world.serial:02d}-{self.name}-{name or os.path.basename(argv[0])}"
        p = Process(self.inside(argv), self.world.dir, label, stdin=stdin, env=env, cwd=cwd)
        self.world.processes.append(p)
        return p

    def ip_batch(self, *lines):
        r = self.run("ip", "-force", "-batch", "-", data="\n".join(lines) + "\n")
        assert r.code == 0, f"ip: {lines}: {r!r}"

    def address(self, network=None):
        return f"{self.prefix}.{network or self.network}.{self.number}"

    @property
    def number(self):
        return 2 if not self.world.direct else {"a": 1, "b": 2}[self.name]

    def address_lines(self, network):
        lines = [f"address add {self.address(network)}/24 dev eth0"]
        if not self.world.direct:
            lines.append(f"route replace default via {self.prefix}.{network}.1")
            if self.world.v6:
                lines.append(f"address add {self.address6(network)}/64 dev eth0 nodad")
                lines.append(f"route replace default via fd00:{self.prefix.split('.')[1]}:{network}::1")
        return lines

    def address6(self, network=None):
        return f"fd00:{self.prefix.split('.')[1]}:{network or self.network}::2"

    def move(self, network=None):
        """Leave the present network for another one.  Returns the time of the change."""
        network = network or self.network + 1
        at = time.monotonic()
        self.ip_batch("address flush dev eth0", *self.address_lines(network))
        self.network = network
        return at

    def link(self, state):
        """Up or down; the kernel drops a host's routes when its link goes down."""
        at = time.monotonic()
        if state == "up":
            self.ip_batch("link set eth0 up",
                          *([] if self.world.direct else [f"route replace default via {self.prefix}.{self.network}.1"]))
        else:
            self.ip_batch("link set eth0 down")
        return at


class World:
    count = 0

    def __init__(self, direct=False, v6=False, loopback=False, mtu=1500, keep=None):
        self.direct, self.v6, self.loopback, self.mtu = direct, v6, loopback, mtu
        World.count += 1
        self.tag = f"w{World.count}"
        self.serial = 0
        self.processes = []
        self.dir = keep or tempfile.mkdtemp(prefix="godwit-", dir="/run/tester" if os.environ.get(INSIDE) else None)
        os.chmod(self.dir, 0o755)
        if self.dir.startswith("/run/tester"):
            os.chmod("/run/tester", 0o755)
        both = "10.9" if direct else None
        self.a = Host(self, "a", both or "10.1")
        self.b = Host(self, "b", both or "10.2")

    def __enter__(self):
        if not self.loopback:
            self.build()
        return self

    def build(self):
        hosts = [self.a, self.b]
        routers = [] if self.direct else [Host(self, "r", "")]
        for h in hosts + routers:
            subprocess.run(["ip", "netns", "add", self.tag + h.name], check=True)
            h.ip_batch("link set lo up")
        if self.direct:
            subprocess.run(["ip", "link", "add", "eth0", "netns", self.tag + "a", "mtu", str(self.mtu),
                            "type", "veth", "peer", "name", "eth0", "netns", self.tag + "b"], check=True)
            for h in hosts:
                h.run("ip", "link", "set", "eth0", "mtu", str(self.mtu))
        else:
            self.r = routers[0]
            sysctl = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
            self.r.run("sh", "-c", sysctl)
            for h in hosts:
                subprocess.run(["ip", "link", "add", "eth0", "netns", self.tag + h.name, "type", "veth",
                                "peer", "name", "to_" + h.name, "netns", self.tag + "r"], check=True)
                side = h.prefix.split(".")[1]
                lines = [f"link set to_{h.name} up"]
                for k in range(1, NETWORKS + 1):
                    lines.append(f"address add {h.prefix}.{k}.1/24 dev to_{h.name}")
                    if self.v6:
                        lines.append(f"address add fd00:{side}:{k}::1/64 dev to_{h.name} nodad")
                self.r.ip_batch(*lines)
        for h in hosts:
            h.network = 1
            h.ip_batch("link set eth0 up", *h.address_lines(1))

    def forwarding(self, on):
        """Off: the router swallows everything, and no host sees a link event."""
        at = time.monotonic()
        self.r.run("sh", "-c", f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward")
        return at

    def stop_all(self):
        for p in reversed(self.processes):
            p.stop()
        self.processes.clear()

    def __exit__(self, *_):
        self.stop_all()
        if not self.loopback:
            for name in ("a", "b") if self.direct else ("a", "b", "r"):
                pids = subprocess.run(["ip", "netns", "pids", self.tag + name], stdout=subprocess.PIPE, check=False)
                for pid in pids.stdout.split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                subprocess.run(["ip", "netns", "del", self.tag + name], check=False)

    def logs(self, lines=15):
        text = []
        for name in sorted(os.listdir(self.dir)):
            path = os.path.join(self.dir, name)
            if re.search(r"\.(out|err)$", name) and os.path.getsize(path):
                with open(path, "rb") as f:
                    f.seek(max(0, os.path.getsize(path) - 3000))
                    tail = f.read().decode(errors="replace").splitlines()[-lines:]
                text += [f"    {name}| {x[:300]}" for x in tail]
        return "\n".join(text)


# --- godwit ---


def plain_environment():
    """Ours without the settings of whoever runs this."""
    keep = ("GODWIT_NO_OFFLOAD", "GODWIT_NO_SANDBOX", INSIDE)
    return {k: v for k, v in os.environ.items()
            if (not k.startswith("GODWIT_") or k in keep) and k.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")}


class Node:
    """One home on one host."""

    def __init__(self, host, name):
        self.host, self.name, self.world = host, name, host.world
        self.home = os.path.join(self.world.dir, "home-" + name)
        self.env = dict(plain_environment(), GODWIT_HOME=self.home)
        self.process = None

    def run(self, *args, seconds=30, data=None):
        return self.host.run(binary(), *args, seconds=seconds, data=data, env=self.env)

    def ok(self, *args, seconds=30, data=None):
        r = self.run(*args, seconds=seconds, data=data)
        assert r.code == 0, f"godwit {' '.join(args)}: {r!r}"
        return r.out.strip()

    def spawn(self, *args, stdin=None):
        return self.host.spawn(binary(), *args, name=f"{self.name}-{args[0]}", stdin=stdin, env=self.env)

    def argv(self, *args):
        return ["env", f"GODWIT_HOME={self.home}", binary(), *args]

    @property
    def address(self):
        return self.ok("id").split()[-1]

    def up(self, *args):
        """`godwit up` in the background, ready."""
        self.process = self.spawn("up", *args)
        self.process.wait_out(r"^ready n[a-z2-7]{55}$")
        return self

    def expose(self, target, service, allow="any", *args):
        """`godwit expose` in the background; returns the destination it tells people to use."""
        self.process = self.spawn("expose", target, "--as", service, "--allow", allow, *args)
        return self.process.wait_out(r"godwit forward \S+ (t[a-z2-7]+/\S+)").group(1)

    def forward(self, listen, destination, *args):
        self.process = self.spawn("forward", listen, destination, *args)
        if listen.startswith("unix:"):
            wait(lambda: os.path.exists(listen[5:]) or self.check_alive(), 10, f"{listen} to appear")
        else:
            self.process.wait_listens(int(listen.split(":")[-1]))
        return self.process

    def check_alive(self):
        if not self.process.running():
            raise AssertionError(f"{self.process.name} exited {self.process.child.returncode}: {self.process.err()[-500:]}")

    def ticket(self, service):
        return self.ok("ticket", "--service", service).split()[-1]

    def status(self):
        r = self.run("status", "--json")
        assert r.code == 0, f"godwit status: {r!r}"
        return json.loads(r.out)

    def peer(self):
        """The first peer of `status --json`, or an empty object."""
        return (self.status()["peers"] or [{}])[0]

    def wait_path(self, endpoint_prefix, seconds=15):
        def look():
            path = self.peer().get("path") or {}
            return path.get("endpoint", "").startswith(endpoint_prefix)
        wait(look, seconds, f"{self.name}'s path to its peer to be {endpoint_prefix}")


# --- PostgreSQL ---


def pg_bin():
    best = max((p for p in os.listdir("/usr/lib/postgresql") if p.isdigit()), key=int, default=None) \
        if os.path.isdir("/usr/lib/postgresql") else None
    assert best, "no PostgreSQL: apt-get install postgresql"
    return f"/usr/lib/postgresql/{best}/bin"


class Postgres:
    """A cluster of its own in the world's directory, on one TCP port of 127.0.0.1."""

    def __init__(self, host, port=5432):
        self.host, self.port = host, port
        self.data = os.path.join(host.world.dir, "pg")
        os.mkdir(self.data, 0o700)
        self.wrap = as_tester if os.geteuid() == 0 else lambda argv: argv
        if os.geteuid() == 0 and not user_mode():
            os.chown(self.data, *tester_ids())
        env = dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8", PGTZ="UTC")
        r = self.run("initdb", "-D", self.data, "-U", "godwit", "-A", "trust", "--no-sync", "-E", "UTF8", env=env)
        assert r.code == 0, f"initdb: {r!r}"
        self.process = host.spawn(*self.wrap([f"{pg_bin()}/postgres", "-D", self.data, "-p", str(port), "-k", self.data,
                                              "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                                              "-c", "max_connections=300", "-c", "shared_buffers=16MB"]),
                                  name="postgres", env=env)
        wait(lambda: self.ready(), 30, "PostgreSQL to be ready")

    def run(self, program, *args, env=None):
        return self.host.run(*self.wrap([f"{pg_bin()}/{program}", *args]), seconds=60, env=env)

    def ready(self):
        assert self.process.running(), f"postgres: {self.process.err()[-500:]}"
        return self.run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "godwit").code == 0


class Psql:
    """ONE psql session, fed line by line."""

    def __init__(self, host, port, name="psql"):
        self.process = host.spawn(f"{pg_bin()}/psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(port),
                                  "-U", "godwit", "-d", "postgres", "-v", "ON_ERROR_STOP=1", name=name,
                                  stdin=subprocess.PIPE, env=dict(os.environ, PGCONNECT_TIMEOUT="20"))
        self.seen = 0
        self.marks = 0

    def query(self, sql, seconds=30):
        """Run statements; returns the text they print."""
        self.marks += 1
        mark = f"--mark-{self.marks}--"
        self.process.send(f"{sql}\n\\echo {mark}\n")

        def look():
            out = self.process.out()[self.seen:]
            if mark in out:
                return out
            if not self.process.running():
                raise AssertionError(f"psql ended: {self.process.err()[-500:]}")
            return None
        out = wait(look, seconds, f"the answer to {sql!r}")
        self.seen += out.index(mark) + len(mark) + 1
        return out[:out.index(mark)].strip()


# --- other tools ---


def sshd(host, address="127.0.0.1"):
    """An sshd of our own for one user; returns (user, client options)."""
    d = os.path.join(host.world.dir, "ssh")
    os.makedirs(d, mode=0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{d}/{key}"], check=True)
    os.rename(f"{d}/user.pub", f"{d}/authorized")
    with open(f"{d}/config", "w", encoding="utf-8") as f:
        f.write(f"Port 2222\nListenAddress {address}\nHostKey {d}/host\nAuthorizedKeysFile {d}/authorized\n"
                "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\n")
    wrap = as_tester
    if not user_mode():
        for root, _, names in os.walk(d):
            for path in [root, *[os.path.join(root, n) for n in names]]:
                os.chown(path, TESTER_UID, TESTER_UID)
    p = host.spawn(*wrap(["/usr/sbin/sshd", "-D", "-e", "-f", f"{d}/config"]), name="sshd")
    p.wait_listens(2222)
    return "tester", ["-i", f"{d}/user", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                      "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]


def random_file(path, size):
    import hashlib
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        while size > 0:
            block = os.urandom(min(size, 1 << 20))
            digest.update(block)
            f.write(block)
            size -= len(block)
    return digest.hexdigest()


def sha256_file(path):
    import hashlib
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def udp_socket_in(host):
    """A UDP socket that lives in a host's namespace (setns is not in Python 3.11)."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    code = ("import array,socket,sys;"
            "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
            "socket.socket(fileno=int(sys.argv[1])).sendmsg([b'x'],"
            "[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[s.fileno()]))])")
    subprocess.run(host.inside([sys.executable, "-c", code, str(right.fileno())]), pass_fds=[right.fileno()], check=True)
    _, fds, _, _ = socket.recv_fds(left, 1, 1)
    left.close()
    right.close()
    return socket.socket(fileno=fds[0])


def capture_in(router, interface):
    """A packet socket in the router's namespace: yields (ip payload) of IPv4 datagrams."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    code = ("import array,socket,sys;"
            "s=socket.socket(socket.AF_PACKET,socket.SOCK_DGRAM,socket.htons(0x0800));"
            "s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,8<<20);s.bind((sys.argv[2],0x0800));"
            "socket.socket(fileno=int(sys.argv[1])).sendmsg([b'x'],"
            "[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[s.fileno()]))])")
    subprocess.run(router.inside([sys.executable, "-c", code, str(right.fileno()), interface]),
                   pass_fds=[right.fileno()], check=True)
    _, fds, _, _ = socket.recv_fds(left, 1, 1)
    left.close()
    right.close()
    return socket.socket(fileno=fds[0])


def udp_payload(packet):
    """UDP payload of an IPv4 packet, or None."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != 17:
        return None
    header = (packet[0] & 15) * 4
    length = struct.unpack("!H", packet[header + 4:header + 6])[0]
    return packet[header + 8:header + max(length, 8)]
