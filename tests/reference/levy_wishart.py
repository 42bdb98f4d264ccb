"""Values of the Levy-Wishart law in many digits, by nothing that `rmt.laws.levy_wishart_solver` uses.

    python tests/reference/levy_wishart.py        # some minutes; writes levy_wishart.json beside this file

K = Gamma(1-s)/Gamma(s) lambda^-s exp(i pi s), y_c = K g(y_r), y_r = K/Q g(y_c), with g by its power series
sum (-y)^j Gamma(s (j+1))/j!, which is entire, in as many digits as the cancellation of its terms eats. The secant method
follows the solution down from large lambda. pdf = s Q Im(y_c y_r/K)/(pi lambda); sf = Im F/pi with the stationary functional
F = A(y_c) + Q A(y_r) - Q y_c y_r/K, A' = g, A(0) = 0: dF/dlog lambda = -s y_c g(y_c), so that log lambda + F is the mean of
log(lambda - x).

With noise n all this is at a complex Lambda, lambda = Lambda a b, a = 1 + n H/(Q Lambda), b = 1 + n h/Lambda, with
H = 1 - s y_c g(y_c) and h = 1 - s y_r g(y_r). Then pdf = -Im(H b)/(pi lambda), and the mean of log(lambda - x) is
log Lambda + F + n h H/Lambda - (Q - 1) log a, since its derivative in log lambda is H b.
"""

import json
from pathlib import Path

import mpmath
from mpmath import mpf

DIGITS = 30
CASES = [(0.5, 1, 0), (0.5, 5, 0), (1.0, 1, 0), (1.0, 1.1, 0), (1.0, 2, 0), (1.3, 1, 0), (1.3, 3, 0), (1.6, 2, 0)]
NOISY = [(0.5, 5, 0.1), (1.0, 1, -0.01), (1.0, 2, -0.01), (1.3, 3, 1.0), (1.3, 1, -0.15), (1.6, 1, -1), (1.6, 2, -1)]
PLACES = [300, 20, 3, 1.2, 0.7]  # of lambda^s, in units of Gamma(1 - s)
RADIUS = {0.5: 12, 1.0: 9, 1.3: 5, 1.6: 3}  # of y that the digits are made for; smaller lambda is left out


class Series:
    """g and its integral A, from a common list of coefficients."""

    def __init__(self, s: mpf, radius: float):
        self.radius = mpf(radius)
        self.g = []
        while len(self.g) < 20 or abs(self.g[-1]) * self.radius ** len(self.g) > mpf(10) ** (-DIGITS - 10):
            j = len(self.g)
            self.g.append((-1) ** j * mpmath.gamma(s * (j + 1)) / mpmath.factorial(j))
        self.A = [mpf(0)] + [c / (j + 1) for j, c in enumerate(self.g)]

    def __call__(self, y, integral: bool = False):
        if abs(y) > self.radius:
            raise ArithmeticError("outside the radius")
        return mpmath.polyval((self.A if integral else self.g)[::-1], y)


def rows(mu: float, Q: float, noise: float) -> list[dict]:
    """pdf and sf at PLACES, as far as the radius reaches."""
    s, radius = mpf(mu) / 2, RADIUS[mu]
    eaten = (1 - s) * s ** (s / (1 - s)) * mpf(radius) ** (1 / (1 - s)) / mpmath.log(10)
    found = []
    with mpmath.workdps(int(2 * eaten) + DIGITS + 30):
        s, Q = mpf(mu) / 2, mpf(Q)
        g = Series(s, radius)
        K1 = mpmath.gamma(1 - s) / mpmath.gamma(s) * mpmath.expjpi(s)
        n, at = mpf(noise), 1000 * mpmath.gamma(1 - s)
        y, log_place = K1 / at * mpmath.gamma(s), mpmath.log(at) / s

        def terms(y, log_place):
            """Of the equations at Lambda: y_r, K, H, h, a, b."""
            K, place = K1 * mpmath.exp(-s * log_place), mpmath.exp(log_place)
            y_r = K / Q * g(y)
            H, h = 1 - s * y * g(y), 1 - s * y_r * g(y_r)
            return y_r, K, H, h, 1 + n * H / (Q * place), 1 + n * h / place

        def residuals(y, log_place):
            y_r, K, _, _, a, b = terms(y, log_place)
            return y - K * g(y_r), log_place + mpmath.log(a) + mpmath.log(b) - mpmath.log(at) / s

        try:
            for place in PLACES:
                target = place * mpmath.gamma(1 - s)
                while at > target:
                    at = max(at / mpf("1.25"), target)
                    y, log_place = mpmath.findroot(residuals, (y, log_place), tol=mpf(10) ** (-2 * DIGITS))
                y_r, K, H, h, a, b = terms(y, log_place)
                lam = at ** (1 / s)
                F = log_place + g(y, True) + Q * g(y_r, True) - Q * y * y_r / K
                F += n * h * H * mpmath.exp(-log_place) - (Q - 1) * mpmath.log(a)
                pdf, sf = -(H * b).imag / (mpmath.pi * lam), F.imag / mpmath.pi
                # at the nearest float64, so that the test asks for exactly this lambda
                lam64 = float(lam)
                sf -= pdf * (mpf(lam64) - lam)
                case = {"mu": mu, "Q": float(Q), "noise": float(noise), "x": lam64}
                found.append(case | {"pdf": mpmath.nstr(pdf, 20), "sf": mpmath.nstr(sf, 20)})
        except ArithmeticError:
            pass
    return found


if __name__ == "__main__":
    out = []
    for case in CASES + NOISY:
        out += rows(*case)
        print(case, len(out), flush=True)
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
