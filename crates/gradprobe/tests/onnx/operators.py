"""Makes the models of `operators/`: a linear layer, then operators that no exported network among
the other tests has, then the sum of the squares.

    python operators.py

`gradients.json` holds the gradients of the weights by PyTorch in float64, which
`operators.rs` expects. The models named `refused_*` ask for more than there is; `operators.rs`
expects their messages.
"""

import json
import pathlib

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent / "operators"
ROWS, INPUTS = 4, 6
made = {}


def exact(generator, *shape):
    """Multiples of 1/64 of up to 1."""
    return (generator.integers(-63, 64, shape) / 64).astype(np.float32)


X = exact(np.random.default_rng(11), ROWS, INPUTS)


def node(op, inputs, outputs=("y",), **attributes):
    return helper.make_node(op, inputs, list(outputs), name=f"{op.lower()}_{outputs[0]}", **attributes)


def ints(name, values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def save(name, units, nodes, opset=20, constants=()):
    """`units` of a linear layer make `u`; the nodes make `y` of it."""
    generator = np.random.default_rng(len(made) + 1)
    weights = {f"{layer}.weight": exact(generator, INPUTS, count) for layer, count in units.items()}
    first = [node("MatMul", ["x", key], [key.split(".")[0]]) for key in weights]
    last = node("ReduceSumSquare", ["y"], ["loss"], keepdims=0)
    graph = helper.make_graph(
        [*first, *nodes, last],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ROWS, INPUTS])],
        [helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])],
        [*(numpy_helper.from_array(array, key) for key, array in weights.items()), *constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="operators.py")
    model.ir_version = 10
    onnx.save(model, HERE / f"{name}.onnx")
    return weights


def model(name, units, nodes, function, **more):
    weights = save(name, units, nodes, **more)
    tensors = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in weights.items()}
    x = torch.tensor(X).double()
    loss = function(*(x @ weight for weight in tensors.values())).square().sum()
    loss.backward()
    made[name] = {
        "parameters": {
            key: {"l2": weight.grad.norm().item(), "mean": weight.grad.mean().item()} for key, weight in tensors.items()
        },
    }


def reshaped(shape, source="u", to="v"):
    return [node("Reshape", [source, f"{to}_shape"], [to])], [ints(f"{to}_shape", shape)]


def functions():
    for name, bounded in (("Acos", "Tanh"), ("Asin", "Tanh"), ("Atanh", "Tanh"), ("Asinh", None), ("Sinh", None), ("Cosh", None), ("Tan", "Tanh")):
        function = getattr(torch, name.lower())
        before = [node(bounded, ["u"], ["v"])] if bounded else []
        model(name.lower(), {"u": 3}, [*before, node(name, ["v" if bounded else "u"])],
              (lambda u: function(u.tanh())) if bounded else function)
    model("acosh", {"u": 3}, [node("Abs", ["u"], ["a"]), node("Exp", ["a"], ["e"]), node("Sinh", ["e"], ["s"]), node("Acosh", ["s"])],
          lambda u: torch.acosh(u.abs().exp().sinh()))
    # Nothing is infinite, so that nothing is replaced.
    model("isinf", {"u": 3}, [node("IsInf", ["u"], ["bad"]), node("Neg", ["u"], ["minus"]), node("Where", ["bad", "minus", "u"])],
          lambda u: u)


def grids():
    theta, theta_shape = reshaped([ROWS, 2, 3])
    image, image_shape = reshaped([ROWS, 1, 4, 3], "pixels", "image")
    size = ints("size", [ROWS, 1, 3, 5])
    for opset, names in ((16, ("bilinear", "bicubic", "nearest")), (20, ("linear", "cubic", "nearest"))):
        for mode, theirs in zip(names, ("bilinear", "bicubic", "nearest")):
            for padding in ("zeros", "border", "reflection"):
                if opset == 16:
                    # The places are the signal itself.
                    grid, grid_shape = reshaped([ROWS, 1, 3, 2])
                    model(f"grid_sample_{mode}_{padding}", {"u": 6, "pixels": 12},
                          [*grid, *image, node("GridSample", ["image", "v"], mode=mode, padding_mode=padding)],
                          lambda u, p: F.grid_sample(p.reshape(ROWS, 1, 4, 3), u.reshape(ROWS, 1, 3, 2), theirs, padding, False),
                          opset=16, constants=[*grid_shape, *image_shape])
                elif padding == "zeros":
                    align = int(mode != "cubic")
                    model(f"affine_grid_{mode}", {"u": 6, "pixels": 12},
                          [*theta, *image, node("AffineGrid", ["v", "size"], ["grid"], align_corners=align),
                           node("GridSample", ["image", "grid"], mode=mode, align_corners=align)],
                          lambda u, p: F.grid_sample(p.reshape(ROWS, 1, 4, 3), F.affine_grid(u.reshape(ROWS, 2, 3), [ROWS, 1, 3, 5], bool(align)), theirs, "zeros", bool(align)),
                          opset=20, constants=[*theta_shape, *image_shape, size])


def blocks_and_matrices():
    columns, shape = reshaped([ROWS, 4, 6])
    model("col2im", {"u": 24}, [*columns, node("Col2Im", ["v", "image", "block"])],
          lambda u: F.fold(u.reshape(ROWS, 4, 6), (3, 4), 2),
          constants=[*shape, ints("image", [3, 4]), ints("block", [2, 2])])
    matrices, shape = reshaped([ROWS, 3, 3])
    model("det", {"u": 9}, [*matrices, node("Det", ["v"])], lambda u: torch.linalg.det(u.reshape(ROWS, 3, 3)), constants=shape)
    model("eye_like", {"u": 4}, [node("EyeLike", ["u"], ["eye"], k=1), node("Mul", ["u", "eye"])],
          lambda u: u * torch.diag(torch.ones(3, dtype=u.dtype), 1))
    mask = numpy_helper.from_array(np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]], bool), "mask")
    model("non_zero", {"u": 3}, [node("NonZero", ["mask"], ["where"]), node("Transpose", ["where"], ["places"]), node("GatherND", ["u", "places"])],
          lambda u: u[torch.tensor(numpy_helper.to_array(mask))], constants=[mask])
    steps, shape = reshaped([ROWS, 3, 2])
    model("reverse_sequence", {"u": 6}, [*steps, node("ReverseSequence", ["v", "lengths"], ["r"], batch_axis=1, time_axis=0), node("CumSum", ["r", "axis"])],
          lambda u: torch.stack([torch.cat([row[:n].flip(0), row[n:]]) for row, n in zip(u.reshape(ROWS, 3, 2).transpose(0, 1), (4, 1, 2))]).cumsum(1),
          constants=[*shape, ints("lengths", [4, 1, 2]), ints("axis", 0)])


def spectra():
    signal, shape = reshaped([ROWS, 5, 1])
    model("dft_17", {"u": 5}, [*signal, node("DFT", ["v", "length"], axis=1, onesided=1)],
          lambda u: torch.view_as_real(torch.fft.rfft(u, 7)), opset=17, constants=[*shape, ints("length", 7)])
    numbers, shape = reshaped([ROWS, 3, 2])
    model("dft_20", {"u": 6}, [*numbers, node("DFT", ["v", "", "axis"], inverse=1, onesided=1)],
          lambda u: torch.fft.irfft(torch.view_as_complex(u.reshape(ROWS, 3, 2))), constants=[*shape, ints("axis", -2)])
    numbers, shape = reshaped([ROWS, 1, 3, 2])
    model("dft_first_axis", {"u": 6}, [*numbers, node("DFT", ["v", "", "axis"])],
          lambda u: torch.view_as_real(torch.fft.fft(torch.view_as_complex(u.reshape(ROWS, 1, 3, 2)), dim=0)), constants=[*shape, ints("axis", 0)])
    signal, shape = reshaped([ROWS, 12, 1])
    model("stft", {"u": 12}, [*signal, node("STFT", ["v", "step", "", "frame"])],
          lambda u: torch.view_as_real(torch.stft(u, 4, 3, window=torch.ones(4, dtype=u.dtype), center=False, return_complex=True).transpose(1, 2)),
          opset=17, constants=[*shape, ints("step", 3), ints("frame", 4)])
    mel = [node("MelWeightMatrix", ["bins", "frame", "rate", "low", "high"], ["mel"]),
           node("STFT", ["v", "step", "", "frame"], ["spectrum"]),
           node("ReduceL2", ["spectrum"], ["size"], axes=[-1], keepdims=0),
           node("MatMul", ["size", "mel"])]
    edge = lambda name, hertz: numpy_helper.from_array(np.array(hertz, np.float32), name)
    import onnx.reference.ops.op_mel_weight_matrix as reference

    weights = torch.tensor(reference.MelWeightMatrix._run(None, 4, 8, 8000, 100.0, 4000.0)[0], dtype=torch.float64)
    model("mel_spectrogram", {"u": 12}, [*signal, *mel],
          lambda u: torch.stft(u, 8, 2, window=torch.ones(8, dtype=u.dtype), center=False, return_complex=True).abs().transpose(1, 2) @ weights,
          opset=17, constants=[*shape, ints("step", 2), ints("frame", 8), ints("bins", 4), ints("rate", 8000), edge("low", 100.0), edge("high", 4000.0)])


def refused():
    huge = 10**12
    signal, shape = reshaped([ROWS, 5, 1])
    save("refused_dft", {"u": 5}, [*signal, node("DFT", ["v", "length"])], constants=[*shape, ints("length", huge)])
    known = [node("ConstantOfShape", ["shape"], ["ones"]), node("DFT", ["ones", "length"], ["d"]), node("ReduceSum", ["d"], ["s"], keepdims=0), node("Mul", ["u", "s"])]
    save("refused_dft_of_constants", {"u": 5}, known, constants=[ints("shape", [1, 4, 1]), ints("length", huge)])
    edges = [numpy_helper.from_array(np.array(hertz, np.float32), name) for name, hertz in (("low", 0.0), ("high", 4000.0))]
    mel = [node("MelWeightMatrix", ["bins", "length", "rate", "low", "high"], ["mel"]), node("ReduceSum", ["mel"], ["s"], keepdims=0), node("Mul", ["u", "s"])]
    save("refused_mel", {"u": 5}, mel, constants=[ints("bins", huge), ints("length", huge), ints("rate", 8000), *edges])
    save("refused_mel_edges", {"u": 5}, mel, constants=[ints("bins", 4), ints("length", 16), ints("rate", 4000), *edges])
    theta, shape = reshaped([ROWS, 2, 3])
    save("refused_affine_grid", {"u": 6}, [*theta, node("AffineGrid", ["v", "size"])], constants=[*shape, ints("size", [ROWS, 1, 10**6, 10**6])])
    columns, shape = reshaped([ROWS, 4, 6])
    save("refused_col2im", {"u": 24}, [*columns, node("Col2Im", ["v", "image", "block"])], constants=[*shape, ints("image", [10**6, 10**6]), ints("block", [2, 2])])
    wide = [node("Expand", ["u", "shape"], ["big"]), node("EyeLike", ["big"], ["eye"]), node("ReduceSum", ["eye"], ["s"], keepdims=0), node("Mul", ["u", "s"])]
    save("refused_eye_like", {"u": 1}, [node("ReduceSum", ["u"], ["t"]), node("Expand", ["t", "shape"], ["big"]), *wide[1:]], constants=[ints("shape", [20000, 20000])])


def main():
    HERE.mkdir(exist_ok=True)
    for make in (functions, grids, blocks_and_matrices, spectra, refused):
        make()
    text = {"what": f"gradients by PyTorch {torch.__version__} in float64, see operators.py", "models": made}
    (HERE / "gradients.json").write_text(json.dumps(text, indent=1) + "\n")
    save_file({"x": X}, HERE / "data.safetensors")
    (HERE / "data.safetensors").chmod(0o644)


main()
