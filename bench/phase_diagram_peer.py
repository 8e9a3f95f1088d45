"""PyTorch's side of the benchmark of measured phase diagrams: a loop over the points of a grid.

For every line on stdin one diagram: at every (σ_w, σ_b) a tanh network is run forward and backward
and the norm of each layer's weight gradient taken. Its seconds are printed:

    phase_diagram_peer.py POINTS DEPTH WIDTH BATCH [--draw]

Without --draw all points share weights that are drawn beforehand and scaled; with it each point draws
its own, as a loop over torch.nn.Linear does.
"""

import argparse
import sys
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("points", "depth", "width", "batch"):
        parser.add_argument(name, type=int)
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    depth, width = chosen.depth, chosen.width

    def draw():
        return (
            [torch.randn(width, width) for _ in range(depth)],
            [torch.randn(width) for _ in range(depth)],
        )

    drawn = draw()
    x = torch.randn(chosen.batch, width)
    cotangent = torch.randn(chosen.batch, width)

    def point(sigma_w, sigma_b):
        normal, offsets = draw() if chosen.draw else drawn
        gain = sigma_w / width**0.5
        weights = [(gain * z).requires_grad_() for z in normal]
        biases = [sigma_b * z for z in offsets]
        h = x
        for weight, bias in zip(weights, biases):
            h = torch.tanh(torch.nn.functional.linear(h, weight, bias))
        gradients = torch.autograd.grad(h, weights, cotangent)
        return torch.stack(torch._foreach_norm(gradients))

    middles = [(index + 0.5) / chosen.points for index in range(chosen.points)]
    for _ in sys.stdin:
        start = time.perf_counter()
        norms = [point(3.0 * w, 0.5 * b) for b in middles for w in middles]
        torch.stack(norms).tolist()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
