"""Makes the models of `non_finite/`: networks that reach the borders of what their functions are
defined on, exported by PyTorch, and `gradients.json`, PyTorch's own gradients of them in float64:
of every parameter the norm (null where it is no number) and how many elements are not finite.

    python non_finite.py

Made with PyTorch 2.15 on a CPU, by the exporter that writes a network as it was traced.
"""

import contextlib
import io
import json
import math
import pathlib
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent / "non_finite"
expected = {}


def numbers(seed, *shape):
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def save(name, model, inputs, truth=None):
    """`truth` is a network with the model's weights whose gradients are meant, where PyTorch
    exports the model as another one than it runs itself."""
    tensors = [torch.from_numpy(x) for x in inputs.values()]
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        torch.onnx.export(
            model, tuple(tensors), str(HERE / f"{name}.onnx"), dynamo=False,
            input_names=list(inputs), output_names=["out"],
            training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False,
        )
    np.savez(HERE / f"{name}.npz", **inputs)
    judged = (truth or model).double()
    judged.zero_grad()
    judged(*(x.double() for x in tensors)).sum().backward()
    expected[name] = {}
    for parameter, value in judged.named_parameters():
        gradient = value.grad
        norm = gradient.norm().item()
        expected[name][parameter] = {
            "l2": norm if math.isfinite(norm) else None,
            "non_finite": int((~gradient.isfinite()).sum()),
        }


class Net(nn.Module):
    """A body, and a function of what comes out of it and of the inputs."""

    def __init__(self, body, function):
        super().__init__()
        self.f, self.function = body, function

    def forward(self, *inputs):
        return self.function(self.f, *inputs)


def mlp(inputs=6, outputs=4):
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


torch.manual_seed(0)
for name, act in {
    "relu": torch.relu,
    "relu6": F.relu6,
    "clamp": lambda t: torch.clamp(t, 0.0, 1.0),
    "leaky": lambda t: F.leaky_relu(t, 0.1),
    "max": lambda t: torch.maximum(t, torch.zeros(())),
    "where": lambda t: torch.where(t > 0, t, torch.zeros(())),
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "softshrink": F.softshrink,
    "abs": torch.abs,
}.items():
    torch.manual_seed(0)
    body = nn.Linear(2, 4, bias=False)
    model = Net(body, lambda f, x: torch.sqrt((act(f(x)) * 0).sum(1)).sum())
    save(f"nan_through_{name}", model, {"x": np.array([[1.0, 2.0]], np.float32)})

torch.manual_seed(0)
x = numbers(0, 8, 6)
save("sqrt_of_relu", Net(mlp(), lambda f, x: torch.sqrt(F.relu(f(x))).mean()), {"x": x})


def log_where_positive(f, x):
    h = f(x)
    return torch.where(h > 0, torch.log(F.relu(h)), h).mean()


save("log_of_relu_in_a_where", Net(mlp(), log_where_positive), {"x": x})

body = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4, bias=False), nn.ReLU())
with torch.no_grad():
    body[0].bias.fill_(-100.0)
save(
    "cosine_of_zeros",
    Net(body, lambda f, x, t: 1 - F.cosine_similarity(f(x), t, dim=1).mean()),
    {"x": x, "t": numbers(1, 8, 4)},
)


def triplet(f, a, p, n):
    a, p, n = f(a), f(p), f(n)
    near, far = (torch.sqrt(((a - other) ** 2).sum(1)) for other in (p, n))
    return torch.relu(near - far + 1.0).mean()


a = numbers(0, 6, 8)
p = a + 0.1 * numbers(1, 6, 8)
p[0] = a[0]
save("triplet_with_a_pair_of_one", Net(mlp(8), triplet), {"a": a, "p": p, "n": numbers(2, 6, 8)})


def deviation(f, x):
    return torch.relu(f(x)).std(0).mean()


def deviation_as_exported(f, x):
    h = torch.relu(f(x))
    count = h.shape[0]
    square = ((h - h.mean(0, keepdim=True)) ** 2).mean(0)
    return torch.sqrt(square * count / torch.tensor(count - 1.0)).mean()


for name, rows in {"deviation_of_a_constant": 5, "deviation_of_one_row": 1}.items():
    torch.manual_seed(0)
    body = nn.Linear(4, 6)
    if rows > 1:
        with torch.no_grad():
            body.weight[0].zero_()
            body.bias[0], body.bias[1] = 1.0, -50.0
    truth = Net(body, deviation_as_exported)
    save(name, Net(body, deviation), {"x": numbers(0, rows, 4)}, truth)

(HERE / "gradients.json").write_text(json.dumps(expected, indent=1) + "\n")
