# SPDX-License-Identifier: Apache-2.0
"""Sessions end: there is nothing by which one could be resumed."""
import os

from attacker import Forger, Tap, Target, flows
from netlab import wait
from packets import CRYPTO, HANDSHAKE_DONE, Hello, Keys, crypto_frames, frames_of, secrets_of, server_extensions, unprotect

BESIDE = True
PRE_SHARED_KEY, EARLY_DATA = 41, 42


def test_attack_resumption(w):
    """A ClientHello that offers a session to resume gets a whole new handshake, with the accepter's certificate; or none."""
    target, tap, forger = Target(w), Tap(w, "to_a"), Forger(w.b)
    for port, psk in enumerate((None, os.urandom(32), b"x", os.urandom(400)), 4000):
        hello = Hello(target.who(), target.key, psk)
        forger.send(w.b.address(), port, *target.at, hello.packet)
        answers = tap.answers(lambda d, port=port: d.source == target.at[0] and d.port == port)
        said = dict(crypto_frames(hello.answer(answers[0].data)))
        if not said and psk:
            continue  # refused: a close without a ServerHello
        kinds = server_extensions(said[0])
        assert 51 in kinds and PRE_SHARED_KEY not in kinds and EARLY_DATA not in kinds, (psk, kinds)


def test_attack_no_ticket(w):
    """All that the accepter says after the handshake, read with the session's own secrets: no ticket is among it."""
    target, tap = Target(w), Tap(w, "to_b")
    log = os.path.join(w.dir, "secrets")
    target.client.env["SSLKEYLOGFILE"] = log
    reader = target.read()
    flows(reader, lines=100)
    packets = [d for d in tap.take() if d.source == target.at[0] and d.data[0] & 0xc0 == 0x40]
    wait(lambda: os.path.exists(log), 1, "the secrets")
    keys = [Keys(s) for s in secrets_of(log)["SERVER_TRAFFIC_SECRET_0"]]
    read, kinds = 0, set()
    for d in packets:
        for k in keys:
            try:
                frames = unprotect(d.data, 1 + 8, k)
            except Exception:  # InvalidTag: of another connection
                continue
            read += 1
            kinds |= {kind for kind, _, _ in frames_of(frames)}
    assert HANDSHAKE_DONE in kinds and CRYPTO not in kinds, kinds  # a ticket is in CRYPTO frames
    assert read >= 50 and read >= 0.9 * len(packets), (read, len(packets))
