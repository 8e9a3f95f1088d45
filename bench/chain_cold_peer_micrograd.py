"""The notebook's chain in micrograd, as a cold process: four layers, x = 100, every w = 1.

micrograd's only activation is ReLU, so this is half of what `gradprobe chain` prints by default.
"""
from micrograd.engine import Value

f = Value(100.0)
weights = [Value(1.0) for _ in range(4)]
for weight in weights:
    f = (weight * f).relu()
f.backward()
for layer, weight in enumerate(weights, 1):
    print(f"Gradient of W on layer {layer}: {weight.grad}")
