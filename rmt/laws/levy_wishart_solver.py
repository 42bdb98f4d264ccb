"""The fixed point behind the Levy-Wishart law, solved on the host in NumPy, and its table over the logarithm of lambda.

With s = mu/2, kappa = Gamma(1 - s)/Gamma(s) lambda^-s, g(y) = int_0^inf u^(s-1) exp(-u - y u^s) du and
G(x) = exp(i pi s) g(exp(i pi s) x), the cavity equations just above the axis are

    x = kappa g(v),    v = kappa/Q G(x),    f = Im(x G(x))/pi,

and f, the density of l = log lambda^s, is lambda rho/s. With H(x) = h(exp(i pi s) x), h = 1 - s y g, Gaussian entries of
variance `noise` added to W move them to the complex place Lambda that solves

    lambda = Lambda (1 + noise H(x)/(Q Lambda)) (1 + noise h(v)/Lambda),    f = -Im[H(x) (1 + noise h(v)/Lambda)]/(pi s)

with kappa at Lambda: a mean of squares joins the stable sum in each cavity. Negative noise takes as much away, which is what
the first correction in N to the stable sums does; Lambda is then below the axis, and x and v stay between their rays.

Two things make the equations solvable to full precision at every lambda:

- g is integrated along u = t exp(-i theta) with theta = arg(y)/(1 + s), where both terms of the exponent have the same
  size of argument, at most pi s/(1 + s) < pi/2: it decays for every y between the rays 0 and exp(i pi s), and x and v
  never leave those that belong to them. On theta = 0 the integrand grows without bound for mu > 1 and small lambda.
- For Q > 1 the density at small lambda is exponentially small beside x and v. There Im G(x) = Im R(x) + pi Re M(x) with
  R and M real on the real axis; M(x) = sum (-x)^j/(j! Gamma(1 - s - s j)) is the density of T^-s for the positive stable
  T with E exp(-p T) = exp(-p^s), as an integral of positive terms.
"""

# NumPy's stubs give a complex array no real and no imaginary part.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array

from rmt.laws.tables import TURN, Table, first_value, resolve, tabulate

Complex = np.ndarray
Real = np.ndarray

_DIGITS = 38.0  # -log of the relative error aimed at in every rule
_CONVERGED = 1e-11  # the size of the last Newton step, relative in x and v
_DEEPEST = -230.0  # log f at the low end of the table for Q > 1
_DEEPEST_NOISY = -23.0  # the same with noise: Lambda is complex, so that what is small is a difference
_STEPS = 60  # of Newton's method
_GAP = 1e-6  # of the mass, from 1: less is lost where noise is nearly too far below 0
_BATCH = 200  # points solved at once


def log_kappa(s: float, l: Real) -> Real:
    """log of Gamma(1 - s)/Gamma(s) lambda^-s at l = s log lambda."""
    return scipy.special.gammaln(1 - s) - scipy.special.gammaln(s) - l


class Moments(NamedTuple):
    """g(y), h(y) = 1 - s y g(y) = int_0^inf exp(-u - y u^s) du and dh/dlog y."""

    g: Complex
    h: Complex
    slope: Complex


def moments(s: float, y: Complex) -> Moments:
    """The three integrals for 0 <= arg y <= pi s, each without cancellation between large terms."""
    common, u, u_s = _rule(s, y)
    by_u = common * u
    return Moments((common * u_s).sum(1), by_u.sum(1), -y * (by_u * u_s).sum(1))


def _rule(s: float, y: Complex) -> tuple[Complex, Complex, Complex]:
    """On the contour of each y: weight times exp(-u - y u^s), u, and u^s, so that sum(common u^s) = g.

    Trapezoidal in q, where log t = c + q - exp(-q - 2) and c is where y u^s ends the integrand: exponential decay to the
    right, double exponential to the left. The error is exp(-2 pi d/step) with d the half-width of the strip around the
    real q where the integrand is bounded, pi/2 - theta; a fifth is kept back, for exp(-q - 2) bends the strip.
    """
    theta, size = np.angle(y) / (1 + s), np.abs(y)
    room = max(np.pi / 2 - np.abs(theta).max(), 0.5 * (1 - s))  # the least that a solution leaves is pi/2 (1-s)/(1+s)
    step = 2 * np.pi * 0.8 * room / _DIGITS
    span = np.log(_DIGITS / np.sin(room))
    log_size = np.log(np.maximum(size, 1e-300))
    centre = -np.maximum(0.0, log_size) / s
    last = np.minimum(span - centre, span / s).max()
    q = np.arange(-2 - np.log(_DIGITS / s + 40), last + 1, step)
    log_t = centre[:, None] + (q - np.exp(-q - 2))[None, :]
    ended = log_t > span + 1
    log_t = np.where(ended, 0.0, log_t)
    weight = np.where(ended, 0.0, step * (1 + np.exp(-q - 2)))
    ray = np.exp(-1j * theta)[:, None]
    t, t_s = np.exp(log_t), np.exp(s * log_t)
    u_s = t_s * np.exp(-1j * s * theta)[:, None]
    return weight * np.exp(-t * ray - size[:, None] * t_s * ray.conj()), t * ray, u_s


def stable_density(s: float, x: Complex) -> Complex:
    """M(x) = sum_j (-x)^j/(j! Gamma(1 - s - s j)), for x near the real axis where it is small.

    By x^(s/(1-s))/(pi (1 - s)) int_0^pi a exp(-x^(1/(1-s)) a) dphi, a = (sin(s phi)/sin(phi))^(1/(1-s))
    sin((1-s) phi)/sin(s phi): even in phi and flat at pi, so that the trapezoidal rule converges exponentially.

    Source: V. M. Zolotarev, One-dimensional Stable Distributions (1986), section 2.5, for the law of T = x^(-1/s).
    """
    power = 1 / (1 - s)
    least = (1 - s) * s ** (s * power)  # a at phi = 0
    log_x = np.log(x)
    depth = least * np.exp(power * log_x)
    # exp(-depth (a/least - 1)) falls below 1e-17 within this angle, for a >= least (1 + s phi^2/2)
    width = np.minimum(np.pi, np.sqrt(2 * _DIGITS / (s * np.abs(depth))))
    phi = width[:, None] * ((np.arange(80) + 0.5) / 80)[None, :]
    log_a = power * (_log_sinc(s * phi) - _log_sinc(phi)) + _log_sinc((1 - s) * phi) - _log_sinc(s * phi)
    fall = depth[:, None] * np.expm1(np.minimum(log_a, 600.0))
    total = np.where(fall.real < 700, np.exp(log_a - fall), 0.0).mean(1) * width
    return least * np.exp(s * power * log_x - depth) * total / (np.pi * (1 - s))


def _log_sinc(z: Real) -> Real:
    """log(sin(z)/z) to full relative precision, 0 <= z < pi."""
    series = -(z**2) / 6 - z**4 / 180 - z**6 / 2835 - z**8 / 37800 - z**10 / 467775
    return np.where(z < 0.1, series, np.log(np.sin(z) / np.where(z > 0, z, 1.0)))


def turned(s: float, x: Complex) -> tuple[Moments, np.ndarray]:
    """G(x) = exp(i pi s) g(y), h(y) and its slope, y = exp(i pi s) x; and where the imaginary parts came by M.

    That is where x is nearly real and Im G small. There Im R(a + i b) is the imaginary part of (G(a + i b) - G(a - i b))/2,
    integrated as one sine, so that nothing cancels.
    """
    phase = np.exp(1j * np.pi * s)
    g, h, slope = moments(s, phase * x)
    G = phase * g
    exponent = (1 - s) * s ** (s / (1 - s)) * np.abs(x) ** (1 / (1 - s))
    small = (np.abs(np.angle(x)) < 0.1 * (1 - s)) & (exponent > 4)
    if small.any():
        near = x[small]
        M = np.pi * stable_density(s, near)
        common, u, u_s = _rule(s, phase * near.real)
        odd = -1j * common * np.sin(near.imag[:, None] * phase * u_s)
        G[small] = G[small].real + 1j * ((phase * odd * u_s).sum(1).imag + M.real)
        h[small] = h[small].real + 1j * ((odd * u).sum(1).imag - s * (near * M).real)
    return Moments(G, h, slope), small


class Problem(NamedTuple):
    """The parameters of the equations."""

    s: float
    Q: float
    noise: float

    @property
    def deepest(self) -> float:
        """log f where a path down to small lambda ends."""
        return _DEEPEST_NOISY if self.noise else _DEEPEST

    def __str__(self) -> str:
        return f"LevyWishart(mu={2 * self.s}, Q={self.Q}" + (f", noise={self.noise})" if self.noise else ")")


class Solution(NamedTuple):
    """log x, log v and s log Lambda, their derivatives in l, and log f; NaN where Newton's method has not converged."""

    z: Complex  # (3, points)
    slope: Complex  # (3, points)
    log_f: Real


def solve(problem: Problem, l: Real, z: Complex) -> Solution:
    """Newton's method from a guess z = (log x, log v, s log Lambda), each point until its steps no longer shrink."""
    z = z.astype(complex)
    nothing = np.full((3, l.size), np.nan, complex)
    result = Solution(nothing, nothing.copy(), np.full(l.size, np.nan))
    accuracy, active = np.full(l.shape, np.inf), np.arange(l.size)
    for _ in range(_STEPS):
        at, step, size = _newton(problem, l[active], z[:, active])
        rounding = 1e-14 * (1 + np.abs(l[active])) / (1 - problem.s)  # of l and g, seen in z where it is steep
        enough = np.maximum(_CONVERGED, rounding * np.abs(at.slope).max(0))
        ended = (size < 1e-14) | (size >= 0.5 * accuracy[active]) & (accuracy[active] < enough)
        for known, value in zip(result, at, strict=True):
            known[..., active[ended]] = value[..., ended]
        going = ~ended & np.isfinite(size)
        damping = np.minimum(1.0, 0.5 / np.abs(step).max(0))[going]
        active = active[going]
        z[:, active] -= damping * step[:, going]
        accuracy[active] = size[going]
        if not active.size:
            break
    return result


def _newton(problem: Problem, l: Real, z: Complex) -> tuple[Solution, Complex, Real]:
    """The solution if this is it; else the steps to subtract from z, and their size.

    At a given Lambda the equations are x v = kappa/s (1 - h(v)), and 1 - H(x) = Q (1 - h(v)), in the forms that are well
    conditioned: logarithms where H and h are near 1 (large Lambda); H = Q h(v) - (Q - 1) where they are small.
    """
    s, Q, noise = problem
    (log_x, _, place), (x, v) = z, np.exp(z[:2])
    (G, H, H_slope), small = turned(s, x)
    g, h, h_slope = moments(s, v)
    one_less = s * v * g  # 1 - h
    first = log_x - log_kappa(s, place) - np.log(g)
    first_v = 1 + h_slope / one_less
    far = np.abs(H) > 0.5
    second = np.where(np.abs(h) > 0.5, 1 - H - Q * one_less, Q * h - H - (Q - 1))
    second = np.where(far, np.log(Q * v * g) - np.log(x * G), second)
    second_x = np.where(far, H_slope / (s * x * G), -H_slope)
    second_v = np.where(far, -h_slope / one_less, Q * h_slope)
    det = second_v - first_v * second_x
    # Im log x too small to feel the rounding of Re log x: a real Jacobian steps the two apart, but not at an edge
    apart = small & (np.abs(log_x.imag) < 1e-4) & (np.abs(det.imag) < 1e-2 * np.abs(det.real)) & (noise == 0)
    first_v, second_x, second_v, det = (np.where(apart, d.real, d) for d in (first_v, second_x, second_v, det))
    step_x, step_v = (first * second_v - second * first_v) / det, (second - first * second_x) / det
    # large near an edge, where Im x inherits the rounding of the distance to it
    slope_x, slope_v = -second_v / det, second_x / det
    by_x, by_v = (noise / u * np.exp(-place / s) for u in (Q, 1.0))
    turn_x, turn_v = 1 + by_x * H, 1 + by_v * h
    if Q == 1:  # both turns are the root of lambda/Lambda, which is small with lambda
        root = np.exp((l - place) / (2 * s))
        by_l = root / (2 * s)
        third, third_x, third_v, third_place = turn_v - root, 0.0, by_v * h_slope, by_l - by_v * h / s
        turn_v = root
    else:
        third = place + s * (np.log(turn_x) + np.log(turn_v)) - l
        third_x, third_v = s * by_x * H_slope / turn_x, s * by_v * h_slope / turn_v
        third_place, by_l = 1 / turn_x + 1 / turn_v - 1, 1.0
    rise = third_place + third_x * slope_x + third_v * slope_v
    move = (third - third_x * step_x - third_v * step_v) / rise
    step = np.stack([step_x + slope_x * move, step_v + slope_v * move, move])
    size = np.abs(step).max(0)
    relative = np.abs(step_x.imag) / (np.abs((log_x - step_x).imag) + 1e-310)
    size = np.where(apart, np.maximum(size, 0.1 * relative / (1 + np.abs(slope_x))), size)
    far_f = (x * G).imag / np.pi - (by_v * h * H).imag / (np.pi * s)
    f = np.where(far & (np.abs(turn_v) > 0.5), far_f, -(H * turn_v).imag / (np.pi * s))
    log_f = np.where(f > 0, np.log(f), np.where(apart & (np.abs(f) < 1e-305), -np.inf, np.nan))
    return Solution(z, np.stack([slope_x, slope_v, np.ones_like(rise)]) * (by_l / rise), log_f), step, size


class Path(NamedTuple):
    """The solution at rising l, and l where it turns (x from complex to real); -inf where it does so smoothly."""

    l: Real
    at: Solution
    edge: float


def trace(problem: Problem, high: float, low: float) -> Path:
    """The solution followed down from l = high, in steps at which the tangent foretells it to 5 %.

    Down to `low` for Q = 1, and to log f = `problem.deepest` otherwise. Where the density nearly has a square-root edge, z - z(edge)
    is a square root of l - edge: from the point an Im z/(2 Im dz/dl) above the edge the path goes on as far below it.

    Raises:
        ArithmeticError: the solution was lost on the way.
    """
    s, Q, _ = problem
    start = log_kappa(s, np.array(high)) + scipy.special.gammaln(s)
    at = solve(problem, np.array([high]), np.array([[start], [start - np.log(Q) + 1j * np.pi * s], [high]]))
    l, step, edge, path = high, 0.05, -np.inf, [(high, at)]
    while l > low and at.log_f[0] > problem.deepest - max(l, 0.0):
        if not step > 1e-13 * (1 + abs(l)):
            raise ArithmeticError(f"{problem}: solution lost below lambda^(mu/2) = {np.exp(l)}")
        axis, to_edge = _to_edge(s, at)
        near = at.z - axis
        turning = edge == -np.inf and 0 < to_edge < min(step, 0.05)
        if turning:
            step = 2 * to_edge
            guess = axis + near.real - near.imag
        else:
            guess = at.z - step * at.slope
        ahead = solve(problem, np.array([l - step]), guess)
        surprise = np.abs(ahead.z - guess).max()
        if turning and surprise < 0.3 * np.abs(near.imag).max():
            edge, nearer = _approach(problem, l, at)
            path += nearer
        elif turning or not (surprise < 0.05 and abs(ahead.log_f[0] - at.log_f[0]) < 2 * TURN):
            step = to_edge / 2 if turning else step / 2
            continue
        l, at = l - step, ahead
        path.append((l, at))
        step = step * 1.4 if surprise < 0.02 else step
    solutions = (np.concatenate(parts, -1) for parts in zip(*(at for _, at in path[::-1]), strict=True))
    return Path(np.array([l for l, _ in path[::-1]]), Solution(*solutions), edge)


def _axis(s: float, z: Complex) -> Complex:
    """The imaginary parts of z where exp(z) is on the nearest of the rays that bound x, v and Lambda^s."""
    return 1j * np.pi * s * np.round(z.imag / (np.pi * s))


def _to_edge(s: float, at: Solution) -> tuple[Complex, float]:
    """`_axis`, and how far above an edge l is."""
    axis = _axis(s, at.z)
    away, rise = (at.z - axis).imag[:, 0], at.slope.imag[:, 0]
    k = np.argmax(np.abs(rise))
    return axis, away[k] / (2 * rise[k]) if rise[k] else np.inf


def _approach(problem: Problem, l: float, at: Solution) -> tuple[float, list[tuple[float, Solution]]]:
    """The edge, and points ever nearer above it: at each, it is Im z/(2 Im dz/dl) away up to its square."""
    (axis, to_edge), nearer = _to_edge(problem.s, at), []
    edge = l - to_edge
    for _ in range(16):
        l = edge + to_edge / 5
        near = at.z - axis
        at = solve(problem, np.array([l]), axis + near.real + 1j * np.sqrt(0.2) * near.imag)
        _, closer = _to_edge(problem.s, at)
        if not 0 < closer < to_edge / 2:
            break
        edge, to_edge = l - closer, closer
        nearer.append((l, at))
    return edge, nearer


def _guess(s: float, l: Real, path: Path) -> Complex:
    """z at l: cubic Hermite interpolation between the points of the path, a square root across an edge."""
    z, slope = path.at.z, path.at.slope
    k = np.clip(np.searchsorted(path.l, l) - 1, 0, len(path.l) - 2)
    width = path.l[k + 1] - path.l[k]
    t = (l - path.l[k]) / width
    rise = z[:, k + 1] - z[:, k]
    bend = (slope[:, k] * width - rise) * (1 - t) - (slope[:, k + 1] * width - rise) * t
    across = (path.l[k] < path.edge) & (path.edge < path.l[k + 1])
    side = np.where(l < path.edge, k, k + 1)
    root = np.sqrt((l - path.edge) / (path.l[side] - path.edge))
    centre = z[:, k + 1].real + _axis(s, z[:, k + 1])
    return np.where(across, centre + (z[:, side] - centre) * root, z[:, k] + t * rise + t * (1 - t) * bend)


def log_density(problem: Problem, l: Real, path: Path) -> Real:
    """log f at any l on the path."""
    flat = l.ravel()
    parts = [flat[k : k + _BATCH] for k in range(0, flat.size, _BATCH)]
    log_f = [solve(problem, part, _guess(problem.s, part, path)).log_f for part in parts]
    return np.concatenate(log_f).reshape(l.shape)


def series_above(s: float, Q: float, terms: int = 8) -> Real:
    """a_n of sf = sum_n a_n exp(-n l): the equations solved in powers of kappa; a_1 = 1."""
    j = np.arange(terms)
    taylor = (-1.0) ** j * np.exp(scipy.special.gammaln(s * (j + 1)) - scipy.special.gammaln(j + 1))  # of g

    def at(coefficients: Complex, argument: Complex) -> Complex:
        total = np.zeros(terms, complex)
        for c in coefficients[::-1]:
            total = np.convolve(total, argument)[:terms]
            total[0] += c
        return total

    def times_kappa(series: Complex) -> Complex:
        return np.concatenate([[0], series[:-1]])

    turn = np.exp(1j * np.pi * s * (j + 1))
    x = np.zeros(terms, complex)
    for _ in range(terms):
        G = at(taylor * turn, x)
        x = times_kappa(at(taylor, times_kappa(G) / Q))
    f = np.convolve(x, at(taylor * turn, x))[:terms].imag / np.pi
    n = j[1:]
    return f[1:] / n * np.exp(n * log_kappa(s, np.array(0.0)))


@cache
def table(mu: float, Q: float, noise: float = 0.0) -> Table:
    """The table of the law, solved on first use: NumPy, so that a traced caller cannot leave a tracer in the cache.

    Raises:
        ArithmeticError: no solution was found, or its mass is not 1: `noise` is too far below 0.
    """
    s = mu / 2
    problem = Problem(s, Q, noise)
    high, low = np.log(1e3) + scipy.special.gammaln(1 - s), _hard_edge(s) if Q == 1 else -np.inf
    if noise:
        high = max(high, s * np.log(1e13 * abs(noise)))  # beyond, the series without noise holds
        low += 2 * s * min(0.0, np.log(abs(noise)))
    with np.errstate(all="ignore"):  # a diverging guess is data: NaN, and a smaller step
        path = trace(problem, high, low)
        edges, log_f = _segments(problem, path)
    known = _integrate(s, Q, edges, log_f)
    if not abs(known.gap) < _GAP:
        raise ArithmeticError(f"{problem}: the density has a mass of {1 + known.gap}")
    return known


def _hard_edge(s: float) -> float:
    """For Q = 1: the l below which lambda^(1/2) rho is constant to 1e-15, h = Gamma(k+1) w - ... + Gamma(3k+1)/6 w^3."""
    k = 1 / s
    log_w2 = np.log(1e-15) + scipy.special.gammaln(k + 1) - scipy.special.gammaln(3 * k + 1)
    return log_kappa(s, np.array(0.0)) - np.log(s) + log_w2 / k


def _segments(problem: Problem, path: Path) -> tuple[Real, Real]:
    """Edges of the segments, and log f at the nodes of each."""
    low, high = path.l[[0, -1]]
    below_edge = path.at.log_f[np.searchsorted(path.l, path.edge) - 1]
    if path.edge > low and not below_edge > (0.75 if problem.noise else 2) * problem.deepest:
        low = path.edge  # nothing that a float64 could hold is left below it
    ends = np.unique([low, max(path.edge, low), high])
    first = np.concatenate([_split(*pair, path) for pair in pairwise(ends)])
    # with noise Lambda is complex: its rounding is that of f, and where it is steep in l that of g counts as one of l
    errors = {"error_l": 1e-14 / (1 - problem.s), "error_f": 1e-13} if problem.noise else {}
    return resolve(lambda l: log_density(problem, l, path), first, f"{problem}, l = log lambda^(mu/2)", **errors)


def _split(low: float, high: float, path: Path) -> Real:
    """Segments of at most unit width in which log f does not change too much, as far as the path knows."""
    l = np.concatenate([[low], path.l[(path.l > low) & (path.l < high)], [high]])
    known = np.isfinite(path.at.log_f)
    log_f = np.interp(l, path.l[known], path.at.log_f[known])
    length = np.maximum(np.diff(l), np.abs(np.diff(log_f)) / (0.8 * TURN))
    place = np.append(0.0, np.cumsum(length))
    edges = np.interp(np.linspace(0, place[-1], int(np.ceil(place[-1])) + 1), place, l)
    return np.stack([edges[:-1], edges[1:]], 1)


def _integrate(s: float, Q: float, edges: Real, log_f: Real) -> Table:
    """The table, with what goes on beyond it: powers above; below log cdf with a slope that grows as exp(-decay away)."""
    first, slope = first_value(edges, log_f)
    rate, decay = (1 / (2 * s), 0.0) if Q == 1 else (slope, 1 / (1 - s))
    upper = series_above(s, Q)
    beyond = np.polynomial.polynomial.polyval(np.exp(-edges[-1]), np.append(0.0, upper))
    below = partial(Steepening, edges[0], rate, decay)
    return tabulate(edges, log_f, np.exp(first) / rate, beyond, below, Powers(upper))


class Steepening(NamedTuple):
    """Below a table: log cdf goes on from its value at `low` with the slope rate exp(-decay (l - low)) as l falls."""

    low: float
    rate: float
    decay: float
    log_cdf: float

    def log_tail(self, l: Array) -> Array:
        """log cdf."""
        away = l - self.low
        if self.decay == 0:
            return self.log_cdf + self.rate * away
        return self.log_cdf - self.rate / self.decay * jnp.expm1(jnp.minimum(-self.decay * away, 600.0))

    def log_density(self, l: Array) -> Array:
        """log f."""
        return self.log_tail(l) + jnp.log(self.rate) - self.decay * (l - self.low)

    def quantile(self, log_tail: Array) -> Array:
        """The inverse of `log_tail`."""
        fall = (log_tail - self.log_cdf) / self.rate
        return self.low + (fall if self.decay == 0 else -jnp.log1p(-self.decay * fall) / self.decay)


class Powers(NamedTuple):
    """Above a table: sf = sum_n a_n exp(-n l), whose first term, of coefficient 1, goes on where exp(-l) underflows."""

    coefficients: Real

    def log_tail(self, l: Array) -> Array:
        """log sf."""
        return _log_sum(self.coefficients, l)

    def log_density(self, l: Array) -> Array:
        """log f."""
        return _log_sum(self.coefficients * np.arange(1, len(self.coefficients) + 1), l)

    def quantile(self, log_tail: Array) -> Array:
        """By the first term."""
        return -log_tail


def _log_sum(coefficients: Real, l: Array) -> Array:
    return jnp.log(jnp.polyval(jnp.asarray(coefficients[::-1]), jnp.exp(-l), unroll=len(coefficients))) - l
