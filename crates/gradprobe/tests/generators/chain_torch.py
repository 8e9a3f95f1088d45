"""Writes tests/data/chain_torch.csv: gradients of scalar chains by PyTorch's autograd, per type.

Columns: activation, dtype, x, then w1 … w4, then df/dw1 … df/dw4 and df/dx as `.item()` prints them.
Run from crates/gradprobe: python3 tests/generators/chain_torch.py > tests/data/chain_torch.csv
"""
import math
import sys

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "identity": lambda u: u,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "leaky-relu": F.leaky_relu,
    "prelu": lambda u: F.prelu(u, torch.tensor([0.25], dtype=u.dtype)),
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu-tanh": lambda u: F.gelu(u, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "erf": torch.erf,
    "hard-tanh": F.hardtanh,
    "hard-sigmoid": F.hardsigmoid,
    "hard-swish": F.hardswish,
    "relu6": F.relu6,
    "log-sigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "sin": torch.sin,
    "arctan": torch.atan,
    "gaussian": lambda u: torch.exp(-u * u),
}
TYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
WEIGHTS = [[1.0] * 4, [1.5, -0.5, 2.0, 0.75]]

print(f"# torch {torch.__version__}, tests/generators/chain_torch.py")
for name, activation in ACTIVATIONS.items():
    for dtype_name, dtype in TYPES.items():
        for x in (100.0, 1.0, -0.75, 3.25, -12.0):
            for weights in WEIGHTS:
                w = [torch.tensor([v], dtype=dtype, requires_grad=True) for v in weights]
                start = torch.tensor([x], dtype=dtype, requires_grad=True)
                h = start
                try:
                    for weight in w:
                        h = activation(weight * h)
                    h.sum().backward()
                except (RuntimeError, NotImplementedError) as error:
                    print(f"{name} {dtype_name}: {error}", file=sys.stderr)
                    continue
                gradients = [v.grad.item() for v in w] + [start.grad.item()]
                cells = [name, dtype_name, repr(x), *map(repr, weights), *map(repr, gradients)]
                print(",".join(cells))
