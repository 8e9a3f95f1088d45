"""PyTorch's side of the exported models: the same architecture and batch, forward and backward,
with the statistics of hooks.py.

For every line on stdin one run, whose seconds are printed: onnx_peer.py NAME
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from hooks import Watch


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.c1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.b1 = nn.BatchNorm2d(outputs)
        self.c2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.b2 = nn.BatchNorm2d(outputs)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.sc = nn.Sequential()
        if stride > 1:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.sc = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.b2(self.c2(self.relu1(self.b1(self.c1(x)))))
        return self.relu2(y + self.sc(x))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        widths = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        self.layers = nn.Sequential(*(Block(*width) for width in widths))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.layers(self.relu(self.bn(self.stem(x)))).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = (
            part.view(batch, time, self.heads, -1).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, time, width))


class Gpt(nn.Module):
    def __init__(self, width=64, heads=4, blocks=4, vocabulary=97, time=32):
        super().__init__()
        self.e = nn.Embedding(vocabulary, width)
        self.p = nn.Parameter(0.02 * torch.randn(time, width))
        mlp = lambda: nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        attention = lambda: nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.branches = nn.ModuleList(part() for _ in range(blocks) for part in (attention, mlp))
        self.n, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids):
        x = self.e(ids) + self.p
        for branch in self.branches:
            x = x + branch(x)
        return self.head(self.n(x)).flatten(0, 1)


CASES = {
    "resnet20_cifar": lambda: (ResNet20(), torch.randn(8, 3, 32, 32), torch.randint(10, (8,))),
    "gpt_tiny": lambda: (Gpt(), torch.randint(97, (2, 32)), torch.randint(97, (64,))),
}


torch.set_num_threads(2)
torch.manual_seed(0)
model, x, target = CASES[sys.argv[1]]()
watch = Watch(model)
for _ in sys.stdin:
    model.zero_grad()
    start = time.perf_counter()
    F.cross_entropy(model(x), target).backward()
    watch.finish()
    print(time.perf_counter() - start, flush=True)
