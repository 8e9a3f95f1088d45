"""Models of Flax, as jax2onnx writes them: no names are left."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from _peers import Folder, quiet
from flax import nnx
from jax2onnx import to_onnx

draw = np.random.default_rng(0)


class Perceptron(nnx.Module):
    def __init__(self, rngs):
        self.fc1, self.norm = nnx.Linear(6, 8, rngs=rngs), nnx.LayerNorm(8, rngs=rngs)
        self.fc2, self.head = nnx.Linear(8, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(jnp.tanh(self.fc2(nnx.relu(self.norm(self.fc1(x))))))


class Convolutions(nnx.Module):
    def __init__(self, rngs):
        self.conv1, self.conv2 = nnx.Conv(3, 4, (3, 3), rngs=rngs), nnx.Conv(4, 4, (3, 3), rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.conv2(nnx.relu(self.conv1(x)))).mean((1, 2)))


def exported(model, shape, path):
    with quiet():
        onnx.save(to_onnx(model, [shape]), path)
    return onnx.load(path).graph.input[0].name


folder = Folder()
cases = []
for name, model, shape in (
    ("perceptron", Perceptron(nnx.Rngs(0)), (4, 6)),
    ("convolutions", Convolutions(nnx.Rngs(0)), (4, 8, 8, 3)),
):
    (folder.path / name).mkdir()
    cases.append((name, model, shape, exported(model, shape, folder.path / name / "model.onnx")))
jax.config.update("jax_enable_x64", True)
for name, model, shape, source in cases:
    x, target = draw.standard_normal(shape).astype(np.float32), np.arange(shape[0]) % 3
    graph, parameters = nnx.split(model)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), parameters)

    def loss(parameters):
        logits = jax.nn.log_softmax(nnx.merge(graph, parameters)(jnp.asarray(x, jnp.float64)))
        return -logits[jnp.arange(len(x)), target].mean()

    value, gradients = jax.value_and_grad(loss)(wide)
    truth = {
        "gradient." + jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradients)
    }
    data = {source: x, "target": target}
    folder.add(name, [("jax2onnx", f"{name}/model.onnx")], "cross-entropy", data, truth, float(value), has_names=False)
folder.close()
