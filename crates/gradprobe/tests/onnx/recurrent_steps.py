"""Makes the models of `recurrent_steps/`: recurrent layers with what few exporters write: clipped
pre-activations, coupled gates, other activations than the usual. `golden.json` has the gradients by
PyTorch in float64 of the same formulas, those of ONNX's specification.

    python recurrent_steps.py
"""

import json
import pathlib

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent / "recurrent_steps"
TIME, BATCH, INPUTS, HIDDEN = 4, 3, 2, 3
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
USUAL = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}

FUNCTIONS = {
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Relu": torch.relu,
    "Softsign": torch.nn.functional.softsign,
    "HardSigmoid": lambda x: (0.3 * x + 0.4).clamp(0, 1),
    "Affine": lambda x: 0.7 * x + 0.1,
    "ScaledTanh": lambda x: 1.2 * torch.tanh(0.8 * x),
    "LeakyRelu": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
}
NUMBERS = {"HardSigmoid": (0.3, 0.4), "Affine": (0.7, 0.1), "ScaledTanh": (1.2, 0.8), "LeakyRelu": (0.2, None)}

CASES = {
    "lstm_clip": ("LSTM", {"clip": 0.3}, "bidirectional", None),
    "lstm_coupled": ("LSTM", {"input_forget": 1, "clip": 0.5}, "reverse", None),
    "lstm_activations": ("LSTM", {}, "forward", ["HardSigmoid", "ScaledTanh", "Softsign"]),
    "gru_clip": ("GRU", {"clip": 0.3}, "bidirectional", None),
    "gru_linear_clip": ("GRU", {"clip": 0.4, "linear_before_reset": 1}, "forward", None),
    "rnn_activations": ("RNN", {}, "bidirectional", ["LeakyRelu", "Affine"]),
    "rnn_clip": ("RNN", {"clip": 0.2}, "forward", ["Relu"]),
}


def reference(op, options, functions, x, w, r, b, p):
    """All states of one direction, from zero."""
    bound = options.get("clip", float("inf"))
    act = [lambda u, f=FUNCTIONS[name]: f(u.clamp(-bound, bound)) for name in functions]
    of_x, of_h = b.chunk(2)
    w, r = w.chunk(GATES[op]), r.chunk(GATES[op])
    of_x, of_h = of_x.chunk(GATES[op]), of_h.chunk(GATES[op])
    h = c = torch.zeros(BATCH, HIDDEN, dtype=torch.float64)
    states = []
    for now in x:
        u = [now @ w[k].T + of_x[k] + h @ r[k].T + of_h[k] for k in range(GATES[op])]
        if op == "RNN":
            h = act[0](u[0])
        elif op == "LSTM":
            of_i, of_o, of_f = p.chunk(3)
            i = act[0](u[0] + of_i * c)
            f = 1 - i if options.get("input_forget") else act[0](u[2] + of_f * c)
            c = f * c + i * act[1](u[3])
            h = act[0](u[1] + of_o * c) * act[2](c)
        else:
            z, reset = act[0](u[0]), act[0](u[1])
            if options.get("linear_before_reset"):
                brought = reset * (h @ r[2].T + of_h[2])
            else:
                brought = (reset * h) @ r[2].T + of_h[2]
            h = (1 - z) * act[1](now @ w[2].T + of_x[2] + brought) + z * h
        states.append(h)
    return torch.stack(states)


def make(name, op, options, direction, functions):
    generator = np.random.default_rng(len(name))
    ways = 2 if direction == "bidirectional" else 1
    rows = GATES[op] * HIDDEN
    draw = lambda *shape: generator.normal(size=shape).astype(np.float32)
    weights = {"w": draw(ways, rows, INPUTS), "r": draw(ways, rows, HIDDEN), "b": draw(ways, 2 * rows)}
    inputs = ["x", "w", "r", "b"]
    if op == "LSTM":
        weights["p"] = draw(ways, 3 * HIDDEN)
        inputs += ["", "", "", "p"]
    x, target = draw(TIME, BATCH, INPUTS), draw(TIME, ways, BATCH, HIDDEN)
    attributes = dict(options, hidden_size=HIDDEN, direction=direction)
    names = USUAL[op] * ways
    if functions:
        names = functions if len(functions) == len(names) else functions * ways
        attributes["activations"] = names
        numbers = [NUMBERS.get(each, (None, None)) for each in names]
        attributes["activation_alpha"] = [alpha for alpha, _ in numbers if alpha is not None] or None
        attributes["activation_beta"] = [beta for _, beta in numbers if beta is not None] or None
    attributes = {key: value for key, value in attributes.items() if value is not None}
    node = helper.make_node(op, inputs, ["y"], name="layer", **attributes)
    info = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        [node], name, [info("x", *x.shape)], [info("y", *target.shape)],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    onnx.save(model, HERE / f"{name}.onnx")
    save_file({"x": x, "target": target}, HERE / f"{name}.safetensors")
    (HERE / f"{name}.safetensors").chmod(0o644)

    wide = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in weights.items()}
    x, target = torch.tensor(x).double(), torch.tensor(target).double()
    each = len(USUAL[op])
    states = []
    for way in range(ways):
        backwards = direction == "reverse" or way == 1
        own = [wide[key][way] for key in "wrb"]
        own.append(wide["p"][way] if op == "LSTM" else None)
        h = reference(op, options, names[way * each : (way + 1) * each], x.flip(0) if backwards else x, *own)
        states.append(h.flip(0) if backwards else h)
    loss = torch.nn.functional.mse_loss(torch.stack(states, 1), target)
    loss.backward()
    return {
        "loss": loss.item(),
        "parameters": {
            key: [weight.grad.norm().item(), weight.grad.mean().item()] for key, weight in wide.items()
        },
    }


def main():
    HERE.mkdir(exist_ok=True)
    golden = {name: make(name, *case) for name, case in CASES.items()}
    what = f"gradients by PyTorch {torch.__version__} in float64, see recurrent_steps.py"
    text = json.dumps({"what": what, "models": golden}, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


main()
