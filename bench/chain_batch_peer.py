"""Times the chain rule on many scalar chains in PyTorch (batched autograd) and NumPy (by hand, in
chunks that stay in cache, on two threads): a line of JSON each.

Usage: python chain_batch_peer.py --dtype f32 --depth 4 --count 1000000 --repeat 20
"""
import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# PyTorch allocates its results anew in every call. Unless glibc keeps the memory, most of the time
# would go into page faults, and the comparison would be one of allocators.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_ARENA_MAX": "1"}

# Runs a line of stdin: a rate is that of a program at work, not of one that was just woken.
BURST = 5

WEIGHTS = [1.5, -0.5, 2.0, 0.75]


def timed(run, repeat):
    """(median, least) seconds; the first three runs touch the memory and start the threads."""
    seconds = []
    for i in range(repeat + 3):
        start = time.perf_counter()
        run()
        if i >= 3:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), min(seconds)


def report(program, options, seconds, check):
    work = options.depth * options.count
    print(json.dumps({"program": program, "dtype": options.dtype, "depth": options.depth, "count": options.count,
                      "median_seconds": seconds[0], "least_seconds": seconds[1],
                      "million_per_second": round(work / seconds[0] / 1e6, 1),
                      "check": float(check)}), flush=True)


def serve(run):
    """BURST runs a line of stdin; the seconds of the median one are printed."""
    for _ in sys.stdin:
        seconds = []
        for _ in range(BURST):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        print(statistics.median(seconds), flush=True)


def pytorch(options):
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: skipped")
        return
    torch.set_num_threads(options.threads)
    dtype = {"f32": torch.float32, "f64": torch.float64}[options.dtype]
    x = torch.arange(options.count, dtype=torch.float64).mul_(6 / options.count).sub_(3).to(dtype)
    # A weight a chain and layer: summed over a shared one, autograd would not give each chain's.
    w = [torch.full((options.count,), WEIGHTS[i % 4], dtype=dtype, requires_grad=True) for i in range(options.depth)]
    ones = torch.ones_like(x)

    def run():
        h = x
        for weight in w:
            h = torch.tanh(weight * h)
        return torch.autograd.grad(h, w, ones)

    if options.serve:
        return serve(run)
    report("pytorch", options, timed(run, options.repeat), run()[0][0])


def numpy(options):
    try:
        import numpy as np
    except ImportError:
        print("NumPy is not installed: skipped")
        return
    dtype = {"f32": np.float32, "f64": np.float64}[options.dtype]
    x = (np.arange(options.count) * (6 / options.count) - 3).astype(dtype)
    w = [dtype(WEIGHTS[i % 4]) for i in range(options.depth)]
    output = np.ones(options.count, dtype)
    gradients = np.ones((options.depth, options.count), dtype)
    chunk = 0

    def part(first, last):
        h = np.empty((options.depth + 1, chunk), dtype)
        d = np.empty((options.depth, chunk), dtype)
        delta = np.empty(chunk, dtype)
        for start in range(first, last, chunk):
            stop = min(start + chunk, last)
            n = stop - start
            h[0, :n] = x[start:stop]
            for i, weight in enumerate(w):
                y, s = h[i + 1, :n], d[i, :n]
                np.multiply(h[i, :n], weight, out=y)
                np.tanh(y, out=y)
                np.multiply(y, y, out=s)
                np.subtract(1, s, out=s)
            output[start:stop] = h[options.depth, :n]
            c = delta[:n]
            c.fill(1)
            for i in reversed(range(options.depth)):
                np.multiply(c, d[i, :n], out=c)
                np.multiply(c, h[i, :n], out=gradients[i, start:stop])
                if i:
                    np.multiply(c, w[i], out=c)

    pool = ThreadPoolExecutor(options.threads)
    edges = [options.count * i // options.threads for i in range(options.threads + 1)]

    def run():
        list(pool.map(part, edges[:-1], edges[1:]))

    best = None
    for candidate in [options.chunk] if options.chunk else [1024, 2048, 4096, 8192, 16384]:
        chunk = candidate
        seconds = timed(run, options.repeat)
        best = min(best or (seconds, candidate), (seconds, candidate))
    seconds, chunk = best
    if options.serve:
        return serve(run)
    report("numpy", options, seconds, gradients[0, 0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", choices=["f32", "f64"], default="f32")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chunk", type=int, default=0, help="chains at a time in NumPy; 0 takes the best of several")
    parser.add_argument("--serve", action="store_true", help="a few runs a line of stdin, for run.py")
    parser.add_argument("--only", choices=["pytorch", "numpy"])
    chosen = parser.parse_args()
    if any(name not in os.environ for name in KEEP_MEMORY):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY)
    if chosen.only != "numpy":
        pytorch(chosen)
    if chosen.only != "pytorch":
        numpy(chosen)
