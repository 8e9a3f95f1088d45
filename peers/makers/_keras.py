"""What makers of Keras models share: the models, and their gradients in double precision."""

import numpy as np

draw = np.random.default_rng(0)


def models():
    """Models with the shape of a batch for each. Made anew, biases are zeros and scales ones."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = keras.Input((6,), name="x")
    y = layers.Dense(8, "tanh", name="fc2")(layers.Dense(8, "relu", name="fc1")(x))
    yield keras.Model(x, layers.Dense(3, name="head")(y), name="perceptron"), (4, 6)
    x = keras.Input((8, 8, 3), name="x")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1")(x)
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2")(y)
    # No norm: what Keras writes of one, PyTorch's older exporter refuses.
    y = layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(y))
    yield keras.Model(x, y, name="convolutions"), (4, 8, 8, 3)


def trained(model):
    """The model with other numbers everywhere, as after training."""
    weights = [w + 0.1 * draw.standard_normal(w.shape).astype(w.dtype) for w in model.get_weights()]
    model.set_weights(weights)
    return model


def in_double(model):
    """The same model, whose layers compute in double precision."""
    import keras

    def wide(config):
        if isinstance(config, dict):
            return {key: "float64" if key == "dtype" else wide(value) for key, value in config.items()}
        return [wide(value) for value in config] if isinstance(config, list) else config

    keras.backend.set_floatx("float64")
    double = model.__class__.from_config(wide(model.get_config()))
    double.set_weights(model.get_weights())
    keras.backend.set_floatx("float32")
    return double


def batch(shape):
    return draw.standard_normal(shape).astype(np.float32), np.arange(shape[0]) % 3
