"""Makes the models of `features/`: one small network in every way that a file may say it.

    python features.py

All of them compute y = W2·relu(W1·x + b1) + b2 with the same weights, which are exact in half
precision, so `features.rs` expects the same gradients of all; but for those named `refused_*`,
whose message it expects, and the pair `lengths_*`, a recurrent layer with and without lengths. `gradients.json` holds the gradients by PyTorch in float64.
"""

import json
import pathlib

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent / "features"
NEWEST = onnx.defs.onnx_opset_version()


def exact(generator, *shape):
    """Multiples of 1/32 below 2: seven bits."""
    return (generator.integers(-63, 64, shape) / 32).astype(np.float32)


GENERATOR = np.random.default_rng(5)
WEIGHTS = {
    "first.weight": exact(GENERATOR, 3, 5),
    "first.bias": exact(GENERATOR, 5),
    "second.weight": exact(GENERATOR, 5, 2),
    "second.bias": exact(GENERATOR, 2),
}
X = exact(GENERATOR, 4, 3)
TARGET = GENERATOR.integers(0, 2, 4)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{op.lower()}_{outputs[0]}", **attributes)


def first():
    return node("Gemm", ["x", "first.weight", "first.bias"], ["u"])


def second():
    return node("Gemm", ["h", "second.weight", "second.bias"], ["y"])


def constant(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def save(name, nodes, opset=17, element=TensorProto.FLOAT, initialisers=None, more=(), **model):
    if initialisers is None:
        initialisers = [numpy_helper.from_array(array, key) for key, array in WEIGHTS.items()]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", element, ["batch", 3])],
        [helper.make_tensor_value_info("y", element, ["batch", 2])],
        [*initialisers, *more],
    )
    domains = [helper.make_opsetid("", opset), *model.pop("domains", [])]
    made = helper.make_model(graph, opset_imports=domains, producer_name="features.py", **model)
    made.ir_version = min(made.ir_version, 10)
    onnx.save(made, HERE / f"{name}.onnx")
    return made


def plain():
    save("plain", [first(), node("Relu", ["u"], ["h"]), second()])


def external():
    """The weights in another file, each from an offset on."""
    stored, data = [], b""
    for name, array in WEIGHTS.items():
        tensor = numpy_helper.from_array(array, name)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": "external.bin", "offset": len(data), "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        data += array.tobytes() + b"\0" * 64
        stored.append(tensor)
    (HERE / "external.bin").write_bytes(data)
    save("external", [first(), node("Relu", ["u"], ["h"]), second()], initialisers=stored)


def halves():
    """Everything in half precision; and half weights in a network of single precision."""
    for name, element in (("float16", TensorProto.FLOAT16), ("bfloat16", TensorProto.BFLOAT16)):
        weights = [
            helper.make_tensor(key, element, array.shape, array.ravel()) for key, array in WEIGHTS.items()
        ]
        nodes = [first(), node("Relu", ["u"], ["h"]), second()]
        save(name, nodes, element=element, initialisers=weights)
        casts = [node("Cast", [key], [f"{key}.single"], to=TensorProto.FLOAT) for key in WEIGHTS]
        cast_nodes = [
            node("Gemm", ["x", "first.weight.single", "first.bias.single"], ["u"]),
            node("Relu", ["u"], ["h"]),
            node("Gemm", ["h", "second.weight.single", "second.bias.single"], ["y"]),
        ]
        save(f"{name}_weights", [*casts, *cast_nodes], initialisers=weights)


def functions():
    """A layer as a function of a domain of the file's own, that calls another one; the names
    inside are those outside, and an attribute is handed on."""
    domains = [helper.make_opsetid("", 17)]
    bent = helper.make_node("LeakyRelu", ["u"], ["h"])
    alpha = helper.make_attribute("alpha", 0.5)
    alpha.ClearField("f")
    alpha.ref_attr_name = "slope"
    bent.attribute.append(alpha)
    bend = helper.make_function("own.part", "Bend", ["u"], ["h"], [bent], domains, ["slope"])
    inside = [
        helper.make_node("Gemm", ["x", "w", "b"], ["u"]),
        helper.make_node("Bend", ["u"], ["y"], domain="own.part", slope=0.0),
    ]
    both = [*domains, helper.make_opsetid("own.part", 1)]
    layer = helper.make_function("own", "Layer", ["x", "w", "b"], ["y"], inside, both)
    nodes = [
        helper.make_node("Layer", ["x", "first.weight", "first.bias"], ["h"], name="layer", domain="own"),
        second(),
    ]
    save(
        "functions",
        nodes,
        functions=[layer, bend],
        domains=[helper.make_opsetid("own", 1), helper.make_opsetid("own.part", 1)],
    )


def info(name, element=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, element, shape)


def control_flow():
    """A ReLU in the branch of an If, in the body of a Loop and in that of a Scan: how often is
    known once shapes are. And the same where the data decide."""
    relu = helper.make_graph([helper.make_node("Relu", ["u"], ["bent"])], "relu", [], [info("bent")])
    same = helper.make_graph([helper.make_node("Identity", ["u"], ["bent"])], "same", [], [info("bent")])
    # A matrix has two axes, as the file alone does not say of u.
    rank = [node("Shape", ["u"], ["shape"]), node("Shape", ["shape"], ["rank"])]
    is_two = [*rank, node("Equal", ["rank", "two"], ["is_two"])]
    two = [constant("two", [2])]
    branch = node("If", ["is_two"], ["h"], then_branch=relu, else_branch=same)
    save("if", [first(), *is_two, branch, second()], more=two)

    body = helper.make_graph(
        [
            helper.make_node("Relu", ["state"], ["next"]),
            helper.make_node("Identity", ["goes_on"], ["goes_on_out"]),
        ],
        "body",
        [info("step", TensorProto.INT64, []), info("goes_on", TensorProto.BOOL, []), info("state")],
        [info("goes_on_out", TensorProto.BOOL, []), info("next")],
    )
    trips = [*rank, node("Squeeze", ["rank", "zero"], ["trips"])]
    loop = node("Loop", ["trips", "", "u"], ["h"], body=body)
    save("loop", [first(), *trips, loop, second()], more=[constant("zero", [0])])

    body = helper.make_graph(
        [helper.make_node("Relu", ["row"], ["bent"])], "body", [info("row")], [info("bent")]
    )
    save("scan", [first(), node("Scan", ["u"], ["h"], body=body, num_scan_inputs=1), second()])

    total = node("ReduceSum", ["x"], ["total"], keepdims=0)
    greater = node("Greater", ["total", "nothing"], ["is_two"])
    nothing = [constant("nothing", 0.0, np.float32)]
    save("decided_if", [first(), total, greater, branch, second()], more=nothing)
    cast = node("Cast", ["total"], ["trips"], to=TensorProto.INT64)
    save("decided_loop", [first(), total, cast, loop, second()])


    def counted(name, inside, state):
        """Ten thousand times what is inside."""
        outputs = [helper.make_node("Identity", ["goes_on"], ["goes_on_out"]), *inside]
        body = helper.make_graph(
            outputs,
            name,
            [info("step", TensorProto.INT64, []), info("goes_on", TensorProto.BOOL, []), info(state)],
            [info("goes_on_out", TensorProto.BOOL, []), info(f"{state}_out")],
        )
        return body

    body = counted("inner", [helper.make_node("Identity", ["s0"], ["s0_out"])], "s0")
    for depth in (1, 2):
        loop = helper.make_node("Loop", ["many", "", f"s{depth}"], [f"s{depth}_out"], body=body)
        body = counted(f"outer{depth}", [loop], f"s{depth}")
    outermost = node("Loop", ["many", "", "u"], ["bent"], body=body)
    save("refused_loops", [first(), outermost, node("Relu", ["bent"], ["h"]), second()], more=[constant("many", 9999)])


def lists():
    """The hidden values cut into a list of tensors, taken from it and put together again."""
    nodes = [
        first(),
        node("Relu", ["u"], ["bent"]),
        node("SplitToSequence", ["bent", "two"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "zero"], ["front"]),
        node("SequenceErase", ["parts", "zero"], ["rest"]),
        node("SequenceInsert", ["rest", "front", "zero"], ["whole"]),
        node("ConcatFromSequence", ["whole"], ["h"], axis=1),
        second(),
    ]
    save("lists", nodes, more=[constant("two", 2), constant("zero", 0)])


def masks():
    """Dropout as exporters write it out: a random mask, divided by how much of it is left."""
    keep = [constant("scalar_keep", 0.75, np.float32)]
    uniform = [node("RandomUniformLike", ["bent"], ["drawn"]), node("Less", ["drawn", "scalar_keep"], ["kept"])]
    drawn = {
        "mask_uniform": [*uniform, node("Cast", ["kept"], ["mask"], to=TensorProto.FLOAT)],
        "mask_bernoulli": [
            node("Shape", ["bent"], ["shape"]),
            node("Expand", ["scalar_keep", "shape"], ["probabilities"]),
            node("Bernoulli", ["probabilities"], ["mask"]),
        ],
    }
    for name, nodes in drawn.items():
        scaled = [node("Div", ["mask", "scalar_keep"], ["scale"]), node("Mul", ["bent", "scale"], ["h"])]
        save(name, [first(), node("Relu", ["u"], ["bent"]), *nodes, *scaled, second()], more=keep)


def quantised():
    """Weights of 8 bits with their scale, and the operators of a quantised network."""
    small = [
        numpy_helper.from_array(np.clip(array * 32, -127, 127).astype(np.int8), key)
        for key, array in WEIGHTS.items()
    ]
    scale = [constant("scale", 1 / 32, np.float32)]
    back = [node("DequantizeLinear", [key, "scale"], [f"{key}.real"]) for key in WEIGHTS]
    nodes = [
        *back,
        node("Gemm", ["x", "first.weight.real", "first.bias.real"], ["u"]),
        node("Relu", ["u"], ["h"]),
        node("Gemm", ["h", "second.weight.real", "second.bias.real"], ["y"]),
    ]
    save("refused_int8_weights", nodes, initialisers=small, more=scale)
    rounded = [
        node("QuantizeLinear", ["x", "scale"], ["x8"]),
        node("MatMulInteger", ["x8", "first.weight"], ["u32"]),
        node("Cast", ["u32"], ["u"], to=TensorProto.FLOAT),
        node("Relu", ["u"], ["h"]),
        node("Gemm", ["h", "second.weight", "second.bias"], ["y"]),
    ]
    reals = [numpy_helper.from_array(WEIGHTS[key], key) for key in ("second.weight", "second.bias")]
    save("refused_int8", rounded, initialisers=[small[0], *reals], more=scale)


def opsets():
    """Operators whose attributes have become inputs, in every version."""
    for opset in range(7, NEWEST + 1):
        more, nodes = [], [first()]

        def add(op, source, to, since, **attributes):
            """Attributes before version `since`, inputs of the same names from it on."""
            inputs = [source]
            if opset >= since:
                for name, values in attributes.items():
                    kind = np.float32 if isinstance(values, float) else np.int64
                    more.append(constant(f"{to}_{name}", values, kind))
                    inputs.append(f"{to}_{name}")
                attributes = {}
            nodes.append(node(op, inputs, [to], **attributes))

        largest = float(np.finfo(np.float32).max)
        add("Clip", "u", "clipped", 11, min=0.0, max=largest)
        add("Unsqueeze", "clipped", "column", 13, axes=[1])
        add("Pad", "column", "padded", 11, pads=[0] * 6)
        add("Slice", "padded", "sliced", 10, starts=[0], ends=[99], axes=[2])
        add("ReduceSum", "sliced", "summed", 13, axes=[1])
        add("Squeeze", "summed", "squeezed", 13, axes=[1])
        add("Dropout", "squeezed", "h", 12, ratio=0.5)
        nodes.append(second())
        save(f"opset_{opset:02}", nodes, opset=opset, more=more)


def lengths():
    """A recurrent layer whose sequences may end early, as an input says; and one without."""
    weights = [
        numpy_helper.from_array(exact(GENERATOR, 1, 8, 3), "lstm.weight"),
        numpy_helper.from_array(exact(GENERATOR, 1, 8, 2), "lstm.recurrent"),
    ]
    for name, inputs in (("none", []), ("input", ["", "lengths"])):
        nodes = [node("LSTM", ["x", "lstm.weight", "lstm.recurrent", *inputs], ["", "h"], hidden_size=2)]
        graph = helper.make_graph(
            nodes,
            name,
            [info("x", shape=[4, 3, 3]), *([info("lengths", TensorProto.INT32, [3])] if inputs else [])],
            [info("h", shape=[1, 3, 2])],
            weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        made.ir_version = 10
        onnx.save(made, HERE / f"lengths_{name}.onnx")


def gradients():
    weights = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in WEIGHTS.items()}
    h = torch.relu(torch.tensor(X).double() @ weights["first.weight"] + weights["first.bias"])
    y = h @ weights["second.weight"] + weights["second.bias"]
    loss = F.cross_entropy(y, torch.tensor(TARGET))
    loss.backward()
    made = {
        "what": f"gradients by PyTorch {torch.__version__} in float64, see features.py",
        "loss": loss.item(),
        "parameters": {
            key: {"l2": weight.grad.norm().item(), "mean": weight.grad.mean().item()} for key, weight in weights.items()
        },
    }
    (HERE / "gradients.json").write_text(json.dumps(made, indent=1) + "\n")
    save_file({"x": X, "target": TARGET}, HERE / "data.safetensors")
    (HERE / "data.safetensors").chmod(0o644)


def main():
    HERE.mkdir(exist_ok=True)
    for make in (plain, external, halves, functions, control_flow, lists, masks, quantised, opsets, gradients, lengths):
        make()


main()
