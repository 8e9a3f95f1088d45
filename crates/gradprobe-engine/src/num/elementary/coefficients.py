"""Writes coefficients.rs: the polynomials of the elementary functions, minimax by Remez' exchange.

Usage: python coefficients.py > coefficients.rs && rustfmt coefficients.rs   (needs mpmath)
"""
from mpmath import mp, mpf, matrix, lu_solve, exp, log, tanh, sin, cos, atan, erf, erfc, sqrt, pi, polyval, cos as mcos

mp.dps = 60


def remez(f, weight, a, b, degree, rounds=12, grid=2000):
    """Coefficients (ascending) of the polynomial p that minimises max |p - f|/weight on [a, b]."""
    a, b = mpf(a), mpf(b)
    n = degree + 2
    nodes = [(a + b) / 2 - (b - a) / 2 * mcos(pi * i / (n - 1)) for i in range(n)]
    points = [(a + b) / 2 - (b - a) / 2 * mcos(pi * i / grid) for i in range(grid + 1)]
    table = [(x, f(x), weight(x)) for x in points]
    fitted = None
    for _ in range(rounds):
        m, v = matrix(n, n), matrix(n, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                m[i, j] = x**j
            m[i, degree + 1] = (-1) ** i * weight(x)
            v[i] = f(x)
        s = lu_solve(m, v)
        c = [s[i] for i in range(degree + 1)]
        errors = [(polyval(c[::-1], x) - y) / w for x, y, w in table]
        extrema, best = [], 0
        for i in range(len(errors)):
            if (errors[i] > 0) != (errors[best] > 0):
                extrema.append(best)
                best = i
            elif abs(errors[i]) > abs(errors[best]):
                best = i
        extrema.append(best)
        while len(extrema) > n:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        worst = max(abs(e) for e in errors)
        fitted = (c, worst)
        if len(extrema) < n:
            break
        nodes = [points[i] for i in extrema]
        if min(abs(errors[i]) for i in extrema) > worst * mpf("0.999"):
            break
    return fitted


def grouped(x):
    """A f64 as Rust writes it: digits in threes."""
    mantissa, _, exponent = repr(float(x)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "_".join(fraction[i : i + 3] for i in range(0, len(fraction), 3)) or "0"
    return f"{whole}.{fraction}" + (f"e{int(exponent)}" if exponent else "")


def show(name, about, f, weight, a, b, degree):
    c, worst = remez(f, weight, a, b, degree)
    a, b, bits = mp.nstr(mpf(a), 4), mp.nstr(mpf(b), 4), mp.nstr(-log(worst, 2), 3)
    print(f"/// {about} on [{a}, {b}], to 2^-{bits}.")
    print(f"pub(super) const {name}: [f64; {degree + 1}] = [")
    for x in c:
        print(f"    {grouped(x)},")
    print("];")


def series(f, terms):
    """f near 0 by its Taylor coefficients, where the closed form cancels."""
    return lambda x: sum(c * x**i for i, c in enumerate(terms)) if abs(x) < mpf("1e-3") else f(x)


def taylor(f, n):
    with mp.workdps(400):
        return mp.taylor(f, 0, n)



print("//! Minimax polynomials, lowest power first; written by `coefficients.py`.")
print("//!")
print("//! `_SHORT` ones are for results that are rounded to f32.")

half_ln2 = log(2) / 2 * mpf("1.0001")
expm1_rest = series(lambda r: (exp(r) - 1 - r) / r**2, [1 / mp.factorial(k + 2) for k in range(20)])
for name, degree in (("EXP", 9), ("EXP_SHORT", 4)):
    show(name, "(e^r - 1 - r)/r²", expm1_rest,
         lambda r: abs((exp(r) - 1) / r**2) if abs(r) > mpf("0.05") else 20, -half_ln2, half_ln2, degree)

log_rest = series(lambda z: (2 * mp.atanh(sqrt(z)) / sqrt(z) - 2) / z, [mpf(2) / (2 * k + 3) for k in range(30)])
top = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
for name, degree in (("LN", 6), ("LN_SHORT", 3)):
    show(name, "(2 artanh(s)/s - 2)/z with z = s²", log_rest, lambda z: mpf(1), 0, top * mpf("1.001"), degree)

sin_rest = series(lambda z: (sin(sqrt(z)) / sqrt(z) - 1) / z, [(-1) ** (k + 1) / mp.factorial(2 * k + 3) for k in range(20)])
cos_rest = series(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2, [(-1) ** k / mp.factorial(2 * k + 4) for k in range(20)])
quarter = (pi / 4) ** 2 * mpf("1.001")
for tail, degree in (("", 5), ("_SHORT", 3)):
    show("SIN" + tail, "(sin(x)/x - 1)/z with z = x²", sin_rest, lambda z: mpf(1), 0, quarter, degree)
    show("COS" + tail, "(cos(x) - 1 + z/2)/z² with z = x²", cos_rest, lambda z: mpf(1), 0, quarter, degree)

atan_rest = series(lambda z: (atan(sqrt(z)) / sqrt(z) - 1) / z, [(-1) ** (k + 1) / mpf(2 * k + 3) for k in range(40)])
for name, degree in (("ATAN", 11), ("ATAN_SHORT", 5)):
    show(name, "(atan(x)/x - 1)/z with z = x²", atan_rest, lambda z: mpf(1), 0, mpf("0.1716"), degree)

tanh_terms = [mpf(-c) for c in taylor(tanh, 63)[5::2]]
tanh_rest = series(lambda z: ((1 - tanh(sqrt(z)) / sqrt(z)) / z - mpf(1) / 3) / z, tanh_terms)
for name, degree in (("TANH_DEFICIT", 11), ("TANH_DEFICIT_SHORT", 5)):
    show(name, "((1 - tanh(x)/x)/z - 1/3)/z with z = x²", tanh_rest, lambda z: mpf(1) / 3, 0, mpf("0.5"), degree)

erf_rest = series(lambda z: (erf(sqrt(z)) / sqrt(z) - 2 / sqrt(pi)) / z, [2 / sqrt(pi) * (-1) ** (k + 1) / (mp.factorial(k + 1) * (2 * k + 3)) for k in range(20)])
for name, degree in (("ERF", 11), ("ERF_SHORT", 6)):
    show(name, "(erf(x)/x - 2/√π)/z with z = x²", erf_rest, lambda z: mpf(1), 0, mpf("1.0"), degree)


def q(t):
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * erfc(x) * exp(x * x)


for name, degree in (("ERFC", 23), ("ERFC_SHORT", 12)):
    show(name, "(1 + 2x) e^(x²) erfc(x) by t = (x - 4)/(x + 4)", q, q, -1, mpf("0.7512"), degree)
