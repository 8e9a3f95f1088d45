"""PyTorch's side of bench_mlp: forward and backward without any statistics.

For every line on stdin one run, whose seconds are printed: mlp_peer.py DEPTH WIDTH BATCH
"""

import sys
import time

import torch

torch.set_num_threads(2)
depth, width, batch = map(int, sys.argv[1:4])
torch.manual_seed(0)
layers = []
for _ in range(depth):
    linear = torch.nn.Linear(width, width)
    torch.nn.init.normal_(linear.weight, std=width**-0.5)
    torch.nn.init.zeros_(linear.bias)
    layers += [linear, torch.nn.Tanh()]
network = torch.nn.Sequential(*layers)
x = torch.randn(batch, width)
cotangent = torch.randn(batch, width)
for _ in sys.stdin:
    network.zero_grad()
    start = time.perf_counter()
    network(x).backward(cotangent)
    print(time.perf_counter() - start, flush=True)
