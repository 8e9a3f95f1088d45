"""Makes the models of `models/` and their gradients by PyTorch, in double precision.

    python generate.py

Small networks that between them have the layers of most exported models, by both of PyTorch's
exporters. The gradients are of the module in training mode from the float32 weights.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent / "models"


class Squeeze(nn.Module):
    """A mobile block: depthwise, squeeze and excitation, hard-swish."""

    def __init__(self, channels):
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * channels)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.bn2 = nn.BatchNorm2d(2 * channels)
        self.se1 = nn.Conv2d(2 * channels, 4, 1)
        self.se2 = nn.Conv2d(4, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x):
        y = F.hardswish(self.bn1(self.expand(x)))
        y = F.hardswish(self.bn2(self.depthwise(y)))
        s = F.adaptive_avg_pool2d(y, 1)
        s = F.hardsigmoid(self.se2(F.relu(self.se1(s))))
        return x + self.project(y * s)


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.block = Squeeze(4)
        self.norm = nn.GroupNorm(2, 4)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu6(self.stem(x)), 2)
        x = F.gelu(self.norm(self.block(x)))
        return self.head(x.mean((2, 3)))


class Tokens(nn.Module):
    """An embedding, a causal transformer layer and logits a token."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.position = nn.Parameter(torch.randn(6, 8) * 0.1)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)
        self.up = nn.Linear(8, 16)
        self.down = nn.Linear(16, 8)
        self.head = nn.Linear(8, 11, bias=False)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position
        y = self.qkv(self.norm(x))
        q, k, v = y[..., :8], y[..., 8:16], y[..., 16:]
        split = lambda t: t.unflatten(-1, (2, 4)).transpose(1, 2)
        y = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        x = x + self.down(F.gelu(self.up(x), approximate="tanh"))
        return self.head(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.rnn = nn.RNN(8, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        x, _ = self.gru(x)
        x, _ = self.rnn(x)
        return torch.sigmoid(self.head(x[:, -1]))


class Autoencoder(nn.Module):
    """Transposed convolution, PReLU, interpolation, instance norm; no classes at the end."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.prelu = nn.PReLU(4)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.out = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        x = self.norm(self.prelu(self.down(x)))
        x = F.interpolate(F.leaky_relu(self.up(x), 0.2), scale_factor=2.0, mode="nearest")
        return self.out(F.pad(F.elu(x), (1, 1, 1, 1), mode="reflect"))


def models():
    image = torch.randn(4, 3, 16, 16)
    yield "mobile", Mobile(), image, "cross_entropy", True
    yield "mobile_torchscript", Mobile(), image, "cross_entropy", False
    yield "tokens", Tokens(), torch.randint(0, 11, (2, 6)), "cross_entropy", True
    yield "recurrent", Recurrent(), torch.randn(3, 7, 3), "bce", False
    yield "autoencoder", Autoencoder(), torch.randn(2, 1, 8, 8), "mse", False


def statistics(gradient):
    return {
        "shape": list(gradient.shape),
        "grad_l2": gradient.norm().item(),
        "grad_mean": gradient.mean().item(),
        "grad_max_abs": gradient.abs().max().item(),
        "grad_zero_fraction": (gradient == 0).double().mean().item(),
    }


def main():
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(0)
    golden = {}
    for name, module, x, loss, dynamo in models():
        module.train()
        path = HERE / f"{name}.onnx"
        options = {"dynamo": True, "external_data": False, "optimize": False} if dynamo else {"dynamo": False}
        torch.onnx.export(
            module,
            (x,),
            path,
            input_names=["x"],
            output_names=["y"],
            opset_version=20 if dynamo else 17,
            training=torch.onnx.TrainingMode.TRAINING,
            do_constant_folding=False,
            **options,
        )
        module = module.train().double()
        y = module(x.double() if x.is_floating_point() else x)
        data = {"x": x.contiguous()}
        if loss == "cross_entropy":
            target = torch.randint(0, y.shape[-1], y.shape[:-1])
            value = F.cross_entropy(y.flatten(0, -2), target.flatten())
            data["target"] = target
        elif loss == "bce":
            target = torch.randint(0, 2, y.shape)
            value = F.binary_cross_entropy(y, target.double())
            data["target"] = target
        else:
            target = torch.randn(y.shape)
            value = F.mse_loss(y, target.double())
            data["target"] = target
        value.backward()
        save_file(data, HERE / f"{name}.safetensors")
        (HERE / f"{name}.safetensors").chmod(0o644)
        golden[name] = {
            "loss": loss,
            "value": value.item(),
            "parameters": {n: statistics(p.grad) for n, p in module.named_parameters()},
        }
    what = f"gradients by PyTorch {torch.__version__} in float64, see generate.py"
    text = json.dumps({"what": what, "models": golden}, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


main()
