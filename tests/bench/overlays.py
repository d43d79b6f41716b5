# SPDX-License-Identifier: Apache-2.0
"""Overlays between two hosts: godwit, and every peer that comes from Debian or npm.

Each makes the TCP ports PORTS of host a reachable from host b: a forward at 127.0.0.1, a VPN at the
address of its own that host a has. What listens on a has to bind to `bind`, b connects to `target`.

    make()     keys and configuration
    server()   a's side; returns when it is ready
    client()   b's side; returns at once"""
import json
import os
import re
import shutil
import subprocess

from common import HERE, WORK, say
from netlab import Node, binary, sshd, wait

IPERF, ECHO, FLOW_PORT = PORTS = (5201, 7007, 7008)
NPM = os.path.join(WORK, "npm")


def output(*argv, **more):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True, **more).stdout


class Overlay:
    name, package, commands, tun = "", "", (), False
    target = bind = "127.0.0.1"

    def __init__(self, world):
        self.w, self.a, self.b = world, world.a, world.b
        self.processes = []
        self.dir = os.path.join(world.dir, "overlay")
        os.makedirs(self.dir, exist_ok=True)

    @classmethod
    def missing(cls):
        """Why it cannot be measured here, or None."""
        for command in cls.commands:
            if not shutil.which(command):
                return f"{cls.package} is not installed"
        if cls.tun and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            return "no access to /dev/net/tun"
        return None

    @classmethod
    def version(cls):
        try:
            return output("dpkg-query", "-W", "-f=${Version}", cls.package)
        except (OSError, subprocess.CalledProcessError):
            return "?"

    def make(self):
        pass

    def server(self):
        pass

    def client(self):
        pass

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def run(self, host, *argv, **more):
        p = host.spawn(*argv, **more)
        self.processes.append(p)
        return p

    def wait_address(self, host):
        """The interface of a VPN's daemon is there, with its address."""
        def look():
            assert all(p.running() for p in self.processes), f"{self.name} ended: {self.w.logs(3)}"
            return re.search(rf"inet6? {re.escape(self.bind)}/", host.run("ip", "address").out)
        wait(look, 15, f"{self.name}'s address {self.bind}")

    def certificate(self, name):
        """A key and a self-signed certificate: NAME.key, NAME.crt."""
        path = os.path.join(self.dir, name)
        output("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
               "-keyout", path + ".key", "-out", path + ".crt")
        return path


class Vpn(Overlay):
    """On a host with the address `target` at a and `near` at b."""
    tun, target, near = True, "10.77.0.1", "10.77.0.2"

    @property
    def bind(self):
        return self.target


# --- forwards ---


class Godwit(Overlay):
    name, flags, env = "godwit", (), {}

    @classmethod
    def version(cls):
        return output(binary(), "--version").split()[-1]

    def make(self):
        self.nodes = Node(self.a, "server"), Node(self.b, "client")
        for node in self.nodes:
            node.env.update(self.env)
            node.ok("id")

    def up(self, node, *args):
        self.processes.append(node.spawn("up", *args, *self.flags))
        return self.processes[-1]

    def server(self):
        services = [x for port in PORTS for x in ("--expose", f"s{port}={port}")]
        self.up(self.nodes[0], *services, "--allow", "any").wait_out("^ready ")
        self.ticket = self.nodes[0].ok("ticket").split()[-1]

    def client(self):
        self.up(self.nodes[1], *(x for port in PORTS for x in ("--forward", f"{port}={self.ticket}/s{port}")))


class GodwitCubic(Godwit):
    name, flags = "godwit, CUBIC", ("--congestion", "cubic")


class GodwitPlain(Godwit):
    name, env = "godwit, no GSO or GRO of its own", {"GODWIT_NO_OFFLOAD": "1"}


class Socat(Overlay):
    name, package, commands = "socat TLS", "socat", ("socat", "openssl")

    def make(self):
        self.path = self.certificate("server")

    def server(self):
        for port in PORTS:
            p = self.run(self.a, "socat", "-b65536", f"OPENSSL-LISTEN:{port + 10000},bind={self.a.address()},reuseaddr,fork,nodelay,verify=0,"
                         f"cert={self.path}.crt,key={self.path}.key", f"TCP:127.0.0.1:{port},nodelay")
            p.wait_listens(port + 10000)

    def client(self):
        for port in PORTS:
            self.run(self.b, "socat", "-b65536", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay",
                     f"OPENSSL:{self.a.address()}:{port + 10000},nodelay,cafile={self.path}.crt,commonname=server")


class SocatPlain(Socat):
    name, commands = "socat, no TLS", ("socat",)

    def make(self):
        pass

    def server(self):
        for port in PORTS:
            p = self.run(self.a, "socat", "-b65536", f"TCP-LISTEN:{port + 10000},bind={self.a.address()},reuseaddr,fork,nodelay",
                         f"TCP:127.0.0.1:{port},nodelay")
            p.wait_listens(port + 10000)

    def client(self):
        for port in PORTS:
            self.run(self.b, "socat", "-b65536", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay",
                     f"TCP:{self.a.address()}:{port + 10000},nodelay")


class Ssh(Overlay):
    name, package, commands, flags = "ssh -L, its default cipher", "openssh-server", ("ssh", "sshd", "ssh-keygen"), ()

    def server(self):
        self.user, self.options = sshd(self.a, self.a.address())
        self.processes.append(self.w.processes[-1])

    def client(self):
        forwards = [x for port in PORTS for x in ("-L", f"127.0.0.1:{port}:127.0.0.1:{port}")]
        self.run(self.b, "ssh", *self.options, *self.flags, "-N", "-p", "2222", *forwards, f"{self.user}@{self.a.address()}")


class SshGcm(Ssh):
    name, flags = "ssh -L, aes256-gcm", ("-c", "aes256-gcm@openssh.com")


class Npm(Overlay):
    """tests/bench/forward.mjs"""
    commands, anywhere = ("node",), False

    @classmethod
    def missing(cls):
        found = os.path.isdir(os.path.join(NPM, "node_modules", *cls.package.split("/")))
        return super().missing() or (None if found else f"npm did not install {cls.package}")

    @classmethod
    def version(cls):
        with open(os.path.join(NPM, "node_modules", *cls.package.split("/"), "package.json"), encoding="utf-8") as f:
            return json.load(f)["version"]

    def node(self, host, role, address, *args):
        return self.run(host, "node", os.path.join(HERE, "forward.mjs"), self.package.split("/")[-1], role, address, *map(str, PORTS), *args,
                        cwd=NPM, env=dict(os.environ, NODE_NO_WARNINGS="1"))

    def server(self):
        self.told = self.node(self.a, "server", self.a.address()).wait_out(r"^(\{.*\})$", 20).group(1)

    def client(self):
        self.node(self.b, "client", "any", self.told)


class Iroh(Npm):
    name, package = "iroh", "@number0/iroh"


class Hyperdht(Npm):
    name, package = "hyperdht", "hyperdht"


# --- VPNs ---


class Yggdrasil(Vpn):
    name, package, commands = "Yggdrasil", "yggdrasil", ("yggdrasil",)

    def make(self):
        at = f"tcp://{self.a.address()}:9001"
        for host, extra in (("a", {"Listen": [at]}), ("b", {"Peers": [at]})):
            config = json.loads(output("yggdrasil", "-genconf", "-json"))
            config.update({"AdminListen": "none", "MulticastInterfaces": [], "IfName": "ygg0"}, **extra)
            self.file(host, json.dumps(config))
        self.target = output("yggdrasil", "-useconffile", f"{self.dir}/a", "-address").strip()

    def server(self):
        self.run(self.a, "yggdrasil", "-useconffile", f"{self.dir}/a")
        self.wait_address(self.a)

    def client(self):
        self.run(self.b, "yggdrasil", "-useconffile", f"{self.dir}/b")


class Nebula(Vpn):
    """a is the lighthouse, too: it learns where b has gone."""
    name, package, commands = "nebula", "nebula", ("nebula", "nebula-cert")

    def make(self):
        output("nebula-cert", "ca", "-name", "bench", cwd=self.dir)
        for host, address in (("a", self.target), ("b", self.near)):
            output("nebula-cert", "sign", "-name", host, "-ip", address + "/24", cwd=self.dir)
            every = [{"port": "any", "proto": "any", "host": "any"}]
            self.file(host + ".yml", json.dumps({
                "pki": {"ca": f"{self.dir}/ca.crt", "cert": f"{self.dir}/{host}.crt", "key": f"{self.dir}/{host}.key"},
                "static_host_map": {self.target: [f"{self.a.address()}:4242"]},
                "lighthouse": {"am_lighthouse": host == "a", "interval": 10, "hosts": [] if host == "a" else [self.target]},
                "listen": {"host": "0.0.0.0", "port": 4242}, "punchy": {"punch": True, "respond": True}, "cipher": "aes",
                "tun": {"dev": "neb0", "mtu": 1300}, "firewall": {"outbound": every, "inbound": every}}))

    def server(self):
        self.run(self.a, "nebula", "-config", f"{self.dir}/a.yml")
        self.wait_address(self.a)

    def client(self):
        self.run(self.b, "nebula", "-config", f"{self.dir}/b.yml")


class Tinc(Vpn):
    name, package, commands = "tinc", "tinc", ("tincd",)

    def make(self):
        for host, address in (("a", self.target), ("b", self.near)):
            self.file(f"{host}/tinc.conf", f"Name = {host}\nDevice = /dev/net/tun\nInterface = tinc0\nAddressFamily = ipv4\n"
                      + ("ConnectTo = a\n" if host == "b" else ""))
            self.file(f"{host}/hosts/{host}", f"Subnet = {address}/32\n" + (f"Address = {self.a.address()}\n" if host == "a" else ""))
            os.chmod(self.file(f"{host}/tinc-up", f"#!/bin/sh\nip address add {address}/24 dev $INTERFACE\nip link set $INTERFACE up\n"), 0o755)
            output("tincd", "-c", f"{self.dir}/{host}", "-K2048", stdin=subprocess.DEVNULL)
        for host, other in ("ab", "ba"):
            shutil.copy(f"{self.dir}/{host}/hosts/{host}", f"{self.dir}/{other}/hosts/{host}")

    def daemon(self, host):
        self.run(host, "tincd", "-D", "-c", f"{self.dir}/{host.name}", f"--pidfile={self.dir}/{host.name}.pid")

    def server(self):
        self.daemon(self.a)
        self.wait_address(self.a)

    def client(self):
        self.daemon(self.b)


class N2n(Vpn):
    name, package, commands = "n2n", "n2n", ("supernode", "edge")

    def edge(self, host, address, port):
        self.run(host, "edge", "-d", "n2n0", "-a", address, "-s", "255.255.255.0", "-c", "bench", "-k", "secret", "-l", f"{self.a.address()}:7654",
                 "-p", str(port), "-m", f"02:00:00:00:76:0{address[-1]}")

    def server(self):
        self.run(self.a, "supernode", "-l", "7654")
        self.edge(self.a, self.target, 50001)
        self.wait_address(self.a)

    def client(self):
        self.edge(self.b, self.near, 50002)


class Openvpn(Vpn):
    name, package, commands = "openvpn", "openvpn", ("openvpn", "openssl")

    def make(self):
        prints = {}
        for host in "ab":
            path = self.certificate(host)
            prints[host] = output("openssl", "x509", "-in", path + ".crt", "-noout", "-fingerprint", "-sha256").strip().split("=")[1]
        both = "proto udp4\ndev tun0\ndev-type tun\ndisable-dco\ndata-ciphers AES-256-GCM\npersist-key\npersist-tun\n"
        self.file("a.conf", f"{both}local {self.a.address()}\nport 1194\nmode server\ntls-server\ntopology subnet\nserver 10.77.0.0 255.255.255.0\n"
                  f"keepalive 10 60\ndh none\ncert {self.dir}/a.crt\nkey {self.dir}/a.key\npeer-fingerprint {prints['b']}\n")
        self.file("b.conf", f"{both}client\nremote {self.a.address()} 1194\nnobind\ncert {self.dir}/b.crt\nkey {self.dir}/b.key\n"
                  f"peer-fingerprint {prints['a']}\n")

    def server(self):
        self.run(self.a, "openvpn", f"{self.dir}/a.conf")
        self.wait_address(self.a)

    def client(self):
        self.run(self.b, "openvpn", f"{self.dir}/b.conf")


class WireguardGo(Vpn):
    name, package, commands = "wireguard-go", "wireguard-go", ("wireguard-go", "wg")

    def make(self):
        self.keys = {}
        for host in "ab":
            private = output("wg", "genkey")
            self.keys[host] = self.file(f"{host}.key", private), output("wg", "pubkey", input=private).strip()

    def daemon(self, host, other, address, *settings):
        device = f"{self.w.tag}{host.name}wg"  # the control sockets of all worlds are in one directory
        self.run(host, "wireguard-go", "-f", device)
        wait(lambda: os.path.exists(f"/run/wireguard/{device}.sock") and host.run("ip", "link", "show", device).code == 0, 10, "wireguard-go")
        r = host.run("wg", "set", device, "private-key", self.keys[host.name][0], "peer", self.keys[other][1], *settings)
        assert r.code == 0, repr(r)
        host.ip_batch(f"address add {address}/24 dev {device}", f"link set {device} mtu 1420 up")

    def server(self):
        self.daemon(self.a, "b", self.target, "allowed-ips", self.near + "/32")
        self.a.run("wg", "set", f"{self.w.tag}awg", "listen-port", "51820")

    def client(self):
        self.daemon(self.b, "a", self.near, "allowed-ips", self.target + "/32", "endpoint", f"{self.a.address()}:51820", "persistent-keepalive", "25")


QUICK = [Godwit, Socat, SocatPlain, SshGcm, Yggdrasil, Nebula]  # those that goals speak of, and the floor
SLOW = [GodwitCubic, GodwitPlain, Ssh, Iroh, Hyperdht, WireguardGo, Openvpn, Tinc, N2n]


def install_npm():
    """Before the namespaces are entered: npm needs the network."""
    wanted = os.path.join(HERE, "package.json")
    with open(wanted, encoding="utf-8") as f:
        there = all(os.path.isdir(os.path.join(NPM, "node_modules", *name.split("/"))) for name in json.load(f)["dependencies"])
    if not there and shutil.which("npm"):
        say("bench: installing iroh and hyperdht from npm into build/bench/npm")
        os.makedirs(NPM, exist_ok=True)
        shutil.copy(wanted, NPM)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=NPM, check=False)


def measurable(classes):
    """Those that can be measured here, and what is to be said of the others."""
    return [c for c in classes if not c.missing()], {c.name: c.missing() for c in classes if c.missing()}


def versions(classes):
    return ", ".join(dict.fromkeys(f"{c.package or 'godwit'} {c.version()}" for c in classes))


def remark(classes, failures):
    """For the report: which versions, and who was not measured, why."""
    text = f"Versions: {versions(classes)}."
    for name, why in failures.items():
        text += f" **Not measured: {name}** ({why})."
    return text
