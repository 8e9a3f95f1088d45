"""Networks in which a layer's output has several readers: each layer's output and its whole
cotangent, by hooks."""

import numpy as np
import torch
import torch.nn.functional as F
from _peers import Folder, add_torch
from torch import nn

FEW = {"dynamo": [18], "script": [17]}


def draw(seed, *shape):
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


class Activated(nn.Module):
    """A layer and its activation: the output of the two is the layer's."""

    def __init__(self, layer, activation):
        super().__init__()
        self.layer, self.activation = layer, activation

    def forward(self, x):
        return self.activation(self.layer(x))


class Responses(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = Activated(nn.Conv2d(3, 8, 5, padding=2), F.relu)
        self.c2 = Activated(nn.Conv2d(8, 12, 5, padding=2), F.relu)
        self.f = nn.Linear(12 * 16, 10)

    def forward(self, x):
        for layer in (self.c1, self.c2):
            x = F.max_pool2d(F.local_response_norm(layer(x), 5, 1e-4, 0.75, 2.0), 2)
        return self.f(x.flatten(1))


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.ModuleList(Activated(nn.Linear(16, 16), F.relu) for _ in range(6))
        self.h = nn.Linear(16, 4)

    def forward(self, x):
        for layer in self.l:
            x = layer(x)
            x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
        return self.h(x)


class Penalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Activated(nn.Linear(16, 32), F.relu), nn.Linear(32, 4)

    def forward(self, x):
        h = self.a(x)
        return self.b(h).pow(2).mean() + 1e-6 * h.pow(2).mean()


class Decayed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Activated(nn.Linear(16, 32), torch.tanh), nn.Linear(32, 4)

    def forward(self, x, t):
        return F.mse_loss(self.b(self.a(x)), t) + 1e-4 * sum((p**2).sum() for p in self.parameters())


torch.manual_seed(0)
folder = Folder()
classes = "cross-entropy"
images, rows = {"x": draw(0, 4, 3, 16, 16)}, {"x": draw(0, 8, 16)}
layers = {"c1": "c1", "c2": "c2", "f": "f"}
add_torch(folder, "local_response_norm", Responses(), images, np.arange(4), classes, layers=layers, **FEW)
layers = {f"l.{index}": f"l.{index}" for index in range(6)} | {"h": "h"}
add_torch(folder, "rms_norm_written_out", Normed(), rows, np.arange(8) % 4, classes, layers=layers, **FEW)
add_torch(folder, "activity_penalty", Penalised(), rows, layers={"a": "a", "b": "b"}, **FEW)
inputs = {**rows, "t": draw(1, 8, 4)}
# The newer exporter computes the squares of the weights in advance.
add_torch(folder, "weight_decay_in_loss", Decayed(), inputs, layers={"a": "a", "b": "b"}, dynamo=(), script=[17])
folder.close()
