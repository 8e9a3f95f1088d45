"""What makers share: a folder of cases, PyTorch's exporters in every form, PyTorch's gradients.

A maker runs as `python makers/NAME.py FOLDER`, adds cases, and closes the folder, which writes
`cases.json`. What a case holds is said in `src/case.rs`.
"""

import contextlib
import copy
import functools
import io
import json
import logging
import pathlib
import sys
import warnings
from unittest import mock

import numpy as np
import safetensors.numpy

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

# What PyTorch's two exporters write; an opset that they refuse is left out.
DYNAMO_OPSETS = range(17, 26)
SCRIPT_OPSETS = range(17, 24)


@contextlib.contextmanager
def quiet():
    """Exporters talk."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


class Folder:
    """The folder of a maker."""

    def __init__(self, path=None):
        self.path = pathlib.Path(path or sys.argv[1])
        self.cases = []

    def add(self, name, models, loss, data=None, truth=None, value=None, inference=False, figures=None, aliases=None, has_names=True):
        """A case. `models`: form and file by turns; `data`: inputs by name, and `target`; `truth`:
        arrays by `gradient.PARAMETER`, `output.LAYER`, `cotangent.LAYER`; `aliases`: of a parameter
        that has several names, by the others, the one that `truth` has; `has_names`: are the
        parameters called in the files as in `truth`?"""
        (self.path / name).mkdir(exist_ok=True)
        case = {"name": name, "models": [{"form": form, "file": file} for form, file in models]}
        case |= {"loss": loss, "inference": inference, "has_names": has_names, "value": value, "figures": figures or {}, "aliases": aliases or {}}
        for key, arrays in (("data", data), ("truth", truth)):
            case[key] = None
            if arrays is not None:
                case[key] = f"{name}/{key}.safetensors"
                arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
                safetensors.numpy.save_file(arrays, self.path / case[key])
        self.cases.append(case)

    def close(self):
        text = json.dumps(self.cases, indent=1)
        # JSON knows no NaN.
        (self.path / "cases.json").write_text(text.replace("NaN", "null").replace("Infinity", "1e999"))


def arrays_of(inputs):
    return {name: np.asarray(value) for name, value in inputs.items()}


def torch_loss(output, target, loss):
    import torch.nn.functional as F

    if loss == "output":
        return output.sum()
    if loss == "cross-entropy":
        return F.cross_entropy(output.reshape(-1, output.shape[-1]), target.reshape(-1).long())
    target = target.to(output.dtype).reshape(output.shape)
    losses = {"mse": F.mse_loss, "l1": F.l1_loss, "bce": F.binary_cross_entropy_with_logits}
    return losses[loss](output, target)


def first(output):
    import torch

    while not torch.is_tensor(output):
        output = output[0] if isinstance(output, (tuple, list)) else next(iter(output.values()))
    return output


def torch_truth(module, inputs, target, loss, layers=(), folded=()):
    """The loss and, in double precision, the gradient of every trained parameter; of `layers` (by
    name in what is reported: the module whose output it is) the output and its whole cotangent; of
    `folded` the gradient of what is computed from some parameters, as a function of the module and
    of one that gives the loss."""
    import torch

    module = copy.deepcopy(module).double()
    arguments = {}
    for name, value in inputs.items():
        value = torch.as_tensor(np.asarray(value))
        arguments[name] = value.double() if value.is_floating_point() else value
    seen = {}
    modules = dict(module.named_modules())
    for layer, path in dict(layers).items():
        def hook(_, __, output, layer=layer):
            # A copy, so that an operation in place behind it does not change what is seen.
            output = first(output)
            output.retain_grad()
            seen[layer] = output, output.detach().clone()

        modules[path].register_forward_hook(hook)
    target = None if target is None else torch.as_tensor(np.asarray(target))

    def run():
        return torch_loss(first(module(*arguments.values())), target, loss)

    # Transformers' models take norms and softmaxes to single precision, whatever they are run in.
    with mock.patch.object(torch, "float32", torch.float64):
        value = run()
        value.backward()
    truth = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            gradient = parameter.grad
            gradient = torch.zeros_like(parameter) if gradient is None else gradient
            truth[f"gradient.{name}"] = gradient.detach().numpy()
    for layer, (output, before) in seen.items():
        truth[f"output.{layer}"] = before.numpy()
        truth[f"cotangent.{layer}"] = output.grad.numpy()
    for parameters, gradient in dict(folded).items():
        with mock.patch.object(torch, "float32", torch.float64):
            truth[f"folded.{parameters}"] = gradient(module, run).detach().numpy()
    return value.item(), truth


def gradient_of_output(path):
    """A function for `folded`: the gradient of what a module gives."""
    import torch

    def gradient(module, run):
        outputs = []
        hook = module.get_submodule(path).register_forward_hook(lambda _, __, output: outputs.append(output))
        value = run()
        hook.remove()
        return torch.autograd.grad(value, outputs[0])[0]

    return gradient


def save_external(model, path):
    """Writes a model whose tensors lie in a file beside it, however small they are."""
    import onnx

    onnx.save_model(
        copy.deepcopy(model), path, save_as_external_data=True, location=path.name + ".data", size_threshold=0
    )


@functools.cache
def keep_registries():
    """PyTorch's newer exporter parses the source of all its operators at every call, which takes
    longer than the export of a small network: what it finds is kept here, by opset."""
    from torch.onnx._internal.exporter import _registration

    operators, registry = _registration.onnxscript_apis, _registration.ONNXRegistry
    operators.get_torchlib_ops = functools.cache(operators.get_torchlib_ops)
    registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


def export_torch(folder, name, module, inputs, training=True, dynamo=DYNAMO_OPSETS, script=SCRIPT_OPSETS, optimize=True):
    """Exports by both of PyTorch's exporters at each opset, with the weights in the file and in one
    beside it. Says which files there are, by form; of an exporter that refuses the module altogether
    it raises what that says."""
    import onnx
    import torch

    (folder.path / name).mkdir(exist_ok=True)
    module = copy.deepcopy(module).float().train(training)
    arguments = tuple(torch.as_tensor(np.asarray(value)) for value in inputs.values())
    names = {"input_names": list(inputs), "output_names": ["y"]}
    models = []

    def add(form, file):
        models.append((form, f"{name}/{file}"))

    if dynamo:
        keep_registries()
        with quiet():
            exported = torch.export.export(module, arguments)
    for opset in dynamo:
        for inline in (False, True):
            file = f"dynamo_{opset}_{'inline' if inline else 'external'}.onnx"
            if not inline:
                with quiet():
                    program = torch.onnx.export(
                        exported, dynamo=True, opset_version=opset, optimize=optimize, verbose=False, **names
                    )
            program.save(folder.path / name / file, external_data=not inline)
            add(f"dynamo, opset {opset}, {'inline' if inline else 'external data'}", file)
    mode = torch.onnx.TrainingMode
    for opset in script:
        file = f"script_{opset}_inline.onnx"
        options = {"training": mode.TRAINING if training else mode.EVAL, "do_constant_folding": not training}
        with quiet():
            torch.onnx.export(
                module, arguments, folder.path / name / file, dynamo=False, opset_version=opset, **options, **names
            )
        add(f"TorchScript, opset {opset}, inline", file)
        external = f"script_{opset}_external.onnx"
        save_external(onnx.load(folder.path / name / file), folder.path / name / external)
        add(f"TorchScript, opset {opset}, external data", external)
    return models


def add_torch(folder, name, module, inputs, target=None, loss="output", training=True, layers=(), folded=(), **forms):
    """A case of a PyTorch module: every form of its export, its gradients. `folded` says what an
    exporter may compute in advance: by the parameters (joined by `+`), the function of the module
    that gives the result."""
    inputs = arrays_of(inputs)
    module = module.float().train(training)
    value, truth = torch_truth(module, inputs, target, loss, layers, folded)
    models = export_torch(folder, name, module, inputs, training, **forms)
    data = dict(inputs)
    if target is not None:
        data["target"] = np.asarray(target)
    first_names = {parameter: name for name, parameter in module.named_parameters()}
    every_name = module.named_parameters(remove_duplicate=False)
    aliases = {name: first_names[parameter] for name, parameter in every_name if first_names[parameter] != name}
    folder.add(name, models, loss, data, truth, value, not training, aliases=aliases)
