"""Writes src/num/extended/constants.rs: constants of `Extended` as sums of doubles, by mpmath.

Run from crates/gradprobe-engine: python3 tests/generators/extended_constants.py > src/num/extended/constants.rs
"""
import mpmath as mp

mp.mp.dps = 900


def parts(value, count):
    out = []
    for _ in range(count):
        part = float(mp.mpf(value))
        out.append(part)
        value = value - mp.mpf(part)
    return out


def literal(x):
    return repr(x) if x != 0 else "0.0"


def double(value):
    hi, lo = parts(value, 2)
    return f"Dd::new({literal(hi)}, {literal(lo)})"


def constant(doc, name, value):
    print(f"/// {doc}\npub(super) const {name}: Dd = {double(value)};")


def triple(doc, name, value):
    print(f"/// {doc}\npub(super) const {name}: [f64; 3] = [{', '.join(map(literal, parts(value, 3)))}];")


def table(doc, name, values):
    print(f"/// {doc}\npub(super) const {name}: [Dd; {len(values)}] = [")
    for value in values:
        print(f"    {double(value)},")
    print("];")


print("//! Constants of `Extended`, written by tests/generators/extended_constants.py (mpmath): do not edit.")
print("#![allow(clippy::excessive_precision, clippy::approx_constant, clippy::unreadable_literal)]\n")
print("use super::double::Dd;\n")
triple("ln 2, 159 bits.", "LN_2", mp.log(2))
constant("ln 10.", "LN_10", mp.log(10))
triple("π/2, 159 bits.", "HALF_PI", mp.pi / 2)
constant("2/√π.", "TWO_OVER_SQRT_PI", 2 / mp.sqrt(mp.pi))
constant("1/√(2π).", "INVERSE_SQRT_TWO_PI", 1 / mp.sqrt(2 * mp.pi))
constant("π.", "PI", mp.pi)
table("1/(n+1)! for n = 1…: the series of (e^x − 1)/x − 1, divided by x.", "EXP_M1_SERIES",
      [1 / mp.factorial(n) for n in range(2, 13)])
table("(−1)^n/(2n+1)!: the series of sin(x)/x in x².", "SIN_SERIES",
      [(-1) ** n / mp.factorial(2 * n + 1) for n in range(0, 16)])
table("(−1)^n/(2n)!: the series of cos x in x².", "COS_SERIES",
      [(-1) ** n / mp.factorial(2 * n) for n in range(0, 16)])
table("(−1)^n/(n!(2n+1)): the series of erf(x)·√π/(2x) in x².", "ERF_SERIES",
      [mp.mpf((-1) ** n) / (mp.factorial(n) * (2 * n + 1)) for n in range(0, 23)])
h = mp.mpf(21) / 64
print(f"/// The step h of the trapezoidal rule for erfc.\npub(super) const ERFC_STEP: f64 = {float(h)!r};")
table("e^(−h²k²) for k = 1…: the weights of the trapezoidal rule for erfc.", "ERFC_WEIGHTS",
      [mp.exp(-(h * k) ** 2) for k in range(1, 30)])
constant("2π/h.", "ERFC_POLE_RATE", 2 * mp.pi / h)
bits = 64 * 44
digits = int(mp.floor(mp.ldexp(2 / mp.pi, bits)))
print(f"/// The first {bits} bits after the point of 2/π, most significant word first.")
print(f"pub(super) const TWO_OVER_PI: [u64; {bits // 64}] = [")
for i in range(bits // 64):
    word = digits >> (bits - 64 * (i + 1)) & (2**64 - 1)
    print(f"    0x{word:016x},")
print("];")
