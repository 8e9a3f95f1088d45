"""Batch normalisations written out as a scale and a shift, and what looks like them and is none."""

import numpy as np
import onnx
from _peers import Folder
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 6
EPSILON = 1e-3
folder = Folder()


def weights(seed):
    draw = np.random.default_rng(seed)
    kernels = [draw.standard_normal((CHANNELS, CHANNELS, 3, 3)) * 0.2 for _ in range(4)]
    return kernels, draw.standard_normal((CHANNELS, 3))


def network(form, trained, last, named):
    """Four convolutions, each normalised; channels first, or last between transposes."""
    kernels, head = weights(0)
    draw = np.random.default_rng(1)
    tensors, nodes, at = {"head": head}, [], "x"

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=f"{stem}{op}", **attributes))
        return output

    shape = (1, 1, 1, CHANNELS) if last else (1, CHANNELS, 1, 1)
    for i, kernel in enumerate(kernels):
        stem = f"model/bn{i}/batchnorm/" if named else f"/n{i}/"
        tensors[f"onnx::Conv_{i}"] = kernel
        at = node("Conv", [at, f"onnx::Conv_{i}"], f"c{i}", pads=[1] * 4)
        gamma, beta, mean = np.ones(CHANNELS), np.zeros(CHANNELS), np.zeros(CHANNELS)
        if trained:
            gamma, beta, mean = (draw.uniform(0.5, 1.5, CHANNELS) for _ in range(3))
            mean = mean if form == "sub_mul_add" else np.zeros(CHANNELS)
        scale = gamma / np.sqrt(1 + EPSILON)
        if form == "node":
            statistics = {"gamma": gamma, "beta": beta, "mean": mean, "variance": np.ones(CHANNELS)}
            tensors |= {f"bn{i}.{key}": value for key, value in statistics.items()}
            inputs = [at, *(f"bn{i}.{key}" for key in statistics)]
            at = node("BatchNormalization", inputs, f"v{i}", epsilon=EPSILON)
        else:
            if last:
                at = node("Transpose", [at], f"t{i}", perm=[0, 2, 3, 1])
            if form == "sub_mul_add":
                tensors[f"onnx::Sub_{i}"] = mean.reshape(shape)
                at = node("Sub", [at, f"onnx::Sub_{i}"], f"s{i}")
            if form == "div":
                tensors[f"onnx::Div_{i}"] = 1 / scale.reshape(shape)
                at = node("Div", [at, f"onnx::Div_{i}"], f"u{i}")
            else:
                tensors[f"onnx::Mul_{i}"] = scale.reshape(shape)
                at = node("Mul", [at, f"onnx::Mul_{i}"], f"u{i}")
            tensors[f"onnx::Add_{i}"] = beta.reshape(shape)
            at = node("Add", [at, f"onnx::Add_{i}"], f"v{i}")
            if last:
                at = node("Transpose", [at], f"b{i}", perm=[0, 3, 1, 2])
        at = node("Relu", [at], f"r{i}")
    stem = "/head/"
    at = node("GlobalAveragePool", [at], "pooled")
    at = node("Flatten", [at], "flat")
    node("MatMul", [at, "head"], "y")
    return nodes, tensors


def lookalike(name):
    """No batch normalisation: an input that is standardised, a trained scale in a branch, the affine
    part of a normalisation."""
    kernels, head = weights(0)
    draw = np.random.default_rng(2)
    wide = lambda: draw.uniform(0.5, 1.5, (1, CHANNELS, 1, 1))
    tensors = {"head": head, "c.weight": kernels[0], "onnx::A": wide(), "onnx::B": wide(), "onnx::C": wide()}
    conv = helper.make_node("Conv", ["z", "c.weight"], ["c"], pads=[1] * 4)
    if name == "standardised_input":
        nodes = [("Sub", "x", "onnx::A", "a"), ("Div", "a", "onnx::B", "b"), ("Add", "b", "onnx::C", "z")]
        nodes = [helper.make_node(op, [left, right], [out]) for op, left, right, out in nodes] + [conv]
        nodes.append(helper.make_node("Relu", ["c"], ["r"]))
    elif name == "layer_scale":
        tensors["block.gamma"] = tensors.pop("onnx::A")
        nodes = [helper.make_node("Relu", ["x"], ["z"]), conv, helper.make_node("Mul", ["c", "block.gamma"], ["s"])]
        nodes.append(helper.make_node("Add", ["s", "z"], ["r"]))
    else:
        tensors |= {"one": np.ones(CHANNELS), "nought": np.zeros(CHANNELS)}
        nodes = [helper.make_node("Relu", ["x"], ["z"]), conv]
        nodes.append(helper.make_node("InstanceNormalization", ["c", "one", "nought"], ["i"]))
        nodes.append(helper.make_node("Mul", ["i", "onnx::A"], ["s"]))
        nodes.append(helper.make_node("Add", ["s", "onnx::B"], ["r"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["r"], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "head"], ["y"]))
    return nodes, tensors


def save(case, form, nodes, tensors):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in tensors.items()]
    inputs = [value("x", ["n", CHANNELS, 8, 8])]
    graph = helper.make_graph(nodes, "g", inputs, [value("y", ["n", 3])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder.path / case).mkdir(exist_ok=True)
    onnx.save(model, folder.path / case / f"{form}.onnx")
    return form, f"{case}/{form}.onnx"


x = {"x": np.random.default_rng(3).standard_normal((8, CHANNELS, 8, 8)).astype(np.float32)}
for case, trained in (("fresh", False), ("trained", True)):
    models = [save(case, "node", *network("node", trained, False, False))]
    for form in ("sub_mul_add", "mul_add", "div"):
        for last in (False, True):
            for named in (False, True):
                label = f"{form}_{'last' if last else 'first'}_{'named' if named else 'unnamed'}"
                models.append(save(case, label, *network(form, trained, last, named)))
    folder.add(case, models, "output", x)
lookalikes = ("standardised_input", "layer_scale", "affine_of_norm")
folder.add("lookalikes", [save("lookalikes", name, *lookalike(name)) for name in lookalikes], "output", x)
folder.close()
