# SPDX-License-Identifier: Apache-2.0
"""Packets as an attacker makes them: a second implementation, from docs/protocol.md and the RFCs alone.

QUIC v1 Initials (RFC 9000, 9001), TLS 1.3 ClientHellos (RFC 8446, 7250), knocks (section 19), punch
probes, channel packets and certificate chains of a network (section 17)."""
import base64
import hashlib
import hmac
import os
import re
import struct
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

INITIAL_SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
INITIAL, HANDSHAKE, RETRY = 0, 2, 3
DCID = 16
KNOCK_MIN = 16 + 32 + 48 + 8 + 32 + 16 + 8 + 16  # bytes of one without a certificate
P = 2**255 - 19


# --- identities ---


def key_of(address):
    """The 32 bytes of a node's (n...) or a network's (c...) text."""
    raw = base64.b32decode(address.upper() + "=" * (-len(address) % 8))
    return raw[1:33]


def raw_public(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def raw_private(key):
    return key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())


class Identity:
    """An Ed25519 key, and the X25519 one that it is converted to."""

    def __init__(self, seed=None):
        self.seed = seed or os.urandom(32)
        self.signer = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.key = raw_public(self.signer.public_key())
        scalar = bytearray(hashlib.sha512(self.seed).digest()[:32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        self.secret_bytes = bytes(scalar)
        self.secret = X25519PrivateKey.from_private_bytes(self.secret_bytes)

    @classmethod
    def of_home(cls, home):
        with open(os.path.join(home, "identity.pem"), "rb") as f:
            key = serialization.load_pem_private_key(f.read(), None)
        return cls(raw_private(key))

    @property
    def address(self):
        body = b"\x68" + self.key
        check = hashlib.sha256(b"godwit address v1" + body).digest()[:2]
        return base64.b32encode(body + check).decode().lower().rstrip("=")


def montgomery(key):
    """X25519's u of an Ed25519 public key: (1 + y) / (1 - y)."""
    y = int.from_bytes(key, "little") & ((1 << 255) - 1)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


# --- the knock ---


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


class NoiseX:
    """The sender's side of Noise_X_25519_AESGCM_SHA256 (revision 34, sections 5 and 7.4)."""

    def __init__(self, prologue, responder):
        self.hash = self.chain = b"Noise_X_25519_AESGCM_SHA256".ljust(32, b"\0")
        self.responder = X25519PublicKey.from_public_bytes(responder)
        self.mix_hash(prologue)
        self.mix_hash(responder)

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, secret):
        temp = mac(self.chain, secret.exchange(self.responder))
        self.chain = mac(temp, b"\x01")
        self.key = mac(temp, self.chain, b"\x02")

    def encrypt_and_hash(self, text):
        sealed = AESGCM(self.key).encrypt(bytes(12), text, self.hash)
        self.mix_hash(sealed)
        return sealed

    def message(self, static, payload):
        ephemeral = X25519PrivateKey.generate()
        out = raw_public(ephemeral.public_key())
        self.mix_hash(out)
        self.mix_key(ephemeral)
        out += self.encrypt_and_hash(raw_public(static.public_key()))
        self.mix_key(static)
        return out + self.encrypt_and_hash(payload)


def knock_tag(accepter, dcid, rest):
    return mac(hashlib.sha256(b"godwit knock v1" + accepter).digest(), dcid, rest)[:16]


def knock(who, accepter, dcid, chain=b"", ahead_s=0, claims=None, answer=None, courtesy=bytes(8)):
    """`claims`: the key that the payload names instead of the one that is proved."""
    payload = struct.pack(">Q", int((time.time() + ahead_s) * 1000)) + (claims or who.key)
    payload += (answer or os.urandom(16)) + courtesy + chain
    message = NoiseX(b"godwit knock v1" + accepter + dcid, montgomery(accepter)).message(who.secret, payload)
    return knock_tag(accepter, dcid, message) + message


def courtesy_of(accepter):
    """What tickets of that identity hold."""
    return hashlib.sha256(b"godwit courtesy v1" + accepter.secret_bytes).digest()[:8]


def refusal(scid, answer):
    return b"\x26" + scid + hashlib.sha256(b"godwit refusal v1" + answer + scid).digest()[:16]


def broken_knock(accepter, dcid, size=KNOCK_MIN - 16):
    """A right tag (whoever knows the address can make it) on what is no Noise message."""
    rest = os.urandom(size)
    return knock_tag(accepter, dcid, rest) + rest


# --- QUIC ---


def varint(n):
    for size, bits in ((1, 6), (2, 14), (4, 30), (8, 62)):
        if n < 1 << bits:
            return (n | {1: 0, 2: 1, 4: 2, 8: 3}[size] << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(n)


def read_varint(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def expand_label(secret, label, size, context=b""):
    info = struct.pack(">H", size) + bytes([6 + len(label)]) + b"tls13 " + label + bytes([len(context)]) + context
    out, block, n = b"", b"", 1
    while len(out) < size:
        block = mac(secret, block, info, bytes([n]))
        out, n = out + block, n + 1
    return out[:size]


class Keys:
    """Of one direction at one level, AES-128-GCM."""

    def __init__(self, secret):
        self.aead = AESGCM(expand_label(secret, b"quic key", 16))
        self.iv = int.from_bytes(expand_label(secret, b"quic iv", 12), "big")
        self.hp = Cipher(algorithms.AES(expand_label(secret, b"quic hp", 16)), modes.ECB())

    def nonce(self, number):
        return (self.iv ^ number).to_bytes(12, "big")

    def mask(self, sample):
        return self.hp.encryptor().update(sample)[:5]


def initial_keys(dcid):
    """Those of the client's and of the server's Initials."""
    secret = mac(INITIAL_SALT, dcid)
    return Keys(expand_label(secret, b"client in", 32)), Keys(expand_label(secret, b"server in", 32))


def long_header(kind, dcid, scid, low=0, version=1):
    return bytes([0xc0 | kind << 4 | low]) + struct.pack(">I", version) + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid


def initial(dcid, scid, token, frames, number=0, size=1200, keys=None):
    """A protected Initial of `size` bytes."""
    keys = keys or initial_keys(dcid)[0]
    head = long_header(INITIAL, dcid, scid, 3) + varint(len(token)) + token
    room = size - len(head) - 2 - 4 - 16
    frames = frames.ljust(room, b"\0")
    head += (len(frames) + 20 | 0x4000).to_bytes(2, "big") + number.to_bytes(4, "big")
    packet = bytearray(head + keys.aead.encrypt(keys.nonce(number), frames, head))
    mask = keys.mask(bytes(packet[len(head):len(head) + 16]))
    packet[0] ^= mask[0] & 0x0f
    for i in range(4):
        packet[len(head) - 4 + i] ^= mask[1 + i]
    return bytes(packet)


def unprotect(packet, at, keys):
    """The frames of a packet whose number begins at `at`; raises when the keys are not its."""
    packet, mask = bytearray(packet), keys.mask(bytes(packet[at + 4:at + 20]))
    packet[0] ^= mask[0] & (0x0f if packet[0] & 0x80 else 0x1f)
    size = (packet[0] & 3) + 1
    for i in range(size):
        packet[at + i] ^= mask[1 + i]
    number = int.from_bytes(packet[at:at + size], "big")
    return keys.aead.decrypt(keys.nonce(number), bytes(packet[at + size:]), bytes(packet[:at + size]))


class Long:
    """The first packet of a datagram, as far as anybody can read it."""

    def __init__(self, data):
        self.kind, self.version = data[0] >> 4 & 3, struct.unpack(">I", data[1:5])[0]
        n = data[5]
        self.dcid, at = data[6:6 + n], 6 + n
        n = data[at]
        self.scid, at = data[at + 1:at + 1 + n], at + 1 + n
        self.token = b""
        if self.kind == RETRY:
            self.token = data[at:-16]
            return
        if self.kind == INITIAL:
            n, at = read_varint(data, at)
            self.token, at = data[at:at + n], at + n
        n, self.at = read_varint(data, at)
        self.packet = data[:self.at + n]


VARINTS = {0: 0, 1: 0, 0x04: 3, 0x05: 2, 0x10: 1, 0x11: 2, 0x12: 1, 0x13: 1, 0x14: 1, 0x15: 2, 0x16: 1, 0x17: 1, 0x19: 1, 0x1e: 0}
CRYPTO, HANDSHAKE_DONE = 0x06, 0x1e


def frames_of(data):
    """(kind, offset, bytes) of each frame of a packet (RFC 9000, section 19); the last two of STREAM and CRYPTO."""
    at = 0

    def number():
        nonlocal at
        value, at = read_varint(data, at)
        return value

    def text(size):
        nonlocal at
        at += size
        return data[at - size:at]
    while at < len(data):
        kind = number()
        offset, body = 0, b""
        if kind in VARINTS:
            for _ in range(VARINTS[kind]):
                number()
        elif kind in (2, 3):  # ACK
            number(), number()
            for _ in range(1 + 2 * number() + (3 if kind == 3 else 0)):
                number()
        elif kind == CRYPTO:
            offset = number()
            body = text(number())
        elif kind & ~7 == 0x08:  # STREAM
            number()
            offset = number() if kind & 4 else 0
            body = text(number() if kind & 2 else len(data) - at)
        elif kind == 0x07:
            text(number())
        elif kind == 0x18:
            number(), number()
            text(text(1)[0] + 16)
        elif kind in (0x1a, 0x1b):
            text(8)
        elif kind in (0x1c, 0x1d):  # CONNECTION_CLOSE
            number(), number() if kind == 0x1c else 0
            text(number())
        elif kind in (0x30, 0x31):
            text(number() if kind == 0x31 else len(data) - at)
        else:
            raise ValueError(f"no frame of QUIC v1: {kind:#x}")
        yield kind, offset, body


def crypto_frames(data):
    """(offset, bytes) of each CRYPTO frame."""
    return [(offset, body) for kind, offset, body in frames_of(data) if kind == CRYPTO]


def crypto_frame(data):
    return b"\x06" + varint(0) + varint(len(data)) + data


# --- TLS ---


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    return struct.pack(">H", kind) + vector(2, data)


def client_hello(scid, psk=None, alpn=b"godwit/1"):
    """As a node says it.  `psk`: the identity of a session to resume, with a binder that nobody can check."""
    share = raw_public(X25519PrivateKey.generate().public_key())
    parameters = b"".join(varint(k) + vector(1, v) for k, v in (
        (0x04, varint(1 << 26)), (0x05, varint(1 << 25)), (0x06, varint(1 << 25)), (0x08, varint(100)), (0x0f, scid)))
    body = extension(10, vector(2, b"\x00\x1d")) + extension(13, vector(2, b"\x08\x07")) + extension(16, vector(2, vector(1, alpn)))
    body += extension(43, b"\x02\x03\x04") + extension(51, vector(2, b"\x00\x1d" + vector(2, share)))
    body += extension(19, b"\x01\x02") + extension(20, b"\x01\x02") + extension(57, parameters)
    if psk:
        binder = os.urandom(32)
        body += extension(45, b"\x01\x01")
        body += extension(41, vector(2, vector(2, psk) + bytes(4)) + vector(2, vector(1, binder)))
    hello = b"\x03\x03" + os.urandom(32) + b"\x00" + vector(2, b"\x13\x01") + b"\x01\x00" + vector(2, body)
    return b"\x01" + vector(3, hello)


def server_extensions(hello):
    """{kind: bytes} of a ServerHello."""
    assert hello[0] == 2, "no ServerHello"
    at = 4 + 2 + 32
    at += 1 + hello[at] + 2 + 1
    end, at, out = at + 2 + struct.unpack(">H", hello[at:at + 2])[0], at + 2, {}
    while at < end:
        kind, size = struct.unpack(">HH", hello[at:at + 4])
        out[kind] = hello[at + 4:at + 4 + size]
        at += 4 + size
    return out


class Hello:
    """One dialler's first packet, with all that is needed to read the answer."""

    def __init__(self, who, accepter, psk=None, dcid=None, alpn=b"godwit/1", **more):
        self.dcid, self.scid = dcid or os.urandom(DCID), os.urandom(8)
        self.client, self.server = initial_keys(self.dcid)
        self.token = knock(who, accepter, self.dcid, **more)
        self.frames = crypto_frame(client_hello(self.scid, psk, alpn))
        self.packet = initial(self.dcid, self.scid, self.token, self.frames, keys=self.client)

    def answer(self, datagram):
        """The frames of the accepter's Initial."""
        long = Long(datagram)
        assert long.kind == INITIAL and long.dcid == self.scid
        return unprotect(long.packet, long.at, self.server)


def secrets_of(path):
    """A key log of TLS: {label: [secret...]}."""
    out = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            found = re.match(r"(\S+) [0-9a-f]+ ([0-9a-f]+)$", line)
            if found:
                out.setdefault(found[1], []).append(bytes.fromhex(found[2]))
    return out


# --- networks ---


DELEGATE = 1


def chain(signer, network, member, name=None, groups=(), begin=None, lasts=3600, parent=b"", flags=0):
    """A certificate chain: of a CA (`parent` empty), or of a delegate, whose chain `parent` is."""
    begin = int(time.time()) if begin is None else begin
    link = member + os.urandom(8) + struct.pack(">II", begin, begin + lasts) + bytes([flags])
    link += (b"\x01" + vector(1, name.encode()) if name else b"") + b"".join(b"\x02" + vector(1, g.encode()) for g in groups)
    link += signer.signer.sign(b"godwit certificate v1" + network + link)
    head = parent or b"\x01" + network + signer.key[:4]
    return head + vector(2, link)
