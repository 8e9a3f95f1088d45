"""Weights in a file beside the model, as PyTorch's default export writes them."""

import numpy as np
import torch
from _peers import Folder, add_torch
from torch import nn

torch.manual_seed(0)
draw = np.random.default_rng(0)


class Pooled(nn.Module):
    """Linear layers on three axes: MatMul and Add, whose weights are renamed."""

    def __init__(self, bias):
        super().__init__()
        self.a = nn.Linear(32, 64, bias)
        self.b = nn.Linear(64, 5, bias)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))).mean(1)


folder = Folder()
for name, bias in (("linear_bias", True), ("linear_no_bias", False)):
    inputs = {"x": draw.standard_normal((8, 7, 32)).astype(np.float32)}
    few = {"dynamo": [18, 25], "script": [17]}
    add_torch(folder, name, Pooled(bias), inputs, np.arange(8) % 5, "cross-entropy", **few)
folder.close()
