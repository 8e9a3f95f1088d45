"""Makes `fused/nodes/`: operators of onnxruntime's domain and of `ai.onnx.ml`, one a model.

    python fused_nodes.py

`cases.json` holds for every model its inputs, and the outputs and the gradients of
Σ cotangent · output by the same computation in PyTorch's float64. The outputs agree with
onnxruntime's in float32 to 2e-6 of their size, which is held here; `onnxruntime` is by how much they
differ, null where it runs the operator on no CPU. Needs onnx, onnxruntime and torch.
"""

import json
import math
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).parent / "fused" / "nodes"
MICROSOFT, TABULAR = "com.microsoft", "ai.onnx.ml"
GENERATOR = np.random.default_rng(15)
CASES, REFUSED = [], []


def normal(*shape):
    """Multiples of 1/64 about a standard normal distribution, short in a file."""
    return (np.round(GENERATOR.standard_normal(shape) * 64) / 64).astype(np.float32)


def whole(values, kind=np.int32):
    return np.array(values, kind)


def numbers(array, digits):
    return {"shape": list(array.shape), "data": [float(f"{x:.{digits}g}") for x in np.ravel(array).tolist()]}


def distance(got, expected):
    expected = expected.detach().numpy()
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return np.abs(got - expected).max() / max(1.0, np.abs(expected).max())


def case(name, op, inputs, function, domain=MICROSOFT, outputs=("y",), cpu=True, **attributes):
    """`function` takes the inputs as tensors and returns the outputs that are named."""
    names = ["" if x is None else f"x{k}" for k, x in enumerate(inputs)]
    node = helper.make_node(op, names, outputs, name="node", domain=domain, **attributes)
    given = {n: x for n, x in zip(names, inputs) if x is not None}
    leaves = {
        n: torch.tensor(x, dtype=torch.float64 if x.dtype == np.float32 else torch.int64) for n, x in given.items()
    }
    for leaf in leaves.values():
        leaf.requires_grad_(leaf.is_floating_point())
    expected = function(*[leaves.get(n) for n in names])
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    named = [n for n in outputs if n]
    kinds = [TensorProto.FLOAT if y.is_floating_point() else TensorProto.INT32 for y in expected]
    model = helper.make_model(
        helper.make_graph(
            [node],
            name,
            [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given.items()],
            [helper.make_tensor_value_info(n, kind, None) for n, kind in zip(named, kinds)],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1), helper.make_opsetid(TABULAR, 3)],
    )
    model.ir_version = 10
    onnx.save(model, HERE / f"{name}.onnx")
    seen = None
    if cpu:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        seen = max(distance(y, known) for y, known in zip(session.run(named, given), expected))
        assert seen <= 2e-6, (name, seen)
    real = [(n, y) for n, y in zip(named, expected) if y.is_floating_point()]
    cotangents = [(n, torch.tensor(normal(*y.shape), dtype=torch.float64)) for n, y in real]
    total = sum((y * g).sum() for (_, y), (_, g) in zip(real, cotangents))
    if total.requires_grad:
        total.backward()
    CASES.append(
        {
            "name": name,
            "domain": domain,
            "op": op,
            "inputs": {n: numbers(x, 9) for n, x in given.items()},
            "outputs": {n: numbers(y.detach().numpy(), 12) for n, y in zip(named, expected)},
            "onnxruntime": None if seen is None else float(f"{seen:.1e}"),
            "cotangents": {n: numbers(g.numpy(), 9) for n, g in cotangents},
            "gradients": {
                n: numbers((torch.zeros_like(x) if x.grad is None else x.grad).numpy(), 12)
                for n, x in leaves.items()
                if x.is_floating_point()
            },
        }
    )


def refused(op, says, inputs, domain=MICROSOFT, **attributes):
    """A model whose message says so."""
    names = ["" if x is None else f"x{k}" for k, x in enumerate(inputs)]
    given = {n: x for n, x in zip(names, inputs) if x is not None}
    node = helper.make_node(op, names, ["y"], name="wrong", domain=domain, **attributes)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given.items()]
    name = f"refused_{len(REFUSED):02}"
    graph = helper.make_graph([node], name, infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1), helper.make_opsetid(TABULAR, 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 10
    onnx.save(model, HERE / f"{name}.onnx")
    inputs = {n: numbers(x, 9) for n, x in given.items()}
    REFUSED.append({"name": name, "says": f"{op} `wrong`: {says}", "inputs": inputs})


def tanh_gelu(x):
    return F.gelu(x, approximate="tanh")


def activations():
    case("gelu", "Gelu", [normal(2, 5)], F.gelu)
    case("fast_gelu", "FastGelu", [normal(2, 5)], tanh_gelu)
    case("fast_gelu_bias", "FastGelu", [normal(2, 3, 5), normal(5)], lambda x, b: tanh_gelu(x + b))
    case("bias_gelu", "BiasGelu", [normal(2, 3, 5), normal(5)], lambda x, b: F.gelu(x + b))
    case("quick_gelu", "QuickGelu", [normal(2, 5)], lambda x: x * torch.sigmoid(1.702 * x))
    case("quick_gelu_alpha", "QuickGelu", [normal(2, 5)], lambda x: x * torch.sigmoid(0.5 * x), alpha=0.5)
    case("quick_gelu_one", "QuickGelu", [normal(2, 5)], F.silu, alpha=1.0)
    halves = lambda x, b: (x + b)[..., :3] * F.gelu((x + b)[..., 3:])
    case("bias_split_gelu", "BiasSplitGelu", [normal(2, 2, 6), normal(6)], halves, cpu=False)
    case("bias_add", "BiasAdd", [normal(2, 3, 4), normal(4), normal(2, 3, 4)], lambda x, b, z: x + b + z, cpu=False)


def products():
    def product(a, b, ta, tb, ba, bb, alpha):
        for flip, roll, side in ((ta, ba, 0), (tb, bb, 1)):
            x = (a, b)[side]
            if roll:
                x = x.movedim(0, -2)
            if flip and x.dim() > 1:
                x = x.transpose(-1, -2)
            a, b = (x, b) if side == 0 else (a, x)
        return alpha * (a @ b)

    def fused(name, a, b, ta=0, tb=0, ba=0, bb=0, alpha=1.0, op="FusedMatMul"):
        batches = {"transBatchA": ba, "transBatchB": bb} if op == "FusedMatMul" else {}
        function = lambda a, b: product(a, b, ta, tb, ba, bb, alpha)
        case(name, op, [a, b], function, transA=ta, transB=tb, alpha=alpha, **batches)

    fused("fused_matmul", normal(2, 3, 4), normal(4, 5), alpha=0.125)
    fused("fused_matmul_a", normal(2, 4, 3), normal(2, 4, 5), ta=1)
    fused("fused_matmul_b", normal(2, 3, 4), normal(2, 5, 4), tb=1, alpha=-0.5)
    fused("fused_matmul_weight_b", normal(2, 3, 4), normal(5, 4), tb=1)
    fused("fused_matmul_batch_a", normal(3, 2, 2, 4), normal(2, 2, 4, 5), ba=1)
    fused("fused_matmul_batch_both", normal(4, 2, 3), normal(5, 2, 4), ta=1, tb=1, ba=1, bb=1)
    fused("fused_matmul_vector", normal(4), normal(4, 5), ta=1)
    fused("transpose_matmul", normal(2, 4, 3), normal(2, 4, 5), ta=1, op="TransposeMatMul")

    def conv(name, activation, function, parameters=(), z=False, bias=True, **more):
        inputs = [normal(2, 4, 5, 5), normal(4, 4 // more.get("group", 1), 3, 3), normal(4) if bias else None]
        inputs += [normal(2, 4, 3, 3)] if z else []
        options = {"groups": more.get("group", 1)}

        def computed(x, w, b=None, z=None):
            y = F.conv2d(x, w, b, **options)
            return function(y if z is None else y + z)

        parameters = {"activation_params": list(parameters)} if parameters else {}
        case(name, "FusedConv", inputs, computed, activation=activation, **parameters, **more)

    conv("fused_conv_relu", "Relu", torch.relu)
    conv("fused_conv_sigmoid", "Sigmoid", torch.sigmoid, bias=False)
    conv("fused_conv_tanh", "Tanh", torch.tanh, group=2)
    conv("fused_conv_leaky", "LeakyRelu", lambda y: F.leaky_relu(y, 0.25), [0.25])
    conv("fused_conv_clip", "Clip", lambda y: y.clamp(-1.0, 2.0), [-1.0, 2.0])
    conv("fused_conv_hard_sigmoid", "HardSigmoid", lambda y: (0.125 * y + 0.5).clamp(0, 1), [0.125, 0.5])
    conv("fused_conv_hard_swish", "HardSwish", F.hardswish)
    conv("fused_conv_sum", "Relu", torch.relu, z=True)

    def gemm(name, activation, function, **more):
        inputs = [normal(3, 4), normal(4, 5), normal(5)]
        case(name, "FusedGemm", inputs, lambda a, b, c: function(a @ b + c), activation=activation, **more)

    gemm("fused_gemm_relu", "Relu", torch.relu)
    gemm("fused_gemm_leaky", "LeakyRelu", lambda y: F.leaky_relu(y, 0.25), activation_alpha=0.25)
    gemm("fused_gemm_elu", "Elu", lambda y: F.elu(y, 0.5), activation_alpha=0.5)
    gemm("fused_gemm_tanh", "Tanh", torch.tanh)
    gemm("fused_gemm_softplus", "Softplus", F.softplus)
    function = lambda a, b, c: torch.sigmoid(0.5 * a.T @ b.T + 2.0 * c)
    inputs = [normal(4, 3), normal(5, 4), normal(5)]
    case("fused_gemm_scaled", "FusedGemm", inputs, function, activation="Sigmoid", transA=1, transB=1, alpha=0.5, beta=2.0)
    inputs = [normal(2, 3, 4), normal(4, 5), normal(5)]
    case("gemm_fast_gelu", "GemmFastGelu", inputs, lambda x, w, b: tanh_gelu(x @ w + b), cpu=False)
    inputs = [normal(2, 5, 5, 3), normal(4, 3, 3, 3), normal(4)]
    last = lambda x, w, b: F.conv2d(x.permute(0, 3, 1, 2), w, b, padding=1).permute(0, 2, 3, 1)
    case("nhwc_conv", "NhwcConv", inputs, last, cpu=False, pads=[1, 1, 1, 1])


def rms(x, scale, epsilon):
    return x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * scale


def norms():
    function = lambda x, scale: rms(x, scale, 1e-3)
    case("simplified", "SimplifiedLayerNormalization", [normal(2, 3, 6), normal(6)], function, domain="", epsilon=1e-3, axis=-1)

    def with_inverse(x, scale):
        return rms(x, scale, 1e-5), (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt()

    inputs = [normal(2, 3, 6), normal(6)]
    case("simplified_inverse", "SimplifiedLayerNormalization", inputs, with_inverse, domain="", outputs=("y", "r"))
    function = lambda x, scale, shift: F.layer_norm(x, (6,), scale, shift, 1e-5)
    inputs = [normal(2, 3, 6), normal(6), normal(6)]
    case("layer_of_microsoft", "LayerNormalization", inputs, function, cpu=False)

    def skip(x, z, scale, shift=None, bias=None, epsilon=1e-12):
        total = x + z if bias is None else x + z + bias
        return F.layer_norm(total, total.shape[-1:], scale, shift, epsilon), total

    first = lambda *inputs, **more: skip(*inputs, **more)[0]
    case("skip", "SkipLayerNormalization", [normal(2, 3, 6), normal(2, 3, 6), normal(6), normal(6)], first)
    case("skip_no_shift", "SkipLayerNormalization", [normal(2, 3, 6), normal(2, 3, 6), normal(6)], first)
    inputs = [normal(2, 3, 6), normal(3, 6), normal(6), normal(6), normal(6)]
    case("skip_sum", "SkipLayerNormalization", inputs, skip, outputs=("y", "", "", "total"))
    function = lambda *inputs: first(*inputs, epsilon=1e-2)
    case("skip_bias", "SkipLayerNormalization", [normal(2, 3, 6), normal(2, 3, 6), *inputs[2:]], function, epsilon=1e-2)

    def skip_simple(x, z, scale, bias=None):
        total = x + z if bias is None else x + z + bias
        return rms(total, scale, 1e-5), total

    name = "SkipSimplifiedLayerNormalization"
    inputs = [normal(2, 3, 6), normal(2, 3, 6), normal(6), normal(6)]
    case("skip_simplified", name, inputs[:3], lambda *inputs: skip_simple(*inputs)[0], epsilon=1e-5)
    case("skip_simplified_sum", name, inputs, skip_simple, outputs=("y", "", "", "total"), epsilon=1e-5)

    def group(x, scale, shift, silu, last):
        x = x.permute(0, 3, 1, 2) if last else x
        y = F.group_norm(x, 2, scale, shift, 1e-5)
        y = F.silu(y) if silu else y
        return y.permute(0, 2, 3, 1) if last else y

    for name, last, silu in (("group", 1, 0), ("group_silu", 1, 1), ("group_first", 0, 1)):
        inputs = [normal(2, 3, 3, 4) if last else normal(2, 4, 3, 3), normal(4), normal(4)]
        function = lambda x, scale, shift, silu=silu, last=last: group(x, scale, shift, silu, last)
        case(name, "GroupNorm", inputs, function, cpu=False, groups=2, activation=silu, channels_last=last)


BATCH, TIME, HEADS, DIM = 2, 3, 2, 4
WIDTH = HEADS * DIM


def in_heads(x, heads=HEADS):
    return x if x.dim() == 4 else x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attended(q, k, v, added=0.0, causal=False, scale=None, past=0, window=None, softcap=None):
    """Heads of queries [batch, heads, time, dim] may be a multiple of those of keys and values."""
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores + added
    apart = past + torch.arange(q.shape[2])[:, None] - torch.arange(k.shape[2])
    if causal:
        scores = scores.masked_fill(apart < 0, -math.inf)
    if window:
        scores = scores.masked_fill(apart >= window, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def hidden(shown, filter=-10000.0):
    return torch.where(shown > 0, 0.0, filter).double()


RAGGED = whole([2, 3])
RAW = whole([[1, 0, 1], [1, 1, 1]])
MASKS = {
    "lengths": (RAGGED, lambda m: hidden(torch.arange(TIME) < m[:, None])[:, None, None]),
    "raw": (RAW, lambda m: hidden(m)[:, None, None]),
    "rows": (whole(GENERATOR.integers(0, 2, (BATCH, TIME, TIME)) | np.eye(TIME, dtype=int)), lambda m: hidden(m)[:, None]),
    "packed": (whole([2, 3, 0, 3, 6, 0, 3, 6]), lambda m: hidden(torch.arange(TIME) < m[:2, None])[:, None, None]),
}


def multi_head():
    name = "MultiHeadAttention"
    q, k, v = (normal(BATCH, TIME, WIDTH) for _ in range(3))

    def plain(q, k, v, bias=None, mask=None, added=None, past_k=None, past_v=None, show=None, **more):
        if bias is not None:
            of_q, of_k, of_v = bias.split([q.shape[-1], bias.numel() - q.shape[-1] - v.shape[-1], v.shape[-1]])
            q, k, v = q + of_q, k + of_k, v + of_v
        q, k, v = map(in_heads, (q, k, v))
        past = 0 if past_k is None else past_k.shape[2]
        if past:
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        total = 0.0 if added is None else added
        total = total if mask is None else total + show(mask)
        return attended(q, k, v, total, past=past, **more), k, v

    first = lambda *inputs, **more: plain(*inputs, **more)[0]
    case("mha", name, [q, k, v], first, num_heads=HEADS)
    case("mha_scale", name, [q, k, v], lambda *x: first(*x, scale=0.25), num_heads=HEADS, scale=0.25)
    case("mha_bias", name, [q, k, v, normal(3 * WIDTH)], first, num_heads=HEADS)
    case("mha_causal", name, [q, k, v], lambda *x: first(*x, causal=True), num_heads=HEADS, unidirectional=1)
    case("mha_cross", name, [q, normal(BATCH, 5, WIDTH), normal(BATCH, 5, 6), normal(2 * WIDTH + 6)], first, num_heads=HEADS)
    for kind, (mask, show) in MASKS.items():
        function = lambda *x, show=show: first(*x, show=show)
        case(f"mha_mask_{kind}", name, [q, k, v, None, mask], function, num_heads=HEADS)
    mask, show = MASKS["raw"]
    inputs = [q, k, v, normal(3 * WIDTH), mask, normal(1, HEADS, TIME, TIME)]
    case("mha_all", name, inputs, lambda *x: first(*x, show=show, causal=True), num_heads=HEADS, unidirectional=1)
    show = lambda m: hidden(m, -2.0)[:, None, None]
    case("mha_filter", name, [q, k, v, None, RAW], lambda *x: first(*x, show=show), num_heads=HEADS, mask_filter_value=-2.0)
    state = [normal(BATCH, HEADS, 2, DIM), normal(BATCH, HEADS, 2, DIM)]
    outputs = ("y", "present_key", "present_value")
    inputs = [q, k, v, normal(3 * WIDTH), None, normal(BATCH, 1, TIME, TIME + 2), *state]
    function = lambda *x: plain(*x, causal=True)
    case("mha_past", name, inputs, function, outputs=outputs, num_heads=HEADS, unidirectional=1)
    packed = lambda x: first(*[part.flatten(2) for part in x.unbind(3)])
    case("mha_packed", name, [normal(BATCH, TIME, HEADS, 3, DIM)], packed, cpu=False, num_heads=HEADS)
    packed = lambda q, x: first(q, *[part.flatten(2) for part in x.unbind(3)])
    case("mha_packed_pairs", name, [q, normal(BATCH, 5, HEADS, 2, DIM)], packed, cpu=False, num_heads=HEADS)
    inputs = [q, normal(BATCH, HEADS, 5, DIM), normal(BATCH, HEADS, 5, DIM), normal(3 * WIDTH)]
    of_others = lambda q, k, v, bias: attended(in_heads(q + bias[:WIDTH]), k, v)
    case("mha_of_others", name, inputs, of_others, num_heads=HEADS)


def projected():
    name = "Attention"
    x, weight, bias = normal(BATCH, TIME, 5), normal(5, 3 * WIDTH), normal(3 * WIDTH)

    def plain(x, weight, bias=None, mask=None, past=None, added=None, show=None, sizes=(WIDTH,) * 3, **more):
        product = x @ weight if bias is None else x @ weight + bias
        q, k, v = map(in_heads, product.split(list(sizes), -1))
        before = 0 if past is None else past.shape[3]
        if before:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        total = 0.0 if added is None else added
        total = total if mask is None else total + show(mask)
        return attended(q, k, v, total, past=before, **more), torch.stack([k, v]) if before else None

    first = lambda *inputs, **more: plain(*inputs, **more)[0]
    case("attention", name, [x, weight, bias], first, num_heads=HEADS)
    case("attention_no_bias", name, [x, weight], first, num_heads=HEADS)
    case("attention_causal", name, [x, weight, bias], lambda *x: first(*x, causal=True), num_heads=HEADS, unidirectional=1)
    starts = (whole([2, 3, 1, 0]), lambda m: hidden((torch.arange(TIME) < m[:2, None]) & (torch.arange(TIME) >= m[2:, None]))[:, None, None])
    for kind, (mask, show) in {**MASKS, "starts": starts}.items():
        for causal in (False, True):
            function = lambda *x, show=show, causal=causal: first(*x, show=show, causal=causal)
            end = "_causal" if causal else ""
            case(f"attention_mask_{kind}{end}", name, [x, weight, bias, mask], function, num_heads=HEADS, unidirectional=int(causal))
    mask = whole(np.tril(np.ones((BATCH, 1, 5, 5))))
    show = lambda m: hidden(m[:, :, :TIME, :TIME])
    case("attention_mask_square", name, [x, weight, bias, mask], lambda *x: first(*x, show=show), cpu=False, num_heads=HEADS)
    inputs = [x, weight, bias, RAW, None, normal(1, HEADS, TIME, TIME)]
    show = MASKS["raw"][1]
    case("attention_added", name, inputs, lambda *x: first(*x, show=show), num_heads=HEADS)
    inputs = [x, weight, bias, None, normal(2, BATCH, HEADS, 2, DIM)]
    function = lambda *x: plain(*x, causal=True)
    case("attention_past", name, inputs, function, outputs=("y", "present"), num_heads=HEADS, unidirectional=1)
    sizes = [WIDTH, WIDTH, 6]
    inputs = [x, normal(5, sum(sizes)), normal(sum(sizes))]
    case("attention_sizes", name, inputs, lambda *x: first(*x, sizes=sizes), num_heads=HEADS, qkv_hidden_sizes=sizes)


def turned(x, cos, sin, interleaved=False):
    """x [..., time, dim]; cos and sin [..., time, pairs]."""
    pairs = cos.shape[-1]
    head, rest = x[..., : 2 * pairs], x[..., 2 * pairs :]
    a, b = (head[..., ::2], head[..., 1::2]) if interleaved else (head[..., :pairs], head[..., pairs:])
    both = [a * cos - b * sin, a * sin + b * cos]
    both = torch.stack(both, -1).flatten(-2) if interleaved else torch.cat(both, -1)
    return torch.cat([both, rest], -1)


def positions():
    name = "RotaryEmbedding"
    places = whole([[0, 1, 2], [2, 3, 4]], np.int64)
    x, cos, sin = normal(BATCH, TIME, WIDTH), normal(6, DIM // 2), normal(6, DIM // 2)

    def by_place(x, places, cos, sin, heads=HEADS, interleaved=False):
        flat = x.dim() == 3
        y = turned(in_heads(x, heads), cos[places][:, None], sin[places][:, None], interleaved)
        return y.transpose(1, 2).flatten(2) if flat else y

    case("rotary", name, [x, places, cos, sin], by_place)
    case("rotary_interleaved", name, [x, places, cos, sin], lambda *x: by_place(*x, interleaved=True), interleaved=1)
    case("rotary_heads", name, [normal(BATCH, HEADS, TIME, DIM), places, cos, sin], by_place)
    partial = [x, places, normal(6, 1), normal(6, 1)]
    case("rotary_partial", name, partial, by_place, num_heads=HEADS, rotary_embedding_dim=2)
    start = lambda x, place, cos, sin: by_place(x, place + torch.arange(TIME)[None], cos, sin)
    case("rotary_start", name, [x, whole([2], np.int64), cos, sin], start)


def grouped():
    name = "GroupQueryAttention"
    heads, shared, dim = 2, 1, 16
    width = shared * dim
    total = lambda time: [whole([time - 1] * BATCH), whole(time)]
    q, k, v = normal(BATCH, TIME, heads * dim), normal(BATCH, TIME, width), normal(BATCH, TIME, width)
    cos, sin = normal(6, dim // 2), normal(6, dim // 2)
    outputs = ("y", "present_key", "present_value")

    def plain(q, k, v, past_k=None, past_v=None, last=None, time=None, cos=None, sin=None, places=None, added=None, interleaved=False, **more):
        q, k, v = in_heads(q, heads), in_heads(k, shared), in_heads(v, shared)
        past = 0 if past_k is None else past_k.shape[2]
        if cos is not None:
            rows = slice(past, past + q.shape[2])
            q, k = (turned(x, cos[rows], sin[rows], interleaved) for x in (q, k))
        if past:
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        more = {"causal": True, **more}
        return attended(q, k, v, 0.0 if added is None else added, past=past, **more), k, v

    sizes = {"num_heads": heads, "kv_num_heads": shared}
    case("gqa", name, [q, k, v, None, None, *total(TIME)], plain, outputs=outputs, **sizes)
    packed = lambda x, *rest: plain(*x.split([heads * dim, width, width], -1), *rest[2:])
    inputs = [np.concatenate([q, k, v], -1), None, None, None, None, *total(TIME)]
    case("gqa_packed", name, inputs, packed, outputs=outputs, **sizes)
    inputs = [q, k, v, None, None, *total(TIME), cos, sin]
    case("gqa_rotary", name, inputs, plain, outputs=outputs, do_rotary=1, **sizes)
    function = lambda *x: plain(*x, interleaved=True)
    case("gqa_interleaved", name, inputs, function, outputs=outputs, do_rotary=1, rotary_interleaved=1, **sizes)
    inputs = inputs[:7]
    case("gqa_window", name, inputs, lambda *x: plain(*x, window=2), outputs=outputs, local_window_size=2, **sizes)
    case("gqa_softcap", name, inputs, lambda *x: plain(*x, softcap=2.0), outputs=outputs, softcap=2.0, **sizes)
    case("gqa_both_sides", name, inputs, lambda *x: plain(*x, causal=False), outputs=outputs, causal=0, **sizes)
    inputs = [*inputs, None, None, None, normal(BATCH, 1, TIME, TIME)]
    case("gqa_added", name, inputs, plain, outputs=outputs, **sizes)
    state = [normal(BATCH, shared, 2, dim), normal(BATCH, shared, 2, dim)]
    inputs = [q[:, :1], k[:, :1], v[:, :1], *state, *total(3), cos, sin]
    case("gqa_past", name, inputs, plain, outputs=outputs, do_rotary=1, **sizes)


def embeddings():
    name = "EmbedLayerNormalization"
    words, segments = whole([[1, 2, 0], [2, 1, 1]]), whole([[0, 1, 1], [0, 0, 1]])
    tables = [normal(5, 6), normal(4, 6), normal(2, 6)]
    scale, shift = normal(6), normal(6)

    def plain(words, segments, table, places, of_segments, scale, shift, mask=None, positions=None, epsilon=1e-12):
        positions = torch.arange(words.shape[1]) if positions is None else positions
        total = table[words] + places[positions]
        if of_segments is not None:
            total = total + of_segments[torch.zeros_like(words) if segments is None else segments]
        count = torch.zeros(len(words), dtype=torch.int64) if mask is None else mask.sum(1)
        return F.layer_norm(total, (6,), scale, shift, epsilon), count, total

    outputs = ("y", "count", "total")
    inputs = [words, segments, *tables, scale, shift]
    case("embed", name, inputs, plain, outputs=outputs)
    case("embed_mask", name, [*inputs, whole([[1, 1, 0], [1, 1, 1]])], plain, outputs=outputs)
    case("embed_no_segments", name, [words, None, *tables[:2], None, scale, shift], lambda *x: plain(*x)[:2], outputs=outputs[:2])
    case("embed_first_segment", name, [words, None, *tables, scale, shift], plain, outputs=outputs)
    function = lambda *x: plain(*x, epsilon=1e-2)
    places = whole([[1, 2, 3], [0, 0, 1]])
    case("embed_positions", name, [*inputs, None, places], function, outputs=outputs, epsilon=1e-2)


def tables():
    x = normal(3, 4)
    scale, offset = [0.5, 2.0, -1.0, 0.25], [1.0, 0.0, -2.0, 0.5]
    function = lambda x: (x - torch.tensor(offset)) * torch.tensor(scale)
    case("scaler", "Scaler", [x], function, domain=TABULAR, scale=scale, offset=offset)
    case("scaler_one", "Scaler", [normal(2, 3, 2)], lambda x: (x - 0.5) * 3.0, domain=TABULAR, scale=[3.0], offset=[0.5])
    function = lambda x, chosen: x[..., chosen.flatten()]
    case("extractor", "ArrayFeatureExtractor", [x, whole([2, 0, 2], np.int64)], function, domain=TABULAR)
    case("extractor_deep", "ArrayFeatureExtractor", [normal(2, 2, 3), whole([[1]], np.int64)], function, domain=TABULAR)
    case("extractor_row", "ArrayFeatureExtractor", [normal(4), whole([3, 1], np.int64)], lambda x, c: x[c][None], domain=TABULAR)
    case("binarizer", "Binarizer", [x], lambda x: (x > 0.25).double(), domain=TABULAR, threshold=0.25)
    side = lambda a, b: torch.cat([a, b], 1)
    case("vectorizer", "FeatureVectorizer", [normal(3, 2), normal(3, 1)], side, domain=TABULAR, inputdimensions=[2, 1])
    positive = np.abs(x) + 0.5
    case("normalizer_max", "Normalizer", [positive], lambda x: x / x.amax(1, keepdim=True), domain=TABULAR, norm="MAX")
    case("normalizer_l1", "Normalizer", [x], lambda x: x / x.abs().sum(1, keepdim=True), domain=TABULAR, norm="L1")
    case("normalizer_l2", "Normalizer", [x], lambda x: x / x.norm(dim=1, keepdim=True), domain=TABULAR, norm="L2")


def mistakes():
    x, w = normal(1, 1, 3, 3), normal(1, 1, 2, 2)
    refused("FusedConv", "its activation `Silu` is not supported", [x, w], activation="Silu")
    refused("FusedConv", "activation_params has 0 numbers, LeakyRelu takes 1", [x, w], activation="LeakyRelu")
    refused("FusedConv", "attribute activation: expected a text", [x, w], activation=1)
    refused("FusedGemm", "its activation `ScaledTanh` is not supported", [normal(1, 2), normal(2, 2)], activation="ScaledTanh")
    refused("BiasGelu", "lacks its input 1", [normal(2)])
    refused("BiasGelu", "", [normal(2, 3), normal(4)])
    refused("QuickGelu", "attribute `beta` is not supported", [normal(2)], beta=1.0)
    refused("FusedMatMul", "", [normal(2, 3), normal(2, 3)])
    refused("SkipLayerNormalization", "lacks its input 2", [normal(1, 2), normal(1, 2)])
    refused("GroupNorm", "attribute groups: expected a number above 0, got 0", [normal(1, 2, 2, 2), normal(2), normal(2)], activation=0)
    refused("GroupNorm", "attribute activation: expected 0 (none) or 1 (SiLU), got 2", [normal(1, 2, 2, 2), normal(2), normal(2)], activation=2, groups=1)
    x, weight, bias = normal(1, 2, 3), normal(3, 6), normal(6)
    refused("Attention", "attribute do_rotary is not supported", [x, weight, bias], num_heads=1, do_rotary=1)
    refused("Attention", "a length of the state (`x6`) is not supported", [x, weight, bias, None, None, None, whole(1)], num_heads=1)
    refused("Attention", "attribute num_heads: expected a number above 0, got 0", [x, weight, bias], num_heads=0)
    q = normal(1, 2, 4)
    name = "MultiHeadAttention"
    refused(name, "4 features in 3 heads", [q, q, q], num_heads=3)
    refused(name, "a bias of shape [5]: expected [4 + 4 + 4]", [q, q, q, normal(5)], num_heads=2)
    refused(name, "a mask of shape [1, 7]: expected [1], [1, 2] or [1, 2, 2]", [q, q, q, None, whole([[1] * 7])], num_heads=2)
    refused(name, "has half of a state: expected both", [q, q, q, None, None, None, normal(1, 2, 1, 2)], num_heads=2)
    refused(name, "query [1, 2, 4], key [1, 2, 4], value none: expected", [q, q], num_heads=2)
    refused(name, "a choice of beams (`x9`) is not supported", [q, q, q, *[None] * 6, whole([[[1]]])], num_heads=2)
    name = "GroupQueryAttention"
    sizes = {"num_heads": 2, "kv_num_heads": 1}
    k = normal(1, 2, 2)
    refused(name, "a sequence of 1 of 2 steps is not supported", [q, k, k, None, None, whole([0]), whole(2)], **sizes)
    refused(name, "a sink a head (`x11`) is not supported", [q, k, k, None, None, whole([1]), whole(2), *[None] * 4, normal(2)], **sizes)
    refused(name, "smooth_softmax is not supported", [q, k, k, None, None, whole([1]), whole(2)], smooth_softmax=1, **sizes)
    refused(name, "lacks its input 7", [q, k, k, None, None, whole([1]), whole(2)], do_rotary=1, **sizes)
    cache = normal(4, 1)
    places = whole([[0, 1]], np.int64)
    refused("RotaryEmbedding", "scale 2, which onnxruntime reads and does not apply, is not supported", [q, places, cache, cache], scale=2.0, num_heads=2)
    refused("RotaryEmbedding", "looks up row 9 of 4", [q, whole([[0, 9]], np.int64), cache, cache], num_heads=2)
    scales = {"scale": [1.0, 2.0], "offset": [1.0]}
    refused("Scaler", "attribute scale has 2 numbers: expected 1, or one a feature of [2, 3]", [normal(2, 3)], domain=TABULAR, **scales)
    refused("Normalizer", "attribute norm: expected MAX, L1 or L2, got L3", [normal(2, 3)], domain=TABULAR, norm="L3")
    refused("ArrayFeatureExtractor", "looks up row 3 of 3", [normal(2, 3), whole([3], np.int64)], domain=TABULAR)
    refused("FeatureVectorizer", "inputdimensions is [4], but the inputs have [3]", [normal(2, 3)], domain=TABULAR, inputdimensions=[4])


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    for make in (activations, products, norms, multi_head, projected, positions, grouped, embeddings, tables, mistakes):
        make()
    what = f"outputs by onnxruntime {onnxruntime.__version__}, outputs and gradients by PyTorch {torch.__version__} in float64, see fused_nodes.py"
    lines, wrong = (",\n".join(" " + json.dumps(case) for case in some) for some in (CASES, REFUSED))
    (HERE / "cases.json").write_text(f'{{"what": {json.dumps(what)},\n"cases": [\n{lines}\n],\n"refused": [\n{wrong}\n]}}\n')


main()
