"""Writes tests/data/extended.csv: values of elementary functions for `Extended`, by mpmath.

A number is (hi + lo)·2^exponent with |hi| in [1, 2), written as three columns.
Run from crates/gradprobe-engine: python3 tests/generators/extended_values.py > tests/data/extended.csv
"""
import random
import mpmath as mp

mp.mp.dps = 80


def split(value):
    if value == 0:
        return 0.0, 0.0, 0
    _, exponent = mp.frexp(value)
    exponent = int(exponent) - 1
    scaled = mp.ldexp(value, -exponent)
    hi = float(scaled)
    lo = float(scaled - mp.mpf(hi))
    if abs(hi) == 2.0:
        hi, lo, exponent = hi / 2, lo / 2, exponent + 1
    return hi, lo, exponent


def evaluate(function, x):
    extra = 40 + int(abs(mp.log(abs(x) + 1, 10))) * 3
    if function in ("erfc", "sech_squared", "sigmoid"):
        extra += 10
    with mp.workdps(80 + extra):
        return {
            "exp": mp.exp,
            "exp_m1": mp.expm1,
            "ln": lambda v: mp.log(abs(v)),
            "ln_1p": lambda v: mp.log1p(v if v > -1 else -v),
            "tanh": tanh,
            "sech_squared": sech_squared,
            "sigmoid": lambda v: 1 / (1 + mp.exp(-v)),
            "erf": lambda v: mp.erf(v),
            "erfc": lambda v: mp.erfc(v),
            "sin": mp.sin,
            "cos": mp.cos,
            "atan": mp.atan,
        }[function](x)


def tanh(v):
    e = mp.exp(-2 * abs(v))
    return mp.sign(v) * -mp.expm1(-2 * abs(v)) / (1 + e)


def sech_squared(v):
    e = mp.exp(-2 * abs(v))
    return 4 * e / (1 + e) ** 2


random.seed(20261)
shared = [1e-300, 1e-30, 1e-10, 1e-5, 0.01, 0.1, 0.24, 0.26, 0.3, 0.34, 0.49, 0.5, 0.51, 0.69, 0.71, 0.75, 1.0, 1.25,
          1.4142, 1.5, 2.0, 2.5, 3.0, 3.14159, 4.0, 5.5, 6.7, 9.0, 9.5, 9.6, 9.9, 10.1, 12.0, 19.0, 26.0, 37.0, 60.0,
          100.0, 333.25, 750.0]
large = {
    "exp": [1e4, 1e9, 1e15], "exp_m1": [1e4, 1e15], "ln": [1e300, 1.7e308, 1e30], "ln_1p": [1e300, 1e20],
    "tanh": [1e4], "sech_squared": [1e4, 1e9, 1e15], "sigmoid": [1e4, 1e15], "erf": [1e3], "erfc": [1e3, 1e4, 1e7],
    "sin": [1e4, 1e9, 1e15, 1e22, 1e100, 1e300, 2.0**1000], "cos": [1e4, 1e9, 1e15, 1e22, 1e100, 1e300],
    "atan": [1e4, 1e20, 1e300],
}
print("# function, argument (hi, lo, exponent), value (hi, lo, exponent); tests/generators/extended_values.py, "
      f"mpmath {mp.__version__}")
for function in large:
    arguments = [mp.mpf(x) for x in shared + large[function]]
    for _ in range(25):
        hi = random.uniform(0.0, 12.0)
        arguments.append(mp.mpf(hi) + mp.mpf(hi * 2.0**-54 * random.uniform(-0.9, 0.9)))
    arguments.append(mp.mpf(2) ** -4000 * 3)
    for argument in arguments:
        for x in (argument, -argument):
            if function == "ln" and x < 0 or function == "ln_1p" and x <= -1:
                continue
            if x < mp.mpf(2) ** -3000 and function == "erfc" and x > 1:
                continue
            xh, xl, xe = split(x)
            exact_x = mp.ldexp(mp.mpf(xh) + mp.mpf(xl), xe)
            value = evaluate(function, exact_x)
            print(f"{function},{xh!r},{xl!r},{xe},{','.join(map(repr, split(value)))}")
