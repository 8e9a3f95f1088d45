"""PyTorch's side of the benchmark of Jacobians: jacrev and svdvals of a tanh MLP at one sample.

For every line on stdin one Jacobian with all its singular values, whose seconds are printed.
"""

import argparse
import sys
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("depth", type=int)
    parser.add_argument("width", type=int)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    width = chosen.width
    weights = [torch.randn(width, width) / width**0.5 for _ in range(chosen.depth)]
    bias = torch.zeros(width)

    def network(x):
        for weight in weights:
            x = torch.tanh(torch.nn.functional.linear(x, weight, bias))
        return x

    x = torch.randn(width)
    jacobian = torch.func.jacrev(network)
    for _ in sys.stdin:
        start = time.perf_counter()
        torch.linalg.svdvals(jacobian(x))
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
