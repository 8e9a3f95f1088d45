"""Graphs that no exporter of PyTorch writes, built by hand in the names and forms of others, with
their gradients by PyTorch."""

import ml_dtypes
import numpy as np
import onnx
import torch
import torch.nn.functional as F
from _peers import Folder, save_external
from onnx import TensorProto, helper, numpy_helper

draw = np.random.default_rng(0)
OUT = TensorProto.FLOAT


def weights(*shape):
    return (draw.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)


def add(folder, name, nodes, parameters, constants, inputs, shape, function, target=None, loss="output", opset=17, domain=None):
    """A case: the graph of these nodes, whose last output is `y`; `function` is the same in torch."""
    (folder.path / name).mkdir()
    tensors = [numpy_helper.from_array(array, key) for key, array in (parameters | constants).items()]
    given = [helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for key, x in inputs.items()]
    graph = helper.make_graph(nodes, "graph", given, [helper.make_tensor_value_info("y", OUT, shape)], tensors)
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    models = [("inline", f"{name}/inline.onnx"), ("external data", f"{name}/external.onnx")]
    onnx.save(model, folder.path / models[0][1])
    save_external(model, folder.path / models[1][1])
    leaves = {key: torch.from_numpy(array.astype(np.float64)).requires_grad_() for key, array in parameters.items()}
    arguments = {key: torch.from_numpy(x.astype(np.float64) if x.dtype.kind == "f" else x) for key, x in inputs.items()}
    output = function(leaves, arguments)
    value = output.sum() if loss == "output" else F.cross_entropy(output, torch.from_numpy(target))
    value.backward()
    truth = {f"gradient.{key}": leaf.grad.numpy() for key, leaf in leaves.items()}
    data = inputs | ({} if target is None else {"target": target})
    folder.add(name, models, loss, data, truth, value.item())


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], name=f"node_of_{output}", **attributes)


def perceptron(folder, name, weight, bias, zeros, outputs):
    """Three dense layers under the names that an exporter gives."""
    sizes = [(4, 8), (8, 8), (8, outputs)]
    parameters, nodes, before = {}, [], "x"
    for index, size in enumerate(sizes):
        w, b = weight % index, bias % index
        parameters[w] = weights(*size)
        parameters[b] = np.zeros(size[1], np.float32) if zeros else weights(size[1])
        after = "y" if index == 2 else f"h{index}"
        nodes += [node("MatMul", [before, w], f"a{index}"), node("Add", [f"a{index}", b], after)]
        if index < 2:
            nodes.append(node("Relu", [after], f"r{index}"))
            before = f"r{index}"

    def function(p, inputs):
        x = inputs["x"]
        for index in range(3):
            x = x @ p[weight % index] + p[bias % index]
            x = F.relu(x) if index < 2 else x
        return x

    rows = {"x": draw.standard_normal((8, 4)).astype(np.float32)}
    add(folder, name, nodes, parameters, {}, rows, [8, outputs], function)


folder = Folder()
for label, weight, bias in (
    ("plain", "W%d", "b%d"),
    ("tensorflow", "m/d%d/MatMul/ReadVariableOp:0", "m/d%d/BiasAdd/ReadVariableOp:0"),
    ("torch", "d%d.weight", "d%d.bias"),
    ("cntk", "Parameter8%d", "Parameter19%d"),
    ("matlab", "fc_%d_Weights", "fc_%d_Bias"),
    ("paddle", "linear_%d.w_0", "linear_%d.b_0"),
    ("sklearn", "coefficient%d", "intercepts%d"),
):
    for outputs in (3, 1):
        for zeros in (True, False):
            kind = "zero" if zeros else "drawn"
            perceptron(folder, f"{label}_{kind}_{outputs}", weight, bias, zeros, outputs)

w = weights(3, 4)
row = {"x": np.ones((1, 1), np.float32)}


def alone(name, nodes, parameters, constants, shape, function, **options):
    """A function of parameters alone; the input is added, so that there is one."""
    *nodes, last = nodes
    last.output[0] = "z"
    nodes += [last, node("Add", ["z", "x"], "y")]
    add(folder, name, nodes, parameters, constants, row, shape, lambda p, i: function(p) + i["x"], **options)


for name, element, low, high in (("int4", ml_dtypes.int4, -8, 8), ("uint4", ml_dtypes.uint4, 0, 16), ("int8", np.int8, -128, 128)):
    # The last block along the axis has one row less.
    whole, zeros = draw.integers(low, high, (5, 3)), draw.integers(max(low, -8), min(high, 8), (3, 3))
    scales = draw.uniform(0.01, 0.1, (3, 3)).astype(np.float32)
    rows = np.arange(5) // 2
    dequantised = torch.from_numpy((whole - zeros[rows]) * scales[rows].astype(np.float64))
    constants = {"q": whole.astype(element), "s": scales, "z": zeros.astype(element)}
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("DequantizeLinear", ["q", "s", "z"], "d", axis=0, block_size=2),
        node("MatMul", ["h", "d"], "y"),
    ]
    rows = {"x": draw.standard_normal((8, 4)).astype(np.float32)}
    add(
        folder, f"quantised_{name}", nodes, {"w": weights(4, 5)}, constants, rows, [8, 3],
        lambda p, i, d=dequantised: i["x"] @ p["w"] @ d, opset=21,
    )

g = np.ones(4, np.float32)
alone(
    "simplified_layer_norm", [node("SimplifiedLayerNormalization", ["w", "g"], "y", axis=-1, epsilon=1e-5)],
    {"w": w, "g": g}, {}, [3, 4],
    lambda p: p["w"] / ((p["w"] ** 2).mean(-1, keepdim=True) + 1e-5).sqrt() * p["g"],
)
alone(
    "microsoft_gelu", [node("Gelu", ["w"], "y", domain="com.microsoft")], {"w": w}, {}, [3, 4],
    lambda p: F.gelu(p["w"]), domain="com.microsoft",
)
zero, one = np.array(0, np.float32), np.array([0], np.float32)
alone(
    "threshold", [node("Greater", ["w", "zero"], "a"), node("Where", ["a", "w", "one"], "y")], {"w": w},
    {"zero": zero, "one": one}, [3, 4], lambda p: torch.where(p["w"] > 0, p["w"], 0.0),
)
alone(
    "scalars_of_the_computation",
    [node("ReduceMean", ["w"], "m", keepdims=0), node("Add", ["m", "c"], "a"), node("Pow", ["a", "two"], "q"), node("Expand", ["q", "s"], "y")],
    {"w": w}, {"c": np.array(3, np.float32), "two": np.array(2, np.float32), "s": np.array([1])}, [1, 1],
    lambda p: (p["w"].mean() + 3).pow(2),
)
for name, base, exponent in (
    ("exponents_at_zero", [0, 0, 0, -2, -2, 4], [0, 1, 2, 3, 2, 0.5]),
    ("exponents", [0, 2, 3, 1], [2, 0, -1, 0.5]),
):
    base, exponent = np.array(base, np.float32), np.array(exponent, np.float32)
    alone(
        name, [node("Pow", ["w", "e"], "y")], {"w": base}, {"e": exponent}, [1, len(base)],
        lambda p, e=exponent: torch.pow(p["w"], torch.from_numpy(e.astype(np.float64))),
    )
folder.close()
