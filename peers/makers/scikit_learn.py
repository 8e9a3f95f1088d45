"""Perceptrons of scikit-learn, as skl2onnx writes them."""

import warnings

import numpy as np
import torch
from _peers import Folder
from skl2onnx import to_onnx
from sklearn.neural_network import MLPRegressor

draw = np.random.default_rng(0)
folder = Folder()
x, target = draw.standard_normal((12, 6)).astype(np.float32), draw.standard_normal((12, 2)).astype(np.float32)
for activation in ("relu", "tanh", "logistic"):
    model = MLPRegressor(hidden_layer_sizes=(8, 5), activation=activation, max_iter=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, target)
    (folder.path / activation).mkdir()
    file = f"{activation}/model.onnx"
    exported = to_onnx(model, x)
    (folder.path / file).write_bytes(exported.SerializeToString())
    leaves, h = {}, torch.from_numpy(x).double()
    function = {"relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid}[activation]
    for layer, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_)):
        number = layer or ""
        # What is exported is rounded.
        rounded = [torch.from_numpy(array.astype(np.float32)).double().requires_grad_() for array in (weight, bias)]
        leaves |= {f"coefficient{number}": rounded[0], f"intercepts{number}": rounded[1]}
        h = h @ rounded[0] + rounded[1]
        h = function(h) if layer + 1 < len(model.coefs_) else h
    value = torch.nn.functional.mse_loss(h, torch.from_numpy(target).double())
    value.backward()
    truth = {f"gradient.{name}": leaf.grad.numpy() for name, leaf in leaves.items()}
    data = {exported.graph.input[0].name: x, "target": target}
    folder.add(activation, [("skl2onnx", file)], "mse", data, truth, value.item())
folder.close()
