"""Tracy-Widom distributions as Fredholm determinants, in 50 digits: makes the table that `rmt.TracyWidom` ships.

    F1(s) = det(1 - B_s),   F2(s) = det(1 - B_s) det(1 + B_s),   F4(s/sqrt 2) = (det(1 - B_s) + det(1 + B_s))/2,
    B_s(x, y) = Ai((x + y)/2 + s)/2   on L2(0, inf)

A Gauss-Legendre rule turns the operator into a matrix, and the determinant of the matrix converges exponentially in
the number of nodes. F2 is computed a second time from the Airy kernel, and every value with two numbers of nodes.
The sqrt 2 of F4 is in Tracy and Widom's definition and in Bornemann's tables, and left out by other authors; the table
here holds the right-hand side, as a function of s = scale times the argument of F.

    python tests/reference/tracy_widom.py         # a quarter of an hour on one core

writes `rmt/laws/tracy_widom.json` (Chebyshev coefficients of log F and log(1 - F), the tail series, and moments) and
`tests/reference/tracy_widom.json` (values off the Chebyshev nodes, for the tests).

Source: P. L. Ferrari, H. Spohn, J. Phys. A 38 (2005) L557 for F1 and F4; F. Bornemann, Math. Comp. 79 (2010) 871 for
the method.
"""

import json
from pathlib import Path

from mpmath import mp, mpf
from numpy.polynomial.legendre import leggauss

mp.dps = 50
ROOT = Path(__file__).parents[2]
NODES = {True: 72, False: 48}  # left and right of s = -4: the further left, the more the kernel oscillates
DEGREE = 24
WIDTH = 2
LOW, MIDDLE = -10, 0  # the table holds log F below MIDDLE and log(1 - F) above: each where it has no cancellation
SCALE = {1: mpf(1), 2: mpf(1), 4: mp.sqrt(2)}
HIGH = {1: 12, 2: 8, 4: 12}  # beyond, 1 - F is the trace of its kernel up to a relative 1e-16, which has a series
TAIL_TERMS = 20
POINTS = (-9.3, -7.1, -5.05, -3.8, -2.9, -2, -1.3, -0.4, 0, 0.55, 1.7, 2.9, 4.3, 6.1, 7.7, 9.6, 11.3, 13, 16)  # fmt: skip


def gauss_legendre(n: int) -> tuple[list[mpf], list[mpf]]:
    """Nodes and weights on (0, 1): NumPy's nodes, refined by Newton steps in high precision."""
    nodes, weights = [], []
    for guess in leggauss(n)[0]:
        x = mpf(float(guess))
        for _ in range(4):
            below, value = mpf(1), x
            for k in range(2, n + 1):
                below, value = value, ((2 * k - 1) * x * value - (k - 1) * below) / k
            slope = n * (x * value - below) / (x * x - 1)
            x -= value / slope
        nodes.append((1 + x) / 2)
        weights.append(1 / ((1 - x * x) * slope * slope))
    return nodes, weights


def determinant(kernel, length: mpf, rule) -> tuple[mpf, mpf]:
    """det(1 - K) and det(1 + K) of a symmetric kernel on (0, length)."""
    x = [length * u for u in rule[0]]
    root = [mp.sqrt(length * w) for w in rule[1]]
    n = len(x)
    K = mp.matrix(n, n)
    for i in range(n):
        for j in range(i, n):
            K[i, j] = K[j, i] = root[i] * kernel(i, j, x) * root[j]
    return mp.det(mp.eye(n) - K), mp.det(mp.eye(n) + K)


def ferrari_spohn(s: mpf, rule) -> dict[int, mpf]:
    """F1(s), F2(s) and F4(s/sqrt 2) from B_s; beyond Ai's argument max(24, s + 12) the kernel is below 1e-30 of its value at 0."""
    minus, plus = determinant(lambda i, j, x: mp.airyai((x[i] + x[j]) / 2 + s) / 2, 2 * max(24 - s, mpf(12)), rule)
    return {1: minus, 2: minus * plus, 4: (minus + plus) / 2}


def airy_kernel(s: mpf, rule) -> mpf:
    """F2(s) = det(1 - K_Ai) on L2(s, inf), K_Ai(x, y) = (Ai(x) Ai'(y) - Ai'(x) Ai(y))/(x - y)."""
    length = max(24 - s, mpf(12))
    points = [s + length * u for u in rule[0]]
    ai = [mp.airyai(p) for p in points]
    slope = [mp.airyai(p, derivative=1) for p in points]

    def kernel(i, j, _):
        if i == j:
            return slope[i] ** 2 - points[i] * ai[i] ** 2
        return (ai[i] * slope[j] - slope[i] * ai[j]) / (points[i] - points[j])

    return determinant(kernel, length, rule)[0]


def chebyshev(values: list[mpf]) -> list[float]:
    """Coefficients of the interpolant through values at cos(pi (j + 1/2)/n)."""
    n = len(values)
    return [
        float((2 - (k == 0)) * sum(v * mp.cos(mp.pi * k * (j + mpf(1) / 2) / n) for j, v in enumerate(values)) / n)
        for k in range(n)
    ]


def table() -> dict[str, dict]:
    """Coefficients, one row a segment of length WIDTH, of log F (s < MIDDLE) or log(1 - F) (s > MIDDLE)."""
    rules = {left: gauss_legendre(n) for left, n in NODES.items()}
    angles = [mp.cos(mp.pi * (j + mpf(1) / 2) / (DEGREE + 1)) for j in range(DEGREE + 1)]
    rows: dict[int, list] = {beta: [] for beta in HIGH}
    pieces: dict[int, list] = {beta: [] for beta in HIGH}
    for left in range(LOW - WIDTH, max(HIGH.values()), WIDTH):  # the first for the moments only
        at = [ferrari_spohn(left + WIDTH * (1 + a) / 2, rules[left < -4]) for a in angles]
        for beta, high in HIGH.items():
            if left < high:
                F = [value[beta] for value in at]
                if left >= LOW:
                    rows[beta].append(chebyshev([mp.log(f) if left < MIDDLE else mp.log1p(-f) for f in F]))
                pieces[beta].append(segment_moments(left, angles, F))
        print(f"segment [{left}, {left + WIDTH}] done", flush=True)
    return {
        str(beta): {
            "scale": float(SCALE[beta]),
            "low": LOW,
            "middle": MIDDLE,
            "width": WIDTH,
            "coefficients": rows[beta],
            "tail": tail_series(beta),
            "moments": moments(beta, pieces[beta]),
        }
        for beta in HIGH
    }


def segment_moments(left: int, angles: list[mpf], F: list[mpf]) -> list[mpf]:
    """The segment's part of E[s^k] = int_0^inf k s^(k-1) (1 - F) ds - int_-inf^0 k s^(k-1) F ds, k = 1 ... 4: Fejer's rule."""
    n = len(angles)
    theta = [mp.acos(a) for a in angles]
    weights = [
        mpf(2) / n * (1 - 2 * sum(mp.cos(2 * j * t) / (4 * j * j - 1) for j in range(1, n // 2 + 1))) for t in theta
    ]
    s = [left + WIDTH * (1 + a) / 2 for a in angles]
    mass = [-f if left < MIDDLE else 1 - f for f in F]
    return [
        sum(w * k * x ** (k - 1) * m for w, x, m in zip(weights, s, mass, strict=True)) * WIDTH / 2 for k in range(1, 5)
    ]


def moments(beta: int, pieces: list[list[mpf]]) -> dict[str, float]:
    """Mean, variance, skewness and excess kurtosis; beyond the table, by its tail series."""
    tail, high = tail_series(beta), HIGH[beta]

    def above(s: mpf) -> mpf:
        series = sum(a * s ** (-mpf(3) * k / 2) for k, a in enumerate(tail["coefficients"]))
        return mp.exp(-mpf(4 if beta > 1 else 2) / 3 * s ** mpf(1.5)) * s ** -mpf(tail["power"]) * series

    raw = [
        sum(column) + mp.quad(lambda s, k=k: k * s ** (k - 1) * above(s), [high, high + 4, high + 20])
        for k, column in enumerate(zip(*pieces, strict=True), 1)
    ]
    raw = [moment / SCALE[beta] ** k for k, moment in enumerate(raw, 1)]
    mean, var = raw[0], raw[1] - raw[0] ** 2
    third = raw[2] - 3 * mean * raw[1] + 2 * mean**3
    fourth = raw[3] - 4 * mean * raw[2] + 6 * mean**2 * raw[1] - 3 * mean**4
    named = {"mean": mean, "var": var, "skewness": third / var ** mpf(1.5), "excess_kurtosis": fourth / var**2 - 3}
    return {name: float(value) for name, value in named.items()}


def tail_series(beta: int) -> dict:
    """1 - F ~ exp(-rate s^(3/2)) s^(-power) sum_k a_k s^(-3k/2).

    To a relative 1 - F it is a trace of the kernel: half int_s^inf Ai for F1, int_s^inf int_t^inf Ai^2 for F2, and for
    F4 (tr B^2 - (tr B)^2)/2, half the difference of the other and the square of the one, whose first terms cancel.
    """
    airy = [mpf(1)]
    for k in range(1, TAIL_TERMS):
        airy.append(-airy[-1] * (6 * k - 5) * (6 * k - 1) / (72 * k) * mpf(3) / 2)
    airy = [a / (2 * mp.sqrt(mp.pi)) for a in airy]
    trace, _ = integrate([a / 2 for a in airy], mpf(1) / 4, 1)
    if beta == 1:
        return {"rate": 2 / 3, "power": 0.75, "coefficients": [float(a) for a in trace]}
    square = [sum(airy[i] * airy[k - i] for i in range(k + 1)) for k in range(TAIL_TERMS)]
    series, power = integrate(*integrate(square, mpf(1) / 2, 2), 2)
    if beta == 4:
        series = [(series[k] - sum(trace[i] * trace[k - i] for i in range(k + 1))) / 2 for k in range(1, TAIL_TERMS)]
        power += mpf(3) / 2
    return {"rate": 4 / 3, "power": float(power), "coefficients": [float(a) for a in series]}


def integrate(series: list[mpf], power: mpf, decay: int) -> tuple[list[mpf], mpf]:
    """int_s^inf of exp(-decay (2/3) t^(3/2)) t^(-power) sum_k g_k t^(-3k/2), as a series of the same form."""
    out: list[mpf] = []
    for k, g in enumerate(series):
        out.append((g - (power - 1 + mpf(3) * k / 2) * (out[-1] if out else 0)) / decay)
    return out, power + mpf(1) / 2


def checks() -> list[dict]:
    """Values between the Chebyshev nodes, with the agreement of two rules and, for F2, of two kernels.

    Those of two rules and of two kernels are relative to the smaller tail.
    """
    rules = {left: (gauss_legendre(n), gauss_legendre(n + 16)) for left, n in NODES.items()}
    rows = []
    for s in POINTS:
        rule, finer = rules[s < -4]
        F, fine, airy = ferrari_spohn(mpf(s), rule), ferrari_spohn(mpf(s), finer), airy_kernel(mpf(s), rule)
        for beta in F:
            if 1 - fine[beta] < mpf(10) ** -42:  # too little of the 50 digits is left
                continue
            rows.append(
                {
                    "beta": beta,
                    "s": float(s / SCALE[beta]),
                    "cdf": mp.nstr(fine[beta], 25),
                    "sf": mp.nstr(1 - fine[beta], 25),
                }
            )
            rows[-1]["rule_error"] = float(abs(F[beta] - fine[beta]) / min(fine[beta], 1 - fine[beta]))
            if beta == 2:
                rows[-1]["kernel_error"] = float(abs(airy - fine[2]) / min(fine[2], 1 - fine[2]))
        print(rows[-3:], flush=True)
    return rows


if __name__ == "__main__":
    (ROOT / "tests/reference/tracy_widom.json").write_text(json.dumps(checks(), indent=1) + "\n")
    (ROOT / "rmt/laws/tracy_widom.json").write_text(json.dumps(table(), indent=1) + "\n")
