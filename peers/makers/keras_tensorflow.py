"""Keras models on TensorFlow, as `Model.export` and tf2onnx write them. Biases of zeros are left out
without a trace, so the models are as if trained."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf
from _keras import batch, in_double, models, trained
from _peers import Folder, quiet

folder = Folder()
for model, shape in models():
    name = trained(model).name
    x, target = batch(shape)
    # One that was never called is not exported.
    model(x)
    (folder.path / name).mkdir()
    files = []
    for opset in (13, 15, 18):
        files.append((f"tf2onnx, opset {opset}", f"{name}/model_{opset}.onnx"))
        with quiet():
            model.export(folder.path / files[-1][1], format="onnx", verbose=False, opset_version=opset)
    wide = in_double(model)
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, wide(tf.cast(x, tf.float64)))
        value = tf.reduce_mean(losses)
    gradients = tape.gradient(value, wide.trainable_variables)
    paths = [variable.path for variable in model.trainable_variables]
    truth = {f"gradient.{path}": gradient.numpy() for path, gradient in zip(paths, gradients)}
    folder.add(name, files, "cross-entropy", {"x": x, "target": target}, truth, float(value), has_names=False)
folder.close()
