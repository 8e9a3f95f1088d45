"""Pairs of small models that compute the same, once by one node and once written out, in `spelling/`.

    python crates/gradprobe/tests/onnx/spelling.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, CLASSES = 12, 4


def const(name, value):
    return numpy_helper.from_array(np.array(value, dtype=np.float32), name)


def model(path, scale, shift, middle, constants, end=()):
    """Two hidden layers with the nodes of `middle` (from `u` to `h`) after each, and an output."""
    rng = np.random.default_rng(7)
    nodes, weights = [], []
    value, inputs = "x", 8
    for layer in (1, 2):
        draw = rng.normal(size=(WIDTH, inputs)) * scale / np.sqrt(inputs)
        weights += [
            numpy_helper.from_array(draw.astype(np.float32), f"fc{layer}.weight"),
            numpy_helper.from_array(np.full(WIDTH, shift, np.float32), f"fc{layer}.bias"),
        ]
        names = {"u": f"u{layer}", "h": f"h{layer}"}
        nodes.append(helper.make_node("Gemm", [value, f"fc{layer}.weight", f"fc{layer}.bias"],
                                      [names["u"]], name=f"/fc{layer}/Gemm", transB=1))
        for op, ins, out, attributes in middle:
            rename = lambda name: names.get(name, name if name in constants else f"{name}{layer}")
            nodes.append(helper.make_node(op, [rename(i) for i in ins], [rename(out)],
                                          name=f"/act{layer}/{op}_{out}", **attributes))
        value, inputs = names["h"], WIDTH
    draw = rng.normal(size=(CLASSES, WIDTH)) / np.sqrt(WIDTH)
    weights += [numpy_helper.from_array(draw.astype(np.float32), "fc3.weight"),
                numpy_helper.from_array(np.zeros(CLASSES, np.float32), "fc3.bias")]
    last = "y" if not end else "logits"
    nodes.append(helper.make_node("Gemm", [value, "fc3.weight", "fc3.bias"], [last],
                                  name="/fc3/Gemm", transB=1))
    for op, ins, out, attributes in end:
        nodes.append(helper.make_node(op, ins, [out], name=f"/end/{op}", **attributes))
    # As PyTorch writes them.
    nodes[:0] = [helper.make_node("Constant", [], [name], value=const(name, value))
                 for name, value in constants.items()]
    graph = helper.make_graph(
        nodes, path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [16, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [16, CLASSES])],
        weights)
    # Swish came with the 24th.
    opset = 24 if any(node.op_type == "Swish" for node in nodes) else 20
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString())


# By name: the nodes of the one and of the other, each with its constants.
FORMS = {
    "gelu": (
        [("Gelu", ["u"], "h", {})], {},
        [("Div", ["u", "root2"], "a", {}), ("Erf", ["a"], "b", {}), ("Add", ["b", "one"], "c", {}),
         ("Mul", ["u", "c"], "d", {}), ("Mul", ["d", "half"], "h", {})],
        {"root2": 2 ** 0.5, "one": 1, "half": 0.5},
    ),
    "hard_swish": (
        [("HardSwish", ["u"], "h", {})], {},
        [("HardSigmoid", ["u"], "a", {"alpha": 1 / 6, "beta": 0.5}), ("Mul", ["u", "a"], "h", {})], {},
    ),
    "hard_swish_clip": (
        [("HardSwish", ["u"], "h", {})], {},
        [("Add", ["u", "three"], "a", {}), ("Clip", ["a", "zero", "six"], "b", {}),
         ("Div", ["b", "six"], "c", {}), ("Mul", ["u", "c"], "h", {})],
        {"zero": 0, "three": 3, "six": 6},
    ),
    "mish": (
        [("Mish", ["u"], "h", {})], {},
        [("Softplus", ["u"], "a", {}), ("Tanh", ["a"], "b", {}), ("Mul", ["u", "b"], "h", {})], {},
    ),
    "relu6": (
        [("Clip", ["u", "zero", "six"], "h", {})], {"zero": 0, "six": 6},
        [("Relu", ["u"], "a", {}), ("Min", ["a", "six"], "h", {})], {"six": 6},
    ),
    "relu6_min": (
        [("Clip", ["u", "zero", "six"], "h", {})], {"zero": 0, "six": 6},
        [("Min", ["u", "six"], "a", {}), ("Relu", ["a"], "h", {})], {"six": 6},
    ),
    "sigmoid": (
        [("Sigmoid", ["u"], "h", {})], {},
        [("Neg", ["u"], "a", {}), ("Exp", ["a"], "b", {}), ("Add", ["b", "one"], "c", {}),
         ("Reciprocal", ["c"], "h", {})], {"one": 1},
    ),
    "silu": (
        [("Swish", ["u"], "h", {})], {},
        [("Sigmoid", ["u"], "a", {}), ("Mul", ["u", "a"], "h", {})], {},
    ),
}


# As drawn, with large weights, and with biases far below 0 (where 1 + erf(u/√2) still is a number).
KINDS = (("drawn", 1.4, 0.0), ("large", 30.0, 0.0), ("low", 0.5, -4.0))


def main():
    folder = Path(__file__).parent / "spelling"
    folder.mkdir(exist_ok=True)
    for name, (fused, of_fused, written, of_written) in FORMS.items():
        for kind, scale, shift in KINDS:
            if (name, kind) == ("relu6_min", "low"):
                # The Min is a layer of its own there, and what is told of it is told by its name.
                continue
            model(folder / f"{name}_{kind}_fused.onnx", scale, shift, fused, of_fused)
            model(folder / f"{name}_{kind}_written.onnx", scale, shift, written, of_written)
    tanh = [("Tanh", ["u"], "h", {})]
    model(folder / "log_softmax_drawn_fused.onnx", 1.0, 0.0, tanh, {},
          [("LogSoftmax", ["logits"], "y", {"axis": 1})])
    model(folder / "log_softmax_drawn_written.onnx", 1.0, 0.0, tanh, {},
          [("Softmax", ["logits"], "p", {"axis": 1}), ("Log", ["p"], "y", {})])


main()
