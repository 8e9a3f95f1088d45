"""Networks in which values fork: what a layer hands on is read by more than the next layer.

`LAYERS` of a network says, by the name of a layer in the report, the module whose output ends it:
that of its activation where nothing else reads what comes before it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from _peers import Folder, add_torch
from torch import nn

FORMS = {"dynamo": [18, 23], "script": [17, 20]}


class Network(nn.Module):
    """Modules by name, and a function of them and the inputs."""

    def __init__(self, forward, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.function = forward

    def forward(self, *inputs):
        return self.function(self, *inputs)


def lin(inputs, outputs):
    return nn.Linear(inputs, outputs)


def conv(inputs, outputs, size=3, **more):
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, **more)


def rms(x):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def layer_norm(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)


def residual(m, x):
    h = m.ra(m.a(x))
    h = h + m.c(m.rb(m.b(h)))
    h = h + m.e(m.rd(m.d(h)))
    return m.f(h)


def dense(m, x):
    a = m.ra(m.a(x))
    b = m.rb(m.b(a))
    c = m.rc(m.c(torch.cat([a, b], 1)))
    return m.f(torch.cat([a, b, c], 1))


def u_net(m, x):
    a = m.ra(m.a(x))
    b = m.rb(m.b(F.max_pool2d(a, 2)))
    c = m.rc(m.c(F.max_pool2d(b, 2)))
    d = m.rd(m.d(torch.cat([F.interpolate(c, scale_factor=2.0), b], 1)))
    e = m.re(m.e(torch.cat([F.interpolate(d, scale_factor=2.0), a], 1)))
    return m.f(e.mean((2, 3)))


def squeeze_excite(m, x):
    a = m.ra(m.a(x))
    s = torch.sigmoid(m.up(m.rd(m.down(a.mean((2, 3))))))
    return m.f((a * s[:, :, None, None]).mean((2, 3)))


def gated(m, x):
    h = m.ra(m.a(x))
    return m.f(m.value(h) * torch.sigmoid(m.gate(h)))


def swiglu(m, x):
    h = m.ra(m.a(x))
    return m.f(m.sg(m.gate(h)) * m.up(h))


def glu(m, x):
    return m.f(F.glu(m.a(x), -1))


def response_norm(m, x):
    x = F.max_pool2d(F.local_response_norm(m.ra(m.a(x)), 5, 1e-4, 0.75, 2.0), 2)
    x = F.max_pool2d(F.local_response_norm(m.rb(m.b(x)), 5, 1e-4, 0.75, 2.0), 2)
    return m.f(x.flatten(1))


def rms_written_out(m, x):
    return m.f(rms(m.rb(m.b(rms(m.ra(m.a(x)))))))


def norm_written_out(m, x):
    return m.f(layer_norm(m.rb(m.b(layer_norm(m.ra(m.a(x)))))))


def activity_penalty(m, x):
    h = m.ra(m.a(x))
    return m.f(h).pow(2).mean() + 1e-6 * h.pow(2).mean()


def sparse_penalty(m, x):
    h = m.sa(m.a(x))
    return m.f(h).pow(2).mean() + 0.1 * h.abs().mean()


def heads(m, x):
    h = m.rb(m.b(m.ra(m.a(x))))
    return m.f(h).pow(2).mean() + 0.3 * torch.tanh(m.g(h)).mean()


def weight_decay(m, x):
    o = m.b(m.ra(m.a(x)))
    return (o - 0.5).pow(2).mean() + 1e-2 * sum((p**2).sum() for p in m.parameters())


def tied(m, x):
    h = m.ra(m.a(x))
    return F.linear(m.rb(m.b(h)), m.a.weight.t())


def attention(m, x):
    h = m.ra(m.a(x))
    q, k, v = m.q(h), m.k(h), m.v(h)
    return m.f(torch.softmax(q @ k.transpose(1, 2) / 4, -1) @ v + h).mean(1)


def packed_attention(m, x):
    q, k, v = m.qkv(x).chunk(3, -1)
    return m.f(torch.softmax(q @ k.transpose(1, 2) / 4, -1) @ v).mean(1)


def auxiliary(m, x):
    a = m.ra(m.a(x))
    b = m.rb(m.b(a))
    return m.f(b).pow(2).mean() + 0.3 * m.g(a).pow(2).mean()


def highway(m, x):
    a = m.ra(m.a(x))
    t = m.st(m.t(a))
    return m.f(m.rh(m.h(a)) * t + a * (1 - t))


def siamese(m, x, y):
    def one(x):
        return m.b(torch.relu(m.a(x)))

    return (one(x) - one(y)).pow(2).sum(1).mean()


def triplet(m, x):
    z = m.b(m.ra(m.a(x)))
    a, p, n = z[:4], z[4:8], z[8:]
    return torch.relu((a - p).pow(2).sum(1) - (a - n).pow(2).sum(1) + 1.0).mean()


def unrolled(m, x):
    h = torch.zeros(x.shape[0], 8)
    h = h.to(x.dtype)
    for step in range(4):
        h = torch.tanh(m.i(x[:, step]) + m.h(h))
    return m.f(h)


def experts(m, x):
    h = m.ra(m.a(x))
    g = torch.softmax(m.gate(h), -1)
    e = torch.stack([m.e1(h), m.e2(h), m.e3(h)], -1)
    return m.f((e * g[:, None, :]).sum(-1))


def inception(m, x):
    a = m.ra(m.a(x))
    parts = [m.r1(m.c1(a)), m.r3(m.c3(m.r2(m.c2(a)))), m.r4(m.c4(F.avg_pool2d(a, 3, 1, 1)))]
    return m.f(torch.cat(parts, 1).mean((2, 3)))


def pyramid(m, x):
    a = m.ra(m.a(x))
    b = m.rb(m.b(a))
    top = m.lb(b)
    low = m.la(a) + F.interpolate(top, scale_factor=2.0)
    return m.f(low.mean((2, 3)) + top.mean((2, 3)))


def silu_written_out(m, x):
    h = m.a(x)
    h = m.b(h * torch.sigmoid(h))
    return m.f(h * torch.tanh(F.softplus(h)))


def gelus(m, x):
    return m.f(m.gb(m.b(m.ga(m.a(x)))))


def cube(m, x):
    h = m.ra(m.a(x))
    return m.f(h + 1e-4 * h**3)


def cosine(m, x):
    a = m.a(x)
    b = m.b(x)
    a = a / a.norm(dim=1, keepdim=True)
    b = b / b.norm(dim=1, keepdim=True)
    return (a * b).sum(1).mean()


def long_skip(m, x):
    a = m.ra(m.a(x))
    b = m.rb(m.b(a)) + a
    c = m.rc(m.c(b)) + b + a
    return m.f(torch.cat([c, a], 1))


def variational(m, x):
    h = m.ra(m.a(x))
    mean, log = m.mean(h), m.log(h)
    z = mean + torch.exp(0.5 * log) * 0.7
    divergence = -0.5 * (1 + log - mean**2 - torch.exp(log)).mean()
    return (m.f(z) - x).pow(2).mean() + divergence


def shuffled(m, x):
    a, b = m.ra(m.a(x)).chunk(2, 1)
    b = m.rb(m.b(b))
    return m.f(torch.cat([a, b], 1).mean((2, 3)))


def global_pools(m, x):
    a = m.ra(m.a(x))
    return m.f(torch.cat([a.mean((2, 3)), a.amax((2, 3))], 1))


def rotary(m, x):
    q, k = m.q(x), m.k(x)

    def turn(v):
        return v * 0.8 + torch.cat([-v[..., 8:], v[..., :8]], -1) * 0.6

    return m.f(torch.softmax(turn(q) @ turn(k).transpose(1, 2) / 4, -1) @ x).mean(1)


def relus(**widths):
    """Linear layers with a ReLU each, called `r` and the layer's name."""
    modules = {}
    for name, (inputs, outputs) in widths.items():
        modules |= {name: lin(inputs, outputs), f"r{name}": nn.ReLU()}
    return modules


def convs(**widths):
    modules = {}
    for name, (inputs, outputs) in widths.items():
        modules |= {name: conv(inputs, outputs), f"r{name}": nn.ReLU()}
    return modules


VECTORS = [(12, 16)]
IMAGES = [(2, 3, 8, 8)]
SEQUENCES = [(3, 5, 16)]
ab = dict(a=(16, 24), b=(24, 24))
# name: function, modules, shapes of the inputs, layer: module whose output ends it
NETWORKS = {
    "residual": (residual, relus(a=(16, 24), b=(24, 24), d=(24, 24)) | dict(c=lin(24, 24), e=lin(24, 24), f=lin(24, 4)), VECTORS, dict(a="ra", b="rb", c="c", d="rd", e="e", f="f")),
    "dense": (dense, relus(a=(16, 8), b=(8, 8), c=(16, 8)) | dict(f=lin(24, 4)), VECTORS, dict(a="ra", b="rb", c="rc", f="f")),
    "u_net": (u_net, convs(a=(3, 4), b=(4, 6), c=(6, 8), d=(14, 6), e=(10, 4)) | dict(f=lin(4, 3)), IMAGES, dict(a="ra", b="rb", c="rc", d="rd", e="re", f="f")),
    "squeeze_excite": (squeeze_excite, convs(a=(3, 8)) | dict(down=lin(8, 4), rd=nn.ReLU(), up=lin(4, 8), f=lin(8, 3)), IMAGES, dict(a="ra", down="rd", f="f")),
    "gated": (gated, relus(a=(16, 24)) | dict(value=lin(24, 8), gate=lin(24, 8), f=lin(8, 3)), VECTORS, dict(a="ra", value="value", f="f")),
    "swiglu": (swiglu, relus(a=(16, 24)) | dict(gate=lin(24, 8), sg=nn.SiLU(), up=lin(24, 8), f=lin(8, 3)), VECTORS, dict(a="ra", gate="sg", up="up", f="f")),
    "glu": (glu, dict(a=lin(16, 24), f=lin(12, 3)), VECTORS, dict(a="a", f="f")),
    "response_norm": (response_norm, convs(a=(3, 8), b=(8, 8)) | dict(f=lin(32, 3)), IMAGES, dict(a="ra", b="rb", f="f")),
    "rms_written_out": (rms_written_out, relus(**ab) | dict(f=lin(24, 3)), VECTORS, dict(a="ra", b="rb", f="f")),
    "norm_written_out": (norm_written_out, relus(**ab) | dict(f=lin(24, 3)), VECTORS, dict(a="ra", b="rb", f="f")),
    "activity_penalty": (activity_penalty, relus(a=(16, 32)) | dict(f=lin(32, 4)), VECTORS, dict(a="ra", f="f")),
    "sparse_penalty": (sparse_penalty, dict(a=lin(16, 32), sa=nn.Sigmoid(), f=lin(32, 4)), VECTORS, dict(a="sa", f="f")),
    "heads": (heads, relus(**ab) | dict(f=lin(24, 4), g=lin(24, 2)), VECTORS, dict(a="ra", b="rb", f="f")),
    "weight_decay": (weight_decay, relus(a=(16, 32)) | dict(b=lin(32, 4)), VECTORS, dict(a="ra", b="b")),
    "tied": (tied, relus(a=(16, 16), b=(16, 16)), VECTORS, dict(a="ra", b="rb")),
    "attention": (attention, dict(a=lin(16, 16), ra=nn.ReLU(), q=lin(16, 16), k=lin(16, 16), v=lin(16, 16), f=lin(16, 4)), SEQUENCES, dict(a="ra", q="q", k="k", v="v")),
    "packed_attention": (packed_attention, dict(qkv=lin(16, 48), f=lin(16, 4)), SEQUENCES, dict(qkv="qkv")),
    "auxiliary": (auxiliary, relus(**ab) | dict(f=lin(24, 4), g=lin(24, 4)), VECTORS, dict(a="ra", b="rb", f="f", g="g")),
    "highway": (highway, relus(a=(16, 24), h=(24, 24)) | dict(t=lin(24, 24), st=nn.Sigmoid(), f=lin(24, 4)), VECTORS, dict(a="ra", h="rh", t="st", f="f")),
    "siamese": (siamese, dict(a=lin(16, 24), b=lin(24, 8)), [(6, 16), (6, 16)], {}),
    "triplet": (triplet, relus(a=(16, 24)) | dict(b=lin(24, 8)), VECTORS, dict(a="ra", b="b")),
    "unrolled": (unrolled, dict(i=lin(16, 8), h=lin(8, 8), f=lin(8, 3)), SEQUENCES, dict(f="f")),
    "experts": (experts, relus(a=(16, 24)) | dict(gate=lin(24, 3), e1=lin(24, 8), e2=lin(24, 8), e3=lin(24, 8), f=lin(8, 3)), VECTORS, dict(a="ra", e1="e1", e2="e2", e3="e3", f="f")),
    "inception": (inception, convs(a=(3, 8)) | dict(c1=conv(8, 4, 1), r1=nn.ReLU(), c2=conv(8, 4, 1), r2=nn.ReLU(), c3=conv(4, 6), r3=nn.ReLU(), c4=conv(8, 4, 1), r4=nn.ReLU(), f=lin(14, 3)), IMAGES, dict(a="ra", c1="r1", c2="r2", c3="r3", c4="r4", f="f")),
    "pyramid": (pyramid, convs(a=(3, 8)) | dict(b=conv(8, 8, 3, stride=2), rb=nn.ReLU(), la=conv(8, 4, 1), lb=conv(8, 4, 1), f=lin(4, 3)), IMAGES, dict(a="ra", b="rb", la="la", lb="lb", f="f")),
    "silu_written_out": (silu_written_out, dict(a=lin(16, 24), b=lin(24, 24), f=lin(24, 3)), VECTORS, dict(f="f")),
    "gelus": (gelus, dict(a=lin(16, 24), ga=nn.GELU(), b=lin(24, 24), gb=nn.GELU("tanh"), f=lin(24, 3)), VECTORS, dict(a="ga", b="gb", f="f")),
    "cube": (cube, relus(a=(16, 24)) | dict(f=lin(24, 3)), VECTORS, dict(a="ra", f="f")),
    "cosine": (cosine, dict(a=lin(16, 24), b=lin(16, 24)), VECTORS, dict(a="a", b="b")),
    "long_skip": (long_skip, relus(a=(16, 24), b=(24, 24), c=(24, 24)) | dict(f=lin(48, 3)), VECTORS, dict(a="ra", b="rb", c="rc", f="f")),
    "variational": (variational, relus(a=(16, 24)) | dict(mean=lin(24, 4), log=lin(24, 4), f=lin(4, 16)), VECTORS, dict(a="ra", mean="mean", log="log", f="f")),
    "shuffled": (shuffled, convs(a=(3, 8), b=(4, 4)) | dict(f=lin(8, 3)), IMAGES, dict(a="ra", b="rb", f="f")),
    "global_pools": (global_pools, convs(a=(3, 8)) | dict(f=lin(16, 3)), IMAGES, dict(a="ra", f="f")),
    "rotary": (rotary, dict(q=lin(16, 16), k=lin(16, 16), f=lin(16, 4)), SEQUENCES, dict(q="q", k="k")),
}

folder = Folder()
for number, (name, (function, modules, shapes, layers)) in enumerate(NETWORKS.items()):
    torch.manual_seed(number)
    draw = np.random.default_rng(number)
    for module in modules.values():
        # Biases and weights that are all different, so that no exporter takes two for one.
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
    names = ["x", "x2"][: len(shapes)]
    inputs = {key: draw.standard_normal(shape).astype(np.float32) for key, shape in zip(names, shapes)}
    add_torch(folder, name, Network(function, **modules), inputs, layers=layers, **FORMS)
folder.close()
