# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: one psql session whose every answer is checked, and its timeline."""
import fcntl
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time

import netlab

PAYLOAD_REPEATS = 100
TTY = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
COLOUR = TTY and not os.environ.get("NO_COLOR")
BARS = " ▁▂▃▄▅▆▇█" if TTY and "utf" in (sys.stdout.encoding or "").lower() else " .:-=+*#%"


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def bold(text):
    return paint(text, "1")


def bad(text):
    return paint(text, "1;31")


def say(text=""):
    print(text, flush=True)


class Session:
    """ONE psql; asks without pause, checks every answer, remembers when each one came.

    The backend keeps a checksum over all numbers asked so far in a setting of its session: a
    lost, repeated or reordered query or answer, or another backend, breaks the chain."""

    def __init__(self, host, port):
        argv = [f"{netlab.pg_bin()}/psql", "-X", "-q", "-A", "-t", "-F", "|", "-h", "127.0.0.1", "-p", str(port),
                "-U", "godwit", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
        self.errors = open(os.path.join(host.world.dir, "psql.err"), "w+", encoding="utf-8")
        self.child = subprocess.Popen(host.inside(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                      bufsize=0, start_new_session=True)
        fcntl.fcntl(self.child.stdin, fcntl.F_SETPIPE_SZ, 4096)  # else hundreds of questions wait at the end
        self.times, self.pids, self.bytes, self.problem = [], set(), 0, None
        self.sum, self.stopping = "", False
        self.asked = 0
        self.first_pid = None
        self.asker = threading.Thread(target=self.ask, daemon=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.asker.start()
        self.reader.start()

    def ask(self):
        n = 0
        try:
            self.child.stdin.write(b"SET demo.sum = '';\n")
            while not self.stopping:
                n += 1
                self.child.stdin.write(
                    f"SELECT {n}, pg_backend_pid(), set_config('demo.sum', md5(current_setting('demo.sum') || '{n}'), false), "
                    f"repeat(md5('{n}'), {PAYLOAD_REPEATS});\n".encode())
                self.asked = n
            self.child.stdin.close()
        except (BrokenPipeError, OSError) as e:
            self.problem = self.problem or f"psql is gone: {e}"

    def read(self):
        for raw in io.BufferedReader(self.child.stdout):
            now = time.monotonic()
            line = raw.decode(errors="replace")
            n = len(self.times) + 1
            fields = line.rstrip("\n").split("|")
            self.sum = hashlib.md5(f"{self.sum}{n}".encode()).hexdigest()
            expected = [str(n), self.sum, hashlib.md5(str(n).encode()).hexdigest() * PAYLOAD_REPEATS]
            if len(fields) != 4 or [fields[0], fields[2], fields[3]] != expected:
                self.problem = f"answer {n} is wrong: {line[:120]!r}"
                return
            self.first_pid = self.first_pid or fields[1]
            self.pids.add(fields[1])
            self.bytes += len(raw)
            self.times.append(now)

    def finish(self):
        """No more questions; psql answers those that it has been given, and ends."""
        self.stopping = True
        try:
            code = self.child.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            code = self.child.wait()
        self.asker.join(5)
        self.reader.join(5)
        self.errors.seek(0)
        if code != 0:
            self.problem = self.problem or f"psql ended with {code}: {self.errors.read()[-300:]}"
        elif len(self.times) != self.asked:
            self.problem = self.problem or f"{self.asked} questions, {len(self.times)} answers"
        elif len(self.pids) != 1:
            self.problem = self.problem or f"the session changed: backends {sorted(self.pids)}"

    def gap(self, start, end):
        """Longest time without an answer that touches [start, end), in seconds."""
        times = self.times
        longest = 0.0
        for before, after in zip(times, times[1:] + [end]):
            if after > start and before < end:
                longest = max(longest, after - before)
        return longest

    def first_after(self, at):
        return next((t - at for t in self.times if t > at), None)


def describe(path):
    if path.get("kind") == "relay":
        return f"relay {path['via'].rsplit(':', 1)[0]} ({path['transport']})"
    return f"direct {path.get('endpoint')}"


class Timeline:
    """Prints one line a second: answers per second in ten samples, and the path in use."""

    def __init__(self, session, client):
        self.session, self.client, self.started = session, client, time.monotonic()
        self.last_count, self.samples, self.top = len(session.times), [], 1
        self.stopped = False  # the client's process cannot answer

    def path(self):
        """The client's path to its peer, as `godwit status` shows it."""
        if self.stopped:
            return "stopped"
        try:
            peer = self.client.peer()
            return describe(peer["path"]) if peer.get("state") == "connected" else peer.get("state", "no peer")
        except (AssertionError, ValueError):  # the node may be stopped, or busy: the timeline goes on
            return "?"

    def sample(self):
        time.sleep(0.1)
        count = len(self.session.times)
        self.samples.append((count - self.last_count) * 10)
        self.last_count = count
        if self.session.problem:
            raise AssertionError(self.session.problem)
        if len(self.samples) == 10:
            self.flush()

    def run(self, seconds):
        for _ in range(int(seconds * 10)):
            self.sample()

    def run_until(self, kind, seconds):
        """Goes on until the path is of that kind.  Returns the path."""
        end = time.monotonic() + seconds
        while not (path := self.path()).startswith(kind) and time.monotonic() < end:
            self.sample()
        return path

    def flush(self):
        if not self.samples:
            return
        self.top = max(self.top, *self.samples)
        bar = "".join(BARS[0 if s == 0 else 1 + int(s * (len(BARS) - 2) / self.top)] for s in self.samples)
        rate = sum(self.samples) // len(self.samples)
        say(f"{time.monotonic() - self.started:6.1f} s  {rate:5d} answers/s  |{bar:10s}|  {self.path()}")
        self.samples = []

    def event(self, text):
        self.flush()
        say(paint(f"{time.monotonic() - self.started:6.1f} s  >>> {text}", "1;33"))
        return time.monotonic()
