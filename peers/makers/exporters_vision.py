"""Everyday networks without recurrence or attention, by both of PyTorch's exporters at every opset."""

import numpy as np
import torch
import torch.nn.functional as F
from _peers import Folder, add_torch
from torch import nn

torch.manual_seed(0)
draw = np.random.default_rng(0)


def normal(*shape):
    return draw.standard_normal(shape).astype(np.float32)


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        nn.init.zeros_(self.fc1.bias)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x):
        return self.fc3(torch.tanh(self.fc2(F.relu(self.fc1(x)))))


class Convolutions(nn.Module):
    """Fresh batch norms: equal scales and shifts in every layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        return self.head(F.relu(self.bn2(self.conv2(x))).mean((2, 3)))


class LayerScaled(nn.Module):
    """As in ConvNeXt: depthwise convolution, LayerNorm of channels last, a scale a channel."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 2, 2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm = nn.LayerNorm(6)
        self.expand, self.project = nn.Linear(6, 12), nn.Linear(12, 6)
        self.gamma = nn.Parameter(torch.full((6,), 0.1))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.project(F.gelu(self.expand(y)))
        return self.head((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


class Slopes(nn.Module):
    """PReLU, with a slope a channel and with one for all."""

    def __init__(self):
        super().__init__()
        self.conv, self.act1 = nn.Conv2d(3, 4, 3), nn.PReLU(4)
        self.fc, self.act2 = nn.Linear(4 * 36, 5), nn.PReLU()
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.act2(self.fc(self.act1(self.conv(x)).flatten(1))))


class Norms(nn.Module):
    """Group and instance norms with fresh scales and shifts."""

    def __init__(self):
        super().__init__()
        self.conv1, self.group = nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)
        self.conv2, self.instance = nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4, affine=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = F.silu(self.group(self.conv1(x)))
        return self.head(F.silu(self.instance(self.conv2(x))).square().mean((2, 3)))


class Audio(nn.Module):
    """Convolution and transposed convolution of one axis."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv1d(2, 4, 4, 2, 1), nn.ConvTranspose1d(4, 2, 4, 2, 1)
        self.out = nn.Conv1d(2, 1, 1)

    def forward(self, x):
        return self.out(x + self.up(F.leaky_relu(self.down(x), 0.1)))


class Normalised(nn.Module):
    """Weight norm: direction and length are trained, their product is not."""

    def __init__(self):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.fc1, self.fc2 = norm(nn.Linear(6, 8)), norm(nn.Linear(8, 3))

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


class ReZero(nn.Module):
    """Residual branches times a trained number each, which starts at 0."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.alpha = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in range(3))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x)
        for block, alpha in zip(self.blocks, self.alpha):
            x = x + alpha * torch.tanh(block(x))
        return self.head(x)


class Contrastive(nn.Module):
    """As in CLIP: two towers, and the exponential of a trained scale."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(6, 4, bias=False), nn.Linear(5, 4, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))

    def forward(self, image, text):
        image, text = F.normalize(self.image(image), dim=-1), F.normalize(self.text(text), dim=-1)
        return self.logit_scale.exp() * image @ text.t()


def weight_of(layer):
    """The gradient of the weight that a parametrisation computes."""

    def gradient(module, run):
        with nn.utils.parametrize.cached():
            value = run()
            return torch.autograd.grad(value, module.get_submodule(layer).weight)[0]

    return gradient


# What the newer exporter computes in advance.
FOLDED = {
    "weight_norm": {
        f"{layer}.parametrizations.weight.original0+{layer}.parametrizations.weight.original1": weight_of(layer)
        for layer in ("fc1", "fc2")
    },
    "logit_scale": {"logit_scale": lambda module, _: module.logit_scale.grad / module.logit_scale.exp()},
}
folder = Folder()
# Taking a file to opset 17 loses what the newer exporter notes of parameters: of equal ones that
# nothing else tells apart it has one. gradprobe says so.
NO_EQUAL = {"rezero": {"dynamo": range(18, 26)}}
classes = np.arange(4) % 3
rows, images = {"x": normal(4, 6)}, {"x": normal(4, 3, 8, 8)}
for name, module, inputs in (
    ("mlp", Perceptron(), rows),
    ("convolutions_batch_norm", Convolutions(), images),
    ("layer_scale", LayerScaled(), images),
    ("prelu", Slopes(), images),
    ("group_instance_norm", Norms(), images),
    ("weight_norm", Normalised(), rows),
    ("rezero", ReZero(), rows),
):
    # Its optimiser folds batch norms into convolutions, as no training run does.
    optimize = name != "convolutions_batch_norm"
    folded = FOLDED.get(name, {})
    add_torch(folder, name, module, inputs, classes, "cross-entropy", folded=folded, optimize=optimize, **NO_EQUAL.get(name, {}))
add_torch(folder, "conv_transpose_1d", Audio(), {"x": normal(3, 2, 8)}, normal(3, 1, 8), "mse")
pairs = {"image": normal(4, 6), "text": normal(4, 5)}
add_torch(folder, "logit_scale", Contrastive(), pairs, np.arange(4), "cross-entropy", folded=FOLDED["logit_scale"])
folder.close()
