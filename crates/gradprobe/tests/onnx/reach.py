"""Makes the models of `reach/`: files whose course an input decides, outputs of whole numbers,
fixed batches, straight-through estimators, and the like.

    python reach.py

`reach.json` holds what PyTorch computes in float64 for those that have gradients to compare.
"""

import json
import pathlib

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent / "reach"
GENERATOR = np.random.default_rng(7)
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def exact(*shape):
    """Multiples of 1/32 below 2: seven bits."""
    return (GENERATOR.integers(-63, 64, shape) / 32).astype(np.float32)


W1, B1, W2, B2 = exact(6, 5), exact(5), exact(5, 3), exact(3)
X = exact(8, 6)
EXPECTED = {}


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{op.lower()}_{outputs[0]}", **attributes)


def info(name, shape, element=FLOAT):
    return helper.make_tensor_value_info(name, element, shape)


def save(name, nodes, inputs, outputs, weights, constants=(), opset=17):
    tensors = [numpy_helper.from_array(np.asarray(array), key) for key, array in weights.items()]
    tensors += [numpy_helper.from_array(np.asarray(array), key) for key, array in dict(constants).items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="reach.py")
    model.ir_version = 10
    onnx.save(model, HERE / f"{name}.onnx")


def layers():
    """Linear, ReLU, linear on x, by the nodes' names for their outputs."""
    return [
        node("Gemm", ["x", "first.weight", "first.bias"], ["u"]),
        node("Relu", ["u"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]


WEIGHTS = {"first.weight": W1, "first.bias": B1, "second.weight": W2, "second.bias": B2}


def truth(name, forward, target, loss):
    tensors = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in WEIGHTS.items()}
    value = loss(forward(torch.tensor(X, dtype=torch.float64), tensors), target)
    value.backward()
    EXPECTED[name] = {
        "loss": value.item(),
        "l2": {
            key: 0.0 if tensor.grad is None else tensor.grad.norm().item() for key, tensor in tensors.items()
        },
    }


def plain(x, t):
    return torch.relu(x @ t["first.weight"] + t["first.bias"]) @ t["second.weight"] + t["second.bias"]


def course():
    """An If, a Slice, a Clip and a Loop that inputs decide."""
    branch = lambda name, scale: helper.make_graph(
        [node("Mul", ["u", scale], [name])], f"{name}_graph", [], [info(name, ["batch", 5])]
    )
    nodes = [
        node("Gemm", ["x", "first.weight", "first.bias"], ["u"]),
        node("Equal", ["rate", "known_rate"], ["is_known"]),
        node("If", ["is_known"], ["v"], then_branch=branch("same", "const_one"), else_branch=branch("twice", "const_two")),
        node("Relu", ["v"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    constants = {"known_rate": np.array(16000), "const_one": np.float32(1), "const_two": np.float32(2)}
    inputs = [info("x", ["batch", 6]), info("rate", [], INT)]
    save("course_if", nodes, inputs, [info("y", ["batch", 3])], WEIGHTS, constants)
    nodes = [
        node("Slice", ["x", "begin", "end", "axis"], ["part"]),
        node("Gemm", ["part", "first.weight", "first.bias"], ["u"]),
        node("Clip", ["u", "low", "high"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    inputs = [info("x", ["batch", 9]), info("begin", [1], INT), info("end", [1], INT), info("low", []), info("high", [])]
    save("course_slice", nodes, inputs, [info("y", ["batch", 3])], WEIGHTS, {"axis": np.array([1])})
    body = helper.make_graph(
        [
            node("Identity", ["go"], ["goes_on"]),
            node("Gemm", ["state", "first.weight", "first.bias"], ["moved"]),
            node("Tanh", ["moved"], ["new"]),
            node("Concat", ["new", "rest"], ["next"], axis=1),
        ],
        "body",
        [info("step", [], INT), info("go", [], TensorProto.BOOL), info("state", ["batch", 6])],
        [info("goes_on", [], TensorProto.BOOL), info("next", ["batch", 6])],
    )
    nodes = [
        node("Slice", ["x", "five", "six", "axis"], ["rest"]),
        node("Loop", ["steps", "", "x"], ["last"], body=body),
        node("Slice", ["last", "zero", "five", "axis"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "five": np.array([5]), "six": np.array([6]), "axis": np.array([1])}
    inputs = [info("x", ["batch", 6]), info("steps", [], INT)]
    save("course_loop", nodes, inputs, [info("y", ["batch", 3])], WEIGHTS, constants)
    # The batch itself, through a weight, decides which way it goes.
    nodes = [
        node("Gemm", ["x", "first.weight", "first.bias"], ["u"]),
        node("ReduceSum", ["u"], ["sum"], keepdims=0),
        node("Less", ["sum", "const_bound"], ["is_small"]),
        node("If", ["is_small"], ["v"], then_branch=branch("same", "const_one"), else_branch=branch("twice", "const_two")),
        node("Relu", ["v"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    constants = {"const_bound": np.float32(1e6), "const_one": np.float32(1), "const_two": np.float32(2)}
    save("course_of_signal", nodes, [info("x", ["batch", 6])], [info("y", ["batch", 3])], WEIGHTS, constants)


def whole_numbers():
    end = [node("Softmax", ["y"], ["p"], axis=1), node("ArgMax", ["p"], ["best"], axis=1, keepdims=0)]
    save("label", layers() + end, [info("x", ["batch", 6])], [info("best", ["batch"], INT)], WEIGHTS)
    # As skl2onnx ends: the labels looked up, cast, and the probabilities beside them.
    end += [
        node("Gather", ["classes", "best"], ["label"]),
        node("Reshape", ["label", "flat"], ["output_label"]),
    ]
    outputs = [info("output_label", ["batch"], INT), info("p", ["batch", 3])]
    constants = {"classes": np.array([7, 8, 9]), "flat": np.array([-1])}
    save("label_table", layers() + end, [info("x", ["batch", 6])], outputs, WEIGHTS, constants)
    nodes = [node("Shape", ["x"], ["extents"])]
    save("label_of_nothing", nodes, [info("x", ["batch", 6])], [info("extents", [2], INT)], WEIGHTS)


def batches():
    save("batch_of_one", layers(), [info("x", [1, 6])], [info("y", [1, 3])], WEIGHTS)
    # Only the second input fixes the batch.
    nodes = [
        node("Gemm", ["x", "first.weight", "first.bias"], ["u"]),
        node("Concat", ["u", "state"], ["both"], axis=1),
        node("Slice", ["both", "zero", "five", "axis"], ["kept"]),
        node("Relu", ["kept"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "five": np.array([5]), "axis": np.array([1])}
    save("batch_of_state", nodes, [info("x", ["batch", 6]), info("state", [1, 2])], [info("y", ["batch", 3])], WEIGHTS, constants)
    # A window of 400 samples, of a length that is left open.
    kernel = exact(5, 1, 400) / 8
    nodes = [
        node("Conv", ["x", "window.weight"], ["u"], strides=[160]),
        node("Relu", ["u"], ["h"]),
        node("GlobalAveragePool", ["h"], ["m"]),
        node("Flatten", ["m"], ["f"]),
        node("Gemm", ["f", "second.weight", "second.bias"], ["y"]),
    ]
    weights = {"window.weight": kernel, "second.weight": W2, "second.bias": B2}
    save("window", nodes, [info("x", ["batch", 1, "samples"])], [info("y", ["batch", 3])], weights)


def straight_through():
    for name, ends in {
        "sum": [node("Sub", ["s", "u"], ["d"]), node("Add", ["u", "d"], ["h"])],
        "difference": [node("Add", ["s", "u"], ["d"]), node("Sub", ["d", "u"], ["h"])],
    }.items():
        nodes = [
            node("Gemm", ["x", "first.weight", "first.bias"], ["u"]),
            node("Sign", ["u"], ["s"]),
            *ends,
            node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
        ]
        save(f"straight_{name}", nodes, [info("x", ["batch", 6])], [info("y", ["batch", 3])], WEIGHTS)


def odd():
    nodes = [
        node("Gather", ["x", "sources"], ["messages"]),
        node("Gemm", ["messages", "first.weight", "first.bias"], ["u"]),
        node("Log", ["u"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    inputs = [info("x", [8, 6]), info("sources", [12], INT)]
    save("graph", nodes, inputs, [info("y", [12, 3])], WEIGHTS)
    save("opset_newer", layers(), [info("x", ["batch", 6])], [info("y", ["batch", 3])], WEIGHTS, opset=99)


HERE.mkdir(exist_ok=True)
course()
whole_numbers()
batches()
straight_through()
odd()

CLASSES = GENERATOR.integers(0, 3, 8)
SOFT = F.softmax(torch.tensor(exact(8, 3), dtype=torch.float64), 1).numpy().astype(np.float32)
classes = torch.tensor(CLASSES)
soft = torch.tensor(SOFT, dtype=torch.float64)


def twice(x, t):
    return torch.relu(2 * (x @ t["first.weight"] + t["first.bias"])) @ t["second.weight"] + t["second.bias"]


def loop(x, t):
    state, rest = x, x[:, 5:6]
    for _ in range(3):
        state = torch.cat([torch.tanh(state @ t["first.weight"] + t["first.bias"]), rest], 1)
    return state[:, :5] @ t["second.weight"] + t["second.bias"]


def clipped(x, t):
    u = x @ t["first.weight"] + t["first.bias"]
    return u.clamp(-0.5, 1.5) @ t["second.weight"] + t["second.bias"]


def estimator(x, t):
    u = x @ t["first.weight"] + t["first.bias"]
    h = u + (torch.sign(u) - u).detach()
    return h @ t["second.weight"] + t["second.bias"]


truth("plain", plain, classes, F.cross_entropy)
truth("soft", plain, soft, F.cross_entropy)
truth("twice", twice, classes, F.cross_entropy)
truth("loop", loop, classes, F.cross_entropy)
truth("clipped", clipped, classes, F.cross_entropy)
truth("estimator", estimator, classes, F.cross_entropy)
(HERE / "reach.json").write_text(json.dumps(EXPECTED, indent=1) + "\n")
save_file({"x": X, "target": CLASSES.astype(np.int64)}, HERE / "batch.safetensors")
save_file({"x": X, "target": SOFT}, HERE / "soft.safetensors")
wide = np.concatenate([exact(8, 1), X, exact(8, 2)], 1)
save_file({"x": wide, "target": CLASSES.astype(np.int64)}, HERE / "wide.safetensors")
