"""Writes the tables beside it.

values.csv: every activation's value and derivative at chosen points, by mpmath with 60 digits
(no gradprobe formula is used; tails by the defining formulas at high precision). The points are
exact f64, written as the shortest decimal that reads back. `ln_abs` is the natural logarithm of |derivative|.

framework.csv: PyTorch's value and gradient at kinks and other special points, in f64.

../../../../../gradprobe/tests/data/zero_causes.csv: why PyTorch's gradient is 0 in a type, where it is: its own result, and the exact
derivative beside the type's smallest number.

Usage: python generate.py   (needs mpmath and torch)
"""
import csv
import os
from mpmath import mp, mpf, exp, log, tanh, sqrt, pi, erf, erfc, sin, cos, atan, log1p, expm1, sech, inf

mp.dps = 60
HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(HERE, "../../../../../gradprobe/tests/data")
SCALE = mpf("1.0507009873554804934193349852946")
ALPHA = mpf("1.6732632423543772848170429916717")
sigma = lambda x: 1 / (1 + exp(-x))
Phi = lambda x: erfc(-x / sqrt(2)) / 2
phi = lambda x: exp(-x * x / 2) / sqrt(2 * pi)
inner = lambda x: 2 * sqrt(2 / pi) * (x + mpf("0.044715") * x**3)
inner1 = lambda x: 2 * sqrt(2 / pi) * (1 + 3 * mpf("0.044715") * x**2)
softplus = lambda x: log1p(exp(x))


def precise(f):
    """f at a precision that survives the cancellation in its naive formula."""
    def g(x):
        with mp.workdps(60 + int(4 * abs(x)) + 400):
            return f(x)
    return g


TABLE = {
    "identity": (lambda x: x, lambda x: mpf(1)),
    "tanh": (tanh, precise(lambda x: 1 - tanh(x) ** 2)),
    "relu": (lambda x: max(x, 0), lambda x: mpf(x > 0)),
    "sigmoid": (sigma, precise(lambda x: sigma(x) * (1 - sigma(x)))),
    "leaky-relu": (lambda x: x if x > 0 else mpf(0.01) * x, lambda x: mpf(1) if x > 0 else mpf(0.01)),
    "leaky-relu=0.2": (lambda x: x if x > 0 else mpf(0.2) * x, lambda x: mpf(1) if x > 0 else mpf(0.2)),
    "prelu": (lambda x: x if x > 0 else mpf(0.25) * x, lambda x: mpf(1) if x > 0 else mpf(0.25)),
    "elu": (lambda x: x if x > 0 else expm1(x), lambda x: mpf(1) if x > 0 else exp(x)),
    "elu=2": (lambda x: x if x > 0 else 2 * expm1(x), lambda x: mpf(1) if x > 0 else 2 * exp(x)),
    "celu": (lambda x: x if x > 0 else expm1(x), lambda x: mpf(1) if x > 0 else exp(x)),
    "celu=2": (lambda x: x if x > 0 else 2 * expm1(x / 2), lambda x: mpf(1) if x > 0 else exp(x / 2)),
    "selu": (lambda x: SCALE * (x if x > 0 else ALPHA * expm1(x)), lambda x: SCALE * (mpf(1) if x > 0 else ALPHA * exp(x))),
    "gelu": (lambda x: x * Phi(x), lambda x: Phi(x) + x * phi(x)),
    "gelu-tanh": (lambda x: x * sigma(inner(x)), precise(lambda x: sigma(inner(x)) + x * sigma(inner(x)) * sigma(-inner(x)) * inner1(x))),
    "silu": (lambda x: x * sigma(x), lambda x: sigma(x) * (1 + x * sigma(-x))),
    "mish": (precise(lambda x: x * tanh(softplus(x))), precise(lambda x: tanh(softplus(x)) + x * sigma(x) * sech(softplus(x)) ** 2)),
    "softplus": (softplus, sigma),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "erf": (erf, lambda x: 2 / sqrt(pi) * exp(-x * x)),
    "hard-tanh": (lambda x: max(min(x, 1), -1), lambda x: mpf(abs(x) < 1)),
    "hard-sigmoid": (lambda x: max(min((x + 3) / 6, 1), 0), lambda x: mpf(abs(x) < 3) / 6),
    "hard-swish": (lambda x: x * max(min((x + 3) / 6, 1), 0), lambda x: mpf(0) if x <= -3 else mpf(1) if x >= 3 else (2 * x + 3) / 6),
    "relu6": (lambda x: max(min(x, 6), 0), lambda x: mpf(0 < x < 6)),
    "log-sigmoid": (lambda x: -log1p(exp(-x)), lambda x: sigma(-x)),
    "tanhshrink": (precise(lambda x: x - tanh(x)), lambda x: tanh(x) ** 2),
    "softshrink": (lambda x: x - mpf(0.5) if x > 0.5 else x + mpf(0.5) if x < -0.5 else mpf(0), lambda x: mpf(abs(x) > 0.5)),
    "hardshrink": (lambda x: x if abs(x) > 0.5 else mpf(0), lambda x: mpf(abs(x) > 0.5)),
    "sin": (sin, cos),
    "arctan": (atan, lambda x: 1 / (1 + x * x)),
    "gaussian": (lambda x: exp(-x * x), lambda x: -2 * x * exp(-x * x)),
    "exp": (exp, exp),
}
POINTS = [1e-300, 1e-20, 1e-8, 1e-3, 0.1, 0.3, 0.49, 0.7, 0.99, 1.25, 1.5, 2.0, 2.75, 3.5, 5.0, 5.99,
          7.5, 10.0, 18.0, 20.5, 26.0, 30.0, 37.0, 38.4, 50.0, 100.0, 300.0, 700.0, 745.0, 1000.0, 12345.678]


def values():
    with open(os.path.join(HERE, "values.csv"), "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["activation", "x", "value", "derivative", "ln_abs"])
        for name, (value, derivative) in TABLE.items():
            for x in [s * p for p in POINTS for s in (1, -1)]:
                m = mpf(x)
                v, d = mpf(value(m)), mpf(derivative(m))
                ln = "-inf" if d == 0 else mp.nstr(log(abs(d)), 25)
                out.writerow([name, repr(x), mp.nstr(v, 25), mp.nstr(d, 25), ln])


def pytorch():
    import torch
    import torch.nn.functional as F
    return torch, {
        "identity": lambda x: x * 1, "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid,
        "leaky-relu": lambda x: F.leaky_relu(x, 0.01), "leaky-relu=0.2": lambda x: F.leaky_relu(x, 0.2),
        "prelu": lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
        "elu": F.elu, "elu=2": lambda x: F.elu(x, 2.0), "celu": F.celu, "celu=2": lambda x: F.celu(x, 2.0),
        "selu": F.selu, "gelu": F.gelu, "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
        "mish": F.mish, "softplus": F.softplus, "softsign": F.softsign, "erf": torch.erf, "hard-tanh": F.hardtanh,
        "hard-sigmoid": F.hardsigmoid, "hard-swish": F.hardswish, "relu6": F.relu6, "log-sigmoid": F.logsigmoid,
        "tanhshrink": F.tanhshrink, "softshrink": F.softshrink, "hardshrink": F.hardshrink, "sin": torch.sin,
        "arctan": torch.atan, "gaussian": lambda x: torch.exp(-x * x), "exp": torch.exp,
    }


def framework():
    torch, table = pytorch()
    points = [-50.0, -21.0, -18.0, -9.5, -6.0, -3.0, -1.0, -0.5, -0.25, -1e-5, 0.0, 1e-5, 0.25, 0.5, 1.0, 3.0, 6.0, 9.5, 18.0, 21.0, 50.0]
    with open(os.path.join(HERE, "framework.csv"), "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["activation", "x", "value", "derivative"])
        for name, function in table.items():
            for point in points:
                x = torch.tensor([point], dtype=torch.float64, requires_grad=True)
                y = function(x)
                y.backward(torch.ones(1, dtype=torch.float64))
                out.writerow([name, repr(point), repr(y.item()), repr(x.grad.item())])


def zero_causes():
    torch, table = pytorch()
    # PyTorch writes these as several ops, which round one by one; here an activation is one op,
    # whose inner steps are f32's.
    composite = {"softsign", "tanhshrink", "gaussian"}
    smallest = {"f64": -1074, "f32": -149, "f16": -24, "bf16": -133}
    types = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    with open(os.path.join(LIBRARY, "zero_causes.csv"), "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["activation", "x", "dtype", "cause"])
        for name, function in table.items():
            for point in [100.0, 20.0, 10.0, 5.0, -5.0, -20.0]:
                exact = abs(mpf(TABLE[name][1](mpf(point))))
                for dtype, kind in types.items():
                    inner = torch.float32 if name in composite and kind.itemsize == 2 else kind
                    x = torch.tensor([point], dtype=inner, requires_grad=True)
                    function(x).backward(torch.ones(1, dtype=inner))
                    if x.grad.to(kind).item() != 0:
                        cause = "none"
                    elif exact == 0:
                        cause = "true_zero"
                    elif exact <= mpf(2) ** (smallest[dtype] - 1):
                        cause = "underflow"
                    else:
                        cause = "cancellation"
                    out.writerow([name, repr(point), dtype, cause])


values()
framework()
zero_causes()
