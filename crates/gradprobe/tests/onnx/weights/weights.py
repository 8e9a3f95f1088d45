"""Small models that say in many ways what is a weight, with what has to be found.

    python weights.py        # writes the models and expected.json beside this file

Needs onnx and numpy. Names and forms are those that exporters write: PyTorch's, TensorFlow's and
tf2onnx', JAX', Paddle's, CNTK's, MATLAB's, scikit-learn's.
"""
import json
import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(0)
expected = {}


def drawn(*shape):
    return rng.standard_normal(shape).astype(np.float32) / np.float32(max(shape[0], 1) ** 0.5)


def save(name, nodes, tensors, trained, frozen=0, not_judged=0, layers=None, inputs=None,
         output=("y", ["N", 3]), producer="", external=False, opset=17, parameters=None):
    inputs = inputs or [h.make_tensor_value_info("x", T.FLOAT, ["N", 4])]
    out = h.make_tensor_value_info(output[0], T.FLOAT, output[1])
    graph = h.make_graph(nodes, "g", inputs, [out], [nh.from_array(v, k) for k, v in tensors.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8,
                         producer_name=producer)
    path = os.path.join(HERE, name + ".onnx")
    data = name + ".data"
    if external:
        if os.path.exists(os.path.join(HERE, data)):
            os.remove(os.path.join(HERE, data))
        onnx.save(model, path, save_as_external_data=True, location=data, size_threshold=0)
    else:
        onnx.save(model, path)
    expected[name] = {"trained": trained, "frozen": frozen, "not_judged": not_judged}
    if layers:
        expected[name]["layers"] = layers
    if parameters:
        expected[name]["parameters"] = parameters


def mlp(weights, biases, zero, out=3, node="n{}"):
    sizes = [4, 8, 8, out]
    nodes, tensors, value = [], {}, "x"
    for i in range(3):
        w, b = weights.format(i), biases.format(i)
        tensors[w] = drawn(sizes[i], sizes[i + 1])
        tensors[b] = np.zeros(sizes[i + 1], np.float32) if zero else drawn(sizes[i + 1])
        nodes.append(h.make_node("MatMul", [value, w], [f"a{i}"], name=node.format(i)))
        nodes.append(h.make_node("Add", [f"a{i}", b], ["y" if i == 2 else f"h{i}"]))
        if i < 2:
            nodes.append(h.make_node("Relu", [f"h{i}"], [f"r{i}"]))
        value = f"r{i}"
    return nodes, tensors


# The same network under everybody's names, with biases as they are drawn and fresh ones of zeros,
# inline and in another file, of three outputs and of one.
STYLES = {
    "plain": ("W{}", "b{}"),
    "torch": ("d{}.weight", "d{}.bias"),
    "renamed": ("onnx::MatMul_{}", "onnx::Add_{}"),
    "values": ("val_{}", "val_1{}"),
    "variables": ("m/d{}/MatMul/ReadVariableOp:0", "m/d{}/BiasAdd/ReadVariableOp:0"),
    "folded": ("const_fold_opt__66{}", "const_fold_opt__77{}"),
    "jax": ("const_{}", "const_1{}"),
    "paddle": ("linear_{}.w_0", "linear_{}.b_0"),
    "cntk": ("Parameter1{}", "Parameter2{}"),
    "matlab": ("fc_{}_W", "fc_{}_B"),
    "sklearn": ("coefficient{}", "intercepts{}"),
    "numbers": ("1{}", "2{}"),
}
for style, (w, b) in STYLES.items():
    for zero in (True, False):
        for out in (3, 1):
            nodes, tensors = mlp(w, b, zero, out)
            name = f"mlp_{style}_{'zero' if zero else 'drawn'}_{out}"
            save(name, nodes, tensors, 139 if out == 3 else 121, output=("y", ["N", out]),
                 external=zero)

# What TensorFlow wraps round the user's names.
nodes, tensors = mlp("seq_3_1/fc{}_1/MatMul/ReadVariableOp:0", "seq_3_1/fc{}_1/BiasAdd/ReadVariableOp:0", True)
save("names_traced_again", nodes, tensors, 139, layers=["fc0", "fc1", "fc2"])
nodes, tensors = mlp("const_fold_opt__66{}", "const_fold_opt__77{}", True, node="net_1.00_64/fc{}/MatMul__9")
save("names_of_nodes", nodes, tensors, 139,
     layers=["net_1.00_64/fc0", "net_1.00_64/fc1", "net_1.00_64/fc2"],
     parameters=["net_1.00_64/fc0.weight", "net_1.00_64/fc0.bias"])
nodes, tensors = mlp("net_1.00_64/Conv_{}/kernel", "net_1.00_64/Conv_{}/bias", True)
save("names_with_points", nodes, tensors, 139,
     layers=["net_1.00_64/Conv_0", "net_1.00_64/Conv_1", "net_1.00_64/Conv_2"])


def head(value, size=8):
    """A last layer that the rest hangs on."""
    return ([h.make_node("MatMul", [value, "head.weight"], ["y"], name="head")],
            {"head.weight": drawn(size, 3)})


# Numbers of the computation are no weights, whatever they are called.
last, last_tensors = head("q")
save("numbers_of_the_computation", [
    h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
    h.make_node("Pow", ["a", "two"], ["p"]),
    h.make_node("Add", ["p", "eps"], ["e"]),
    h.make_node("Mul", ["e", "0434"], ["s"]),
    h.make_node("Clip", ["s", "low", "high"], ["c"]),
    h.make_node("Greater", ["c", "z"], ["g"]),
    h.make_node("Where", ["g", "c", "z1"], ["q"])] + last,
    {"w": drawn(4, 8), "two": np.array(2, np.float32), "eps": np.array(1e-10, np.float32),
     "0434": np.array([0.434], np.float32), "low": np.array(-3, np.float32),
     "high": np.array(3, np.float32), "z": np.array(0, np.float32), "z1": np.zeros(1, np.float32),
     **last_tensors}, 32 + 24, frozen=7)
save("exponents", [
    h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
    h.make_node("Abs", ["a"], ["m"]),
    h.make_node("Pow", ["m", "e"], ["q"])] + last,
    {"w": drawn(4, 8), "e": np.full(8, 2, np.float32), **last_tensors}, 56, frozen=8)
# TensorFlow's div_no_nan.
save("div_no_nan", [
    h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
    h.make_node("Equal", ["a", "const_zero__4"], ["is"]),
    h.make_node("Where", ["is", "const_one__5", "a"], ["d"]),
    h.make_node("Div", ["a", "d"], ["r"]),
    h.make_node("Where", ["is", "const_zero__4", "r"], ["k"]),
    h.make_node("Add", ["k", "a"], ["q"])] + last,
    {"w": drawn(4, 8), "const_zero__4": np.zeros(1, np.float32),
     "const_one__5": np.ones(1, np.float32), **last_tensors}, 56, frozen=2)
# The mean and deviation that an input is standardised by, under names of nobody's.
save("standardised_input", [
    h.make_node("Sub", ["x", "onnx::Sub_1"], ["c"]),
    h.make_node("Div", ["c", "onnx::Div_2"], ["s"]),
    h.make_node("MatMul", ["s", "w"], ["q"])] + last,
    {"onnx::Sub_1": drawn(4), "onnx::Div_2": np.abs(drawn(4)) + 1, "w": drawn(4, 8), **last_tensors},
    56, not_judged=8)
# Statistics, and a tensor that the output does not depend on.
save("statistics", [
    h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
    h.make_node("BatchNormalization", ["a", "n.g", "n.b", "n.p", "n.q"], ["q"]),
    h.make_node("MatMul", ["x", "aside"], ["unused"])] + last,
    {"w": drawn(4, 8), "n.g": np.ones(8, np.float32), "n.b": np.zeros(8, np.float32),
     "n.p": np.zeros(8, np.float32), "n.q": np.ones(8, np.float32), "aside": drawn(4, 2),
     **last_tensors}, 32 + 16 + 24, frozen=16, not_judged=8)
# First states: of zeros nobody trains them, others somebody learned.
for name, states, trained, frozen in (("zero", np.zeros, 0, 16), ("learned", lambda s, t: drawn(*s), 16, 0)):
    tensors = {"r.W": drawn(1, 32, 4), "r.R": drawn(1, 32, 8), "r.B": np.zeros((1, 64), np.float32),
               "state_1": states((1, 1, 8), np.float32), "state_2": states((1, 1, 8), np.float32)}
    save(f"first_states_{name}", [
        h.make_node("LSTM", ["x", "r.W", "r.R", "r.B", "", "state_1", "state_2"], ["", "hn"], hidden_size=8),
        h.make_node("Squeeze", ["hn", "axes"], ["q"])] + last,
        {**tensors, "axes": np.array([0], np.int64), **last_tensors},
        128 + 256 + 64 + 24 + trained, frozen=frozen,
        inputs=[h.make_tensor_value_info("x", T.FLOAT, [5, 1, 4])], output=("y", [1, 3]))
# A mask before a softmax, finite and not.
for name, hidden in (("finite", -1e9), ("infinite", -np.inf)):
    mask = np.triu(np.full((6, 6), hidden, np.float32), 1)
    save(f"mask_{name}", [
        h.make_node("MatMul", ["x", "q.weight"], ["a"]),
        h.make_node("Transpose", ["a"], ["t"], perm=[0, 2, 1]),
        h.make_node("MatMul", ["a", "t"], ["s"]),
        h.make_node("Add", ["s", "onnx::Add_5"], ["m"]),
        h.make_node("Softmax", ["m"], ["p"]),
        h.make_node("MatMul", ["p", "a"], ["q"])] + last,
        {"q.weight": drawn(4, 8), "onnx::Add_5": mask, **last_tensors}, 56, frozen=36,
        inputs=[h.make_tensor_value_info("x", T.FLOAT, [2, 6, 4])], output=("y", [2, 6, 3]))
# What is neither a matrix nor a bias and yet trained, under names of nobody's.
save("roles", [
    h.make_node("MatMul", ["x", "onnx::MatMul_1"], ["a"]),
    h.make_node("Expand", ["onnx::Expand_2", "shape"], ["t"]),
    h.make_node("Concat", ["t", "a"], ["j"], axis=1),
    h.make_node("Add", ["j", "onnx::Add_3"], ["e"]),
    h.make_node("LayerNormalization", ["e", "onnx::LayerNormalization_4", "onnx::LayerNormalization_5"], ["n"]),
    h.make_node("MatMul", ["n", "onnx::MatMul_6"], ["l"]),
    h.make_node("Mul", ["l", "onnx::Mul_7"], ["s"]),
    h.make_node("Add", ["e", "s"], ["r"]),
    h.make_node("PRelu", ["r", "onnx::PRelu_8"], ["q"])] + last,
    {"onnx::MatMul_1": drawn(4, 8), "onnx::Expand_2": np.zeros((1, 1, 8), np.float32),
     "shape": np.array([2, 1, 8], np.int64), "onnx::Add_3": np.zeros((1, 7, 8), np.float32),
     "onnx::LayerNormalization_4": np.ones(8, np.float32),
     "onnx::LayerNormalization_5": np.zeros(8, np.float32), "onnx::MatMul_6": drawn(8, 8),
     "onnx::Mul_7": np.full(8, 0.1, np.float32), "onnx::PRelu_8": np.full(1, 0.25, np.float32),
     **last_tensors}, 32 + 8 + 56 + 16 + 64 + 8 + 1 + 24,
    inputs=[h.make_tensor_value_info("x", T.FLOAT, [2, 6, 4])], output=("y", [2, 7, 3]))
# A table, looked up.
save("table", [h.make_node("Gather", ["onnx::Gather_1", "x"], ["q"])] + last,
     {"onnx::Gather_1": drawn(10, 8), **last_tensors}, 104,
     inputs=[h.make_tensor_value_info("x", T.INT64, [2, 6])], output=("y", [2, 6, 3]))
# Whole numbers times a scale.
save("quantised", [
    h.make_node("DequantizeLinear", ["wq", "wq_scale", "wq_zero"], ["w"], axis=1),
    h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
    h.make_node("Add", ["a", "fc.bias"], ["q"])] + last,
    {"wq": rng.integers(-127, 127, (4, 8)).astype(np.int8), "wq_scale": np.full(8, 0.01, np.float32),
     "wq_zero": np.zeros(8, np.int8), "fc.bias": np.zeros(8, np.float32), **last_tensors},
    8 + 24, frozen=8)
# One tensor of zeros for the biases of two layers: merged, where the layers are others; shared on
# purpose, where it is one layer called twice.
nodes, tensors = mlp("m/d{}/kernel", "zeros", True)
tensors = {k: v for k, v in tensors.items() if k != "m/d0/kernel"}
shared = [
    h.make_node("MatMul", ["x", "m/d0/kernel"], ["a"], name="m/d0/MatMul"),
    h.make_node("Add", ["a", "m/bias"], ["b"], name="m/d0/BiasAdd"),
    h.make_node("Relu", ["b"], ["c"]),
    h.make_node("MatMul", ["c", "{}"], ["d"], name="m/d1/MatMul"),
    h.make_node("Add", ["d", "m/bias"], ["e"], name="m/d1/BiasAdd"),
    h.make_node("Relu", ["e"], ["q"])]
last4, last4_tensors = head("q", 4)
for name, second, trained in (("merged", "m/d1/kernel", 16 + 16 + 4 + 12), ("tied", "m/d0/kernel", 16 + 4 + 12)):
    tensors = {"m/d0/kernel": drawn(4, 4), second: drawn(4, 4), "m/bias": np.zeros(4, np.float32), **last4_tensors}
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in shared]
    nodes[3].input[1] = second
    save(f"bias_{name}", nodes + last4, tensors, trained)
    expected[f"bias_{name}"]["trainable"] = trained + (4 if name == "merged" else 0)

# Numbers of 4 and of 2 bits, with a scale for every block of them; and whole numbers that a Cast and a
# Mul make weights of.
for name, element, low, bits in (("int4", T.INT4, -8, 4), ("uint4", T.UINT4, 0, 4), ("int2", T.INT2, -2, 2)):
    whole = rng.integers(low, low + 2 ** bits, (4, 8))
    packed = whole.reshape(-1, 8 // bits) % 2 ** bits
    raw = (packed << np.arange(0, 8, bits)).sum(1).astype(np.uint8).tobytes()
    nodes = [h.make_node("DequantizeLinear", ["wq", "wq_scale"], ["w"], axis=0, block_size=2),
             h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
             h.make_node("Add", ["a", "fc.bias"], ["q"])] + last
    tensors = {"wq_scale": np.full((2, 8), 0.01, np.float32), "fc.bias": np.zeros(8, np.float32), **last_tensors}
    save(f"quantised_{name}", nodes, tensors, 8 + 24, frozen=16, opset=25)
    path = os.path.join(HERE, f"quantised_{name}.onnx")
    model = onnx.load(path)
    model.ir_version = 13
    model.graph.initializer.append(h.make_tensor("wq", element, [4, 8], raw, raw=True))
    onnx.save(model, path)
save("quantised_by_cast", [
    h.make_node("Cast", ["wq"], ["f"], to=T.FLOAT),
    h.make_node("Sub", ["f", "wq_zeros"], ["c"]),
    h.make_node("Mul", ["c", "wq_scales"], ["w"]),
    h.make_node("MatMul", ["x", "w"], ["a"], name="first"),
    h.make_node("Add", ["a", "fc.bias"], ["q"])] + last,
    {"wq": rng.integers(-127, 127, (4, 8)).astype(np.int8), "wq_scales": np.full((1, 8), 0.01, np.float32),
     "wq_zeros": np.zeros((1, 8), np.float32), "fc.bias": np.zeros(8, np.float32), **last_tensors},
    8 + 24, frozen=16)
# Weight decay in the graph: its strength is a setting. Computed in advance by PyTorch's exporter it is
# one number, and no parameter.
decayed = [h.make_node("MatMul", ["x", "fc.weight"], ["q"])] + last[:-1] + [
    h.make_node(last[-1].op_type, list(last[-1].input), ["u"])]
decay = [h.make_node("Mul", ["fc.weight", "fc.weight"], ["s"]),
         h.make_node("ReduceSum", ["s"], ["r"], keepdims=0),
         h.make_node("Mul", ["r", "decay"], ["p"]),
         h.make_node("Add", ["u", "p"], ["y"])]
tensors = {"fc.weight": drawn(4, 8), **last_tensors}
save("weight_decay", decayed + decay, {**tensors, "decay": np.array(1e-3, np.float32)}, 32 + 24, frozen=1,
     producer="pytorch")
save("weight_decay_folded", decayed + [h.make_node("Add", ["u", "mul"], ["y"])],
     {**tensors, "mul": np.array(1e-3, np.float32)}, 32 + 24, frozen=1, producer="pytorch")
path = os.path.join(HERE, "weight_decay_folded.onnx")
model = onnx.load(path)
notes = [(name, "pkg.torch.export.graph_signature.InputSpec.kind", "PARAMETER") for name in tensors]
notes.append(("mul", "pkg.onnxscript.optimizer.folded_from", "['fc.weight', 'val_1']"))
for name, key, value in notes:
    info = model.graph.value_info.add(name=name)
    info.metadata_props.add(key=key, value=value)
onnx.save(model, path)

with open(os.path.join(HERE, "expected.json"), "w") as out:
    json.dump(expected, out, indent=1, sort_keys=True)
    out.write("\n")
print(len(expected), "models")
