"""Keras models on PyTorch, as `Model.export` and PyTorch's newer exporter write them: no names are
left, and what Keras calls a variable is a constant to PyTorch."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import torch
from _keras import batch, in_double, models, trained
from _peers import Folder, keep_registries, quiet


def add(folder, name, model, x, target):
    (folder.path / name).mkdir()
    model(x)
    files = [("Keras", f"{name}/model.onnx")]
    with quiet():
        model.export(folder.path / files[0][1], format="onnx", verbose=False)
    for opset in (17, 18, 25):
        files.append((f"dynamo, opset {opset}", f"{name}/dynamo_{opset}.onnx"))
        with quiet():
            program = torch.onnx.export(
                model, (torch.as_tensor(x),), dynamo=True, opset_version=opset, verbose=False, input_names=["x"]
            )
        program.save(folder.path / files[-1][1])
    wide = in_double(model)
    value = torch.nn.functional.cross_entropy(wide(torch.as_tensor(x).double()), torch.as_tensor(target))
    value.backward()
    paths = [variable.path for variable in model.trainable_variables]
    truth = {
        f"gradient.{path}": variable.value.grad.numpy() for path, variable in zip(paths, wide.trainable_variables)
    }
    folder.add(name, files, "cross-entropy", {"x": x, "target": target}, truth, value.item(), has_names=False)


keep_registries()
folder = Folder()
for model, shape in models():
    x, target = batch(shape)
    add(folder, model.name, model, x, target)
    add(folder, f"{model.name}_trained", trained(model), x, target)
folder.close()
