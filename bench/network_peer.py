"""PyTorch's side of bench_network: the same architecture, forward and backward without any
statistics, or with those of hooks.py.

For every line on stdin one run, whose seconds are printed; at the end the peak of resident memory
goes to stderr: network_peer.py NAME [--hooks] [--batch-1]
"""

import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from hooks import Watch


def conv(inputs, outputs, kernel, stride=1, groups=1, activation=None):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


class Residual(nn.Module):
    def __init__(self, branch, shortcut, activation):
        super().__init__()
        self.branch, self.shortcut, self.activation = branch, shortcut, activation

    def forward(self, x):
        y = self.branch(x) + (self.shortcut(x) if self.shortcut else x)
        return F.relu(y, inplace=True) if self.activation else y


def resnet(counts, bottleneck):
    expansion = 4 if bottleneck else 1
    layers = [conv(3, 64, 7, 2, activation=nn.ReLU), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, count in enumerate(counts):
        width = 64 << stage
        for block in range(count):
            stride = 2 if block == 0 and stage > 0 else 1
            outputs = width * expansion
            if bottleneck:
                branch = nn.Sequential(
                    conv(inputs, width, 1, activation=nn.ReLU),
                    conv(width, width, 3, stride, activation=nn.ReLU),
                    conv(width, outputs, 1),
                )
            else:
                branch = nn.Sequential(
                    conv(inputs, width, 3, stride, activation=nn.ReLU), conv(width, width, 3)
                )
            bridged = stride > 1 or inputs != outputs
            shortcut = conv(inputs, outputs, 1, stride) if bridged else None
            layers.append(Residual(branch, shortcut, True))
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    return nn.Sequential(*layers)


def mobilenet_v2():
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    table += [(6, 160, 3, 2), (6, 320, 1, 1)]
    layers = [conv(3, 32, 3, 2, activation=nn.ReLU6)]
    inputs = 32
    for factor, outputs, count, first_stride in table:
        for block in range(count):
            stride = first_stride if block == 0 else 1
            wide = inputs * factor
            branch = [conv(inputs, wide, 1, activation=nn.ReLU6)] if factor > 1 else []
            branch += [
                conv(wide, wide, 3, stride, groups=wide, activation=nn.ReLU6),
                conv(wide, outputs, 1),
            ]
            branch = nn.Sequential(*branch)
            layers.append(Residual(branch, None, False) if block else branch)
            inputs = outputs
    layers += [conv(inputs, 1280, 1, activation=nn.ReLU6)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


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


class Gpt2(nn.Module):
    def __init__(self, width=768, heads=12, layers=12, vocabulary=50257, time=128):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(time, width))
        mlp = lambda: nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * width, width),
        )
        self.blocks = nn.ModuleList()
        for _ in range(layers):
            attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
            self.blocks += [attention, mlp()]
        self.final = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions
        for block in self.blocks:
            x = x + block(x)
        return F.linear(self.final(x), self.tokens.weight).flatten(0, 1)


def images(network, batch):
    batch = 1 if "--batch-1" in sys.argv else batch
    x, target = torch.randn(batch, 3, 224, 224), torch.randint(1000, (batch,))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network, lambda: F.cross_entropy(network(x), target).backward()


def gpt_2():
    network = Gpt2()
    ids, target = torch.randint(50257, (1, 128)), torch.randint(50257, (128,))
    return network, lambda: F.cross_entropy(network(ids), target).backward()


def lstm():
    network = nn.LSTM(256, 256, batch_first=True)
    x, cotangent = torch.randn(16, 200, 256), torch.randn(16, 200, 256)
    return network, lambda: network(x)[0].backward(cotangent)


CASES = {
    "resnet-18": lambda: images(resnet([2, 2, 2, 2], False), 4),
    "resnet-50": lambda: images(resnet([3, 4, 6, 3], True), 2),
    "mobilenet-v2": lambda: images(mobilenet_v2(), 4),
    "gpt-2": gpt_2,
    "lstm": lstm,
}

torch.set_num_threads(2)
torch.manual_seed(0)
model, run = CASES[sys.argv[1]]()
watch = Watch(model) if "--hooks" in sys.argv else None
for _ in sys.stdin:
    model.zero_grad()
    start = time.perf_counter()
    run()
    if watch:
        watch.finish()
    print(time.perf_counter() - start, flush=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"peak memory {peak / 1024:.0f} MiB", file=sys.stderr)
