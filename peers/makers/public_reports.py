"""Networks after public bug reports, whose gradients are told apart by what is zero, infinite or
NaN: square roots, logarithms and norms at zero; values that are read twice."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from _peers import Folder, add_torch
from torch import nn

FEW = {"dynamo": [18], "script": [17]}


def draw(seed, *shape):
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def perceptron(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Of(nn.Module):
    """A network and what is done with its output."""

    def __init__(self, network, then):
        super().__init__()
        self.f, self.then = network, then

    def forward(self, *inputs):
        return self.then(self.f, *inputs)


def dead(network):
    with torch.no_grad():
        network[0].bias.fill_(-100.0)
    return network


def flat(layer):
    """One feature is the same for every sample, one is always negative."""
    with torch.no_grad():
        layer.weight[0].zero_()
        layer.bias[0], layer.bias[1] = 1.0, -50.0
    return layer


def triplet(f, a, p, n):
    a, p, n = f(a), f(p), f(n)
    near, far = ((a - p) ** 2).sum(1).sqrt(), ((a - n) ** 2).sum(1).sqrt()
    return F.relu(near - far + 1.0).mean()


def halves(f, x):
    h = f(x)
    return torch.where(h > 0, torch.log(F.relu(h)), h).mean()


torch.manual_seed(0)
folder = Folder()
rows = {"x": draw(0, 8, 6)}
add_torch(folder, "sqrt_of_relu", Of(perceptron(6, 16, 4), lambda f, x: F.relu(f(x)).sqrt().mean()), rows, **FEW)
add_torch(folder, "log_of_relu_in_where", Of(perceptron(6, 16, 4), halves), rows, **FEW)
network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4, bias=False), nn.ReLU())
cosine = Of(dead(network), lambda f, x, t: 1 - F.cosine_similarity(f(x), t, dim=1).mean())
add_torch(folder, "cosine_of_zeros", cosine, {**rows, "t": draw(1, 8, 4)}, **FEW)
anchors = draw(0, 6, 8)
positives = anchors + 0.1 * draw(1, 6, 8)
positives[0] = anchors[0]
triplets = {"a": anchors, "p": positives, "n": draw(2, 6, 8)}
add_torch(folder, "triplet_of_equal_pair", Of(perceptron(8, 16, 4), triplet), triplets, **FEW)
for name, activation in (
    ("relu", F.relu),
    ("relu6", F.relu6),
    ("clamp", lambda t: torch.clamp(t, 0.0, 1.0)),
    ("leaky_relu", lambda t: F.leaky_relu(t, 0.1)),
    ("maximum", lambda t: torch.maximum(t, torch.zeros(()))),
):
    torch.manual_seed(0)
    network = Of(nn.Linear(2, 4, bias=False), lambda f, x, act=activation: (act(f(x)) * 0).sum(1).sqrt().sum())
    add_torch(folder, f"nan_through_{name}", network, {"x": np.array([[1, 2]], np.float32)}, dynamo=(), script=[17])


def deviation(f, x):
    # As the exporters write `std`: eager PyTorch gives zeros where they give NaN.
    h = F.relu(f(x))
    return (h - h.mean(0)).square().mean(0).mul(len(x) / max(len(x) - 1, 1)).sqrt().mean()


add_torch(folder, "deviation_of_constant", Of(flat(nn.Linear(4, 6)), deviation), {"x": draw(0, 5, 4)}, **FEW)
folder.close()
