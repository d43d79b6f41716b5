# SPDX-License-Identifier: Apache-2.0
"""Where a process's time goes: stacks by `perf` (Debian: linux-perf), folded, put into classes and drawn as a flame graph.

record() is the command that records; folded() reads what it wrote as {(frame, ...): samples}, a frame being (symbol, object);
by_class() says which share each class of cost has; draw() writes an SVG."""
import html
import os
import re
import shutil
import subprocess

RATE = 997  # a second; prime, so that it does not run in step with timers
EVENT = ["-e", "cpu-clock", "-F", str(RATE), "--call-graph", "dwarf,16384", "-N"]

AEAD, QUIC, OWN, COPY, SEND, DELIVER, RECEIVE, WAIT, REST = (
    "AEAD and header protection", "ngtcp2", "godwit", "copies", "kernel: send path", "kernel: delivery", "kernel: receive path",
    "kernel: waiting for events", "the rest")
CLASSES = (AEAD, QUIC, OWN, COPY, SEND, DELIVER, RECEIVE, WAIT, REST)
KERNEL = "kernel"
COLOURS = {AEAD: "#d9695a", QUIC: "#5b8fc9", OWN: "#74a857", COPY: "#e3b341", KERNEL: "#8a6bb1", REST: "#b0b0b0"}
COPIES = re.compile(r"mem(cpy|move|set)|copy_(from|to)_iter|copy_user|rep_movs|rep_stos|copyin|copyout|clear_page")
CRYPTO = re.compile(r"lib(gnutls|ngtcp2_crypto|nettle|hogweed|gmp)")
CALLS = (("sendm?msg|sendto|write", SEND), ("recvm?msg|recvfrom|read", RECEIVE), ("sched_yield|epoll_(p?wait2?)", WAIT))
TOP = "loop_run"  # what is outside of it is the same for all stacks


def refused():
    """Why perf cannot be used here, or nothing."""
    if not shutil.which("perf"):
        return "no perf\n  try: apt-get install linux-perf"
    r = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock:k", "-o", "/dev/null", "true"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    return r.returncode and ("perf may not look into the kernel\n  try: sysctl kernel.perf_event_paranoid=1, or as root\n"
                             "  GODWIT_NETLAB=root unshare -nmpf --mount-proc tests/bench/bench profile")


def record(path, *what):
    return ["perf", "record", "-q", *EVENT, "-o", path, *what]


# --- folding ---


def frame_of(line):
    """`7f0012ab symbol (object)` as perf script prints it."""
    m = re.match(r"\s+[0-9a-f]+ (.*) \((.*?)\)$", line)
    if not m:
        return None
    symbol, dso = m[1].split("+0x")[0], os.path.basename(m[2])
    dso = KERNEL if dso.startswith("[kernel") or dso.startswith("[guest") else dso
    return (f"[{dso}]" if symbol == "[unknown]" else symbol, dso)


def folded(path):
    """{stack: samples}, stacks from loop_run() inwards; unknown frames in a row are one."""
    r = subprocess.run(["perf", "script", "-i", path, "-F", "comm,ip,sym,dso", "--no-inline"], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True, check=True)
    stacks = {}
    for block in r.stdout.split("\n\n"):
        frames = []
        for line in block.splitlines()[1:]:
            frame = frame_of(line)
            if frame and (not frames or frame != frames[-1] or not frame[0].startswith("[")):
                frames.append(frame)
        if frames:
            names = [symbol for symbol, _ in frames]
            inner = frames[:names.index(TOP)] if TOP in names else frames
            stack = tuple(inner or frames)[::-1]
            stacks[stack] = stacks.get(stack, 0) + 1
    return stacks


# --- classes ---


def system_call(stack):
    """The name of the system call that the stack is in, by the kernel's function or else the library's, or ""."""
    caller = ""
    for symbol, dso in stack:
        if dso != KERNEL:
            caller = re.sub(r"^_*(libc_)?", "", symbol)
        elif m := re.match(r"__(?:x64_|se_|arm64_)?sys_(\w+)", symbol):
            return m[1]
    return caller


def kernel_class(stack):
    if any(symbol == "net_rx_action" for symbol, _ in stack):
        return DELIVER
    call = system_call(stack)
    return next((name for pattern, name in CALLS if re.fullmatch(pattern, call)), REST)


def class_of(stack):
    symbol, dso = stack[-1]
    if COPIES.search(symbol):
        return COPY
    if dso == KERNEL:
        return kernel_class(stack)
    for _, dso in reversed(stack):
        if CRYPTO.match(dso):
            return AEAD
        if dso.startswith("libngtcp2"):
            return QUIC
        if dso.startswith("godwit"):
            return OWN
        if not dso.startswith("libc."):
            break
    return REST


def by_class(stacks):
    """{class: share}"""
    total, found = sum(stacks.values()), dict.fromkeys(CLASSES, 0)
    for stack, n in stacks.items():
        found[class_of(stack)] += n
    return {name: n / total for name, n in found.items()}


# --- drawing ---


class Box:
    def __init__(self, name, colour):
        self.name, self.colour, self.samples, self.inner = name, colour, 0, {}


def colour_of(symbol, dso):
    if COPIES.search(symbol):
        return COLOURS[COPY]
    if dso == KERNEL:
        return COLOURS[KERNEL]
    return COLOURS[AEAD if CRYPTO.match(dso) else QUIC if dso.startswith("libngtcp2") else OWN if dso.startswith("godwit") else REST]


def tree(stacks):
    root = Box("all", COLOURS[REST])
    for stack, n in stacks.items():
        root.samples += n
        box = root
        for symbol, dso in stack:
            box = box.inner.setdefault(symbol, Box(symbol, colour_of(symbol, dso)))
            box.samples += n
    return root


WIDTH, ROW, HEAD, LEAST, LETTER = 1200, 17, 64, 1.2, 6.3  # pixels


def rectangles(box, total, x, level, out):
    """Appends (x, level, width, box), what is inside on top; narrow ones are left out."""
    width = box.samples / total * (WIDTH - 20)
    if width < LEAST:
        return
    out.append((x, level, width, box))
    for inner in sorted(box.inner.values(), key=lambda b: b.name):
        rectangles(inner, total, x, level + 1, out)
        x += inner.samples / total * (WIDTH - 20)


def draw(stacks, title, path):
    root, boxes = tree(stacks), []
    rectangles(root, root.samples, 10, -1, boxes)
    del boxes[0]
    height = HEAD + (max(level for _, level, _, _ in boxes) + 1) * ROW + 10
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="10.5">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
             f'<text x="10" y="22" font-family="sans-serif" font-size="16">{html.escape(title)}</text>']
    legend = {"godwit": OWN, "ngtcp2": QUIC, AEAD: AEAD, "copies": COPY, KERNEL: KERNEL, "libc, the rest": REST}
    x = 10
    for text, name in legend.items():
        lines.append(f'<rect x="{x}" y="36" width="12" height="12" fill="{COLOURS[name]}"/><text x="{x + 17}" y="46">{text}</text>')
        x += 40 + len(text) * LETTER
    for x, level, width, box in boxes:
        y = height - 10 - (level + 1) * ROW
        hover = f"{box.name}: {100 * box.samples / root.samples:.1f} %"
        fits = int((width - 4) / LETTER)
        text = box.name if len(box.name) <= fits else box.name[:fits - 1] + "…" if fits >= 4 else ""
        lines.append(f'<g><title>{html.escape(hover)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" '
                     f'fill="{box.colour}" stroke="#fff" stroke-width=".4"/>'
                     + (f'<text x="{x + 2:.1f}" y="{y + 12}">{html.escape(text)}</text>' if text else "") + "</g>")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join([*lines, "</svg>", ""]))
