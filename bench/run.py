#!/usr/bin/env python3
"""Measures gradprobe against its peers and writes docs/BENCHMARKS.md.

    cargo build --release --workspace --examples && cargo build --release
    python3 bench/run.py            # every case; --no-write only prints
    python3 bench/run.py --only mlp # some, whose rows are written anew

Both sides of a case are processes that live at the same time but never work at the same time: they
are asked in turn, A B A B, and the ratio is taken pair by pair, so that it holds while the
machine's speed drifts; both are started anew a few times, in turn either first. A peer that is not
installed (PyTorch, NumPy, micrograd) is said to be missing and its cases are skipped. The
interpreter of the peers is that of this script, or PEER_PYTHON.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
PYTHON = os.environ.get("PEER_PYTHON", sys.executable)
# What the rules and the types are timed on: bench/networks/NAME.toml, and what it is.
JUDGED = {
    "mlp-100x256": "a tanh MLP, 100 × 256, batch 64",
    "resnet-20": "ResNet-20 at 16 × 3 × 32 × 32",
    "gpt-tiny": "a GPT of 4 × 128 at 8 × 64 tokens",
    "lstm": "an LSTM of 256 units over 200 steps, batch 16",
}
PRECISIONS = "f32,f16,bf16,e4m3,e5m2"
# Threads of the side that is not asked must have gone to sleep.
PAUSE = 0.05
# How often the two sides of a case are started.
SESSIONS = 4


@dataclass
class Case:
    name: str
    what: str
    ours: list
    peer: list
    needs: str
    bar: float
    # "step": a process that does one run a line on stdin and prints its seconds;
    # "process": the whole process is timed from outside;
    # "memory": a process as the first, of which the peak of resident memory is taken.
    kind: str = "step"
    # Units of work in a run, to print a rate.
    work: float = 0.0
    unit: str = ""


def example(name, *arguments):
    return [str(RELEASE / "examples" / name), *map(str, arguments)]


def peer(script, *arguments):
    return [PYTHON, str(ROOT / "bench" / script), *map(str, arguments)]


def network(name, what, bar, *, suffix="", flags=(), peer_flags=(), peer_has="without any", kind="step"):
    return Case(
        name + suffix,
        f"{what}, f32, forward + backward; ours with all statistics, PyTorch {peer_has}",
        example("bench_network", ROOT / "bench" / "networks" / f"{name}.toml", *flags),
        peer("network_peer.py", name, *flags, *peer_flags),
        "torch",
        bar,
        kind=kind,
    )


def exported(name, what):
    """A model of ../shared/models/exported, which may not be there."""
    file = ROOT.parent / "shared" / "models" / "exported" / f"{name}.onnx"
    if not file.is_file():
        return
    yield Case(
        f"onnx-{name}",
        f"{what}, f32, forward + backward with statistics of every layer's output, its cotangent and "
        "every gradient; PyTorch takes l2, mean, largest and share of zeros of each by hooks",
        example("bench_network", file),
        peer("onnx_peer.py", name),
        "torch",
        1.0,
    )


def cases():
    yield from exported("resnet20_cifar", "the exported ResNet-20 at 8 × 3 × 32 × 32")
    yield from exported("gpt_tiny", "the exported transformer at 2 × 32 tokens")
    yield Case(
        "mlp-100x256",
        "tanh MLP, 100 × 256, batch 64, f32, forward + backward; ours with all statistics, "
        "PyTorch without any",
        example("bench_mlp", 100, 256, 64),
        peer("mlp_peer.py", 100, 256, 64),
        "torch",
        0.65,
    )
    yield Case(
        "mlp-20x1024",
        "tanh MLP, 20 × 1024, batch 256, f32, likewise",
        example("bench_mlp", 20, 1024, 256),
        peer("mlp_peer.py", 20, 1024, 256),
        "torch",
        0.9,
    )
    yield Case(
        "mlp-100x256-statistics",
        "what our statistics cost: the first case with them against without",
        example("bench_mlp", 100, 256, 64),
        example("bench_mlp", 100, 256, 64, "--no-statistics"),
        "",
        1.05,
    )
    for name in ("resnet-18", "mobilenet-v2"):
        file = ROOT / "bench" / "networks" / f"{name}.toml"
        yield Case(
            f"{name}-statistics",
            f"what our statistics cost: {name} with them against without",
            example("bench_network", file),
            example("bench_network", file, "--no-statistics"),
            "",
            1.05,
        )
    for dtype in ("f32", "f64"):
        for program, module, times in (("PyTorch", "torch", 5), ("NumPy", "numpy", 3)):
            yield Case(
                f"chain-batch-{dtype}-{program.lower()}",
                f"a million chains of four tanh, output and every gradient, {dtype}, against "
                + ("its batched autograd" if module == "torch" else "a chain rule in chunks"),
                example("chain_batch", "--dtype", dtype, "--repeat", 0),
                peer("chain_batch_peer.py", "--dtype", dtype, "--only", program.lower(), "--serve"),
                module,
                1 / times,
                work=4e6,
                unit="layer-gradients",
            )
    for name, what in JUDGED.items():
        file = ROOT / "bench" / "networks" / f"{name}.toml"
        yield Case(
            f"rules-{name}",
            f"what all rules cost: three runs of {what} measured and judged, against measured",
            example("bench_rules", file),
            example("bench_rules", file, "--no-rules"),
            "",
            1.05,
        )
    for name, what in JUDGED.items():
        file = ROOT / "bench" / "networks" / f"{name}.toml"
        yield Case(
            f"precision-{name}",
            f"what a type costs of --precision {PRECISIONS}, the true gradient shared among them: {what}, "
            "against a plain run",
            example("bench_precision", file, PRECISIONS),
            example("bench_precision", file, "plain"),
            "",
            4.0,
        )
    yield network("resnet-18", "ResNet-18 at 4 × 3 × 224 × 224", 1.1)
    yield network(
        "resnet-18",
        "ResNet-18 at 4 × 3 × 224 × 224",
        0.85,
        suffix="-hooks",
        peer_flags=["--hooks"],
        peer_has="with l2, mean, largest and share of zeros of each signal and gradient by hooks",
    )
    yield network(
        "resnet-18",
        "ResNet-18 at 1 × 3 × 224 × 224",
        0,
        suffix="-batch-1",
        flags=["--batch-1"],
    )
    yield network("resnet-50", "ResNet-50 at 2 × 3 × 224 × 224", 1.15)
    yield network("mobilenet-v2", "MobileNetV2 at 4 × 3 × 224 × 224", 1.0)
    yield network("lstm", "LSTM of 256 units over 200 steps, batch 16", 1.0)
    yield network("gpt-2", "GPT-2 (124 M parameters) at 1 × 128 tokens", 0.6)
    yield network(
        "gpt-2", "the peak of resident memory: the same", 0.6, suffix="-memory", kind="memory"
    )
    yield Case(
        "jacobian",
        "all singular values of the Jacobian of a 50 × 256 tanh MLP, f32, against jacrev and svdvals",
        example("bench_jacobian", ROOT / "bench" / "networks" / "jacobian-mlp.toml"),
        peer("jacobian_peer.py", 50, 256),
        "torch",
        1.0,
    )
    for name, how, more in (
        ("phase-diagram", "weights that it draws beforehand", ()),
        ("phase-diagram-drawing", "weights drawn at every point", ("--draw",)),
    ):
        yield Case(
            name,
            "a phase diagram measured at 20 × 20 points (tanh, 50 × 200, batch 16, forward, backward, "
            f"every layer's gradient norm), ours with drawing, against PyTorch's loop with {how}",
            example("bench_phase", 20, 50, 200, 16),
            peer("phase_diagram_peer.py", 20, 50, 200, 16, *more),
            "torch",
            0.25,
        )
    yield Case(
        "chain-cold",
        "gradprobe chain (tanh and ReLU) against the same four layers in micrograd (ReLU), whole processes",
        [str(RELEASE / "gradprobe"), "chain"],
        peer("chain_cold_peer_micrograd.py"),
        "micrograd",
        0.5,
        kind="process",
    )


class Stepper:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def step(self):
        time.sleep(PAUSE)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended early")
        return float(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class WholeProcess:
    def __init__(self, command):
        self.command = command

    def step(self):
        start = time.perf_counter()
        subprocess.run(self.command, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
        return time.perf_counter() - start

    def close(self):
        pass


def first_line(runs):
    """Seconds from the start of a check of a small network to its first line of output."""
    command = [str(RELEASE / "gradprobe"), "check", str(ROOT / "examples" / "seed_chain.toml")]
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            process.stdout.readline()
            seconds.append(time.perf_counter() - start)
            process.stdout.read()
    return statistics.median(seconds)


def installed(module):
    if not module:
        return True
    probe = [PYTHON, "-c", f"import {module}"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0


def session(case, pairs, ours_first):
    """Pairs of seconds (ours, theirs) of two processes, started in this order."""
    side = Stepper if case.kind == "step" else WholeProcess
    commands = [case.ours, case.peer] if ours_first else [case.peer, case.ours]
    sides = [side(command) for command in commands]
    try:
        for _ in range(3):
            [one.step() for one in sides]
        timings = [[one.step() for one in sides] for _ in range(pairs)]
    finally:
        for one in sides:
            one.close()
    return timings if ours_first else [(ours, theirs) for theirs, ours in timings]


def measure(case, pairs):
    """Some pairs in each of a few sessions, with either side started first in turn: two copies of one
    program differ by some per cent, all their lives, by the pages of memory that they get, and the
    one that was started first takes longer."""
    if case.kind == "memory":
        sides = [peak_memory(command) for command in (case.ours, case.peer)]
        ratio = sides[0] / sides[1]
        return (*sides, ratio, ratio, ratio)
    counts = [len(range(number, pairs, SESSIONS)) for number in range(SESSIONS)]
    sessions = [session(case, count, number % 2 == 0) for number, count in enumerate(counts) if count]
    timings = [pair for pairs in sessions for pair in pairs]
    medians = [statistics.median(ours / theirs for ours, theirs in pairs) for pairs in sessions]
    ratios = sorted(a / b for a, b in timings)
    return (
        statistics.median(a for a, _ in timings),
        statistics.median(b for _, b in timings),
        statistics.geometric_mean(medians),
        ratios[len(ratios) // 4],
        ratios[3 * len(ratios) // 4],
    )


def peak_memory(command):
    """The MiB that a process says it held at most, after three runs."""
    done = subprocess.run(
        command, input="\n" * 3, capture_output=True, text=True, check=True, cwd=ROOT
    )
    return float(re.search(r"peak memory (\d+) MiB", done.stderr).group(1))


def version(module):
    code = f"import {module}; print(getattr({module}, '__version__', ''))"
    return subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, check=False
    ).stdout.strip()


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g} ms"


def quantity(case, value):
    return f"{value:.0f} MiB" if case.kind == "memory" else milliseconds(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", help="cases whose name contains this; only their rows are written"
    )
    parser.add_argument("--pairs", type=int, default=31, help="pairs of runs a case")
    parser.add_argument("--no-write", action="store_true", help="print, leave the document alone")
    arguments = parser.parse_args()
    rows = []
    for case in cases():
        if arguments.only not in case.name:
            continue
        if not installed(case.needs):
            print(f"{case.name}: skipped, {case.needs} is not installed for {PYTHON}")
            continue
        ours, theirs, ratio, low, high = measure(case, arguments.pairs)
        bar = f"≤ {case.bar:.3g}" if case.bar else ""
        verdict = "" if not case.bar else (" met" if ratio <= case.bar else " MISSED")
        rate = (
            f", {case.work / ours / 1e6:,.0f} M {case.unit} a second against "
            f"{case.work / theirs / 1e6:,.0f} M"
            if case.work
            else ""
        )
        print(f"{case.name}: {quantity(case, ours)} against {quantity(case, theirs)}: "
              f"ratio {ratio:.3f} ({low:.3f} to {high:.3f}) {bar}{verdict}{rate}")
        rows.append((case, ours, theirs, ratio, low, high, bar, rate))
    start = first_line(arguments.pairs) if "start" in arguments.only or not arguments.only else None
    if start is not None:
        print(f"start to the first line of a check: {milliseconds(start)}, bar 30 ms")
    if arguments.no_write or not rows:
        return
    document = ROOT / "docs" / "BENCHMARKS.md"
    table = {
        case.name: f"| `{case.name}` | {case.what}{rate} | {quantity(case, ours)} "
        f"| {quantity(case, theirs)} | **{ratio:.3f}** | {low:.3f} to {high:.3f} | {bar} |"
        for case, ours, theirs, ratio, low, high, bar, rate in rows
    }
    if arguments.only:
        lines = document.read_text().splitlines()
        # A row begins with "| `name` |".
        lines = [table.pop(line[3:].split("`")[0], line) for line in lines]
        if table:
            print(f"no row yet, so not written: {', '.join(table)} (run every case)")
        document.write_text("\n".join(lines) + "\n")
        return
    peers = [f"{module} {version(module)}" for module in ("torch", "numpy") if installed(module)]
    lines = [
        "# Benchmarks",
        "",
        "Written by `python3 bench/run.py` (which says how to build first). Each figure is the "
        "median of "
        f"{arguments.pairs} pairs of runs, the two sides asked in turn; the ratio is ours / peer, "
        "pair by pair, with its quartiles. These are two-core virtual machines that other work "
        f"shares: read the ratios, not the times. The ratio is the mean of the medians of {SESSIONS} "
        "sessions, in turn with either side started first.",
        "",
        f"Machine: {processor()}, {os.cpu_count()} cores. Peers: {', '.join(peers)}.",
        "",
        "| case | what | ours | peer | ratio | quartiles | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += table.values()
    lines += [
        "",
        "From the start of `gradprobe check examples/seed_chain.toml` to its first line of output: "
        f"{milliseconds(start)} (bar: 30 ms).",
    ]
    document.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
