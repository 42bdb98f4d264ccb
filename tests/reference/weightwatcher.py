"""What WeightWatcher 0.7.7 returns for some spectra in each of its three modes, as a reference for `rmt.WeightWatcher`.

    make .venv-bench/installed
    .venv-bench/bin/pip install --no-deps --target build/powerlaw-1.5 powerlaw==1.5
    PYTHONPATH=build/powerlaw-1.5 .venv-bench/bin/python -P tests/reference/weightwatcher.py

writes `tests/reference/weightwatcher.json`. The spectra are made here from fixed seeds and rounded to nine digits, so that
they are the same on every machine; the tests import them. With its own search WeightWatcher refuses 'xmin_peak' for every
spectrum; that mode works only through the package powerlaw, and of that only with release 1.5.
"""

import contextlib
import io
import json
import logging
from pathlib import Path

import numpy as np

PEER = Path(__file__).with_suffix(".json")
MODES = ("plain", "clip_xmax", "xmin_peak")
N = 120


def spectra() -> dict[str, np.ndarray]:
    """Ascending spectra by name: heavy tails, noise, planted outliers, few values, ties, small and large scales."""
    made = {}
    for mu in (1, 2, 3):
        for seed in range(4):
            rng = np.random.default_rng([1, mu, seed])
            entries = (rng.pareto(mu, (2 * N, N)) + 1) * rng.choice([-1, 1], (2 * N, N))
            made[f"Pareto mu={mu} #{seed}"] = eigenvalues(entries)
    for seed in range(6):
        made[f"Gaussian #{seed}"] = noise([2, seed], N)
    for fingers in range(1, 13):
        bulk, rng = noise([3, fingers], N - fingers), np.random.default_rng([4, fingers])
        made[f"{fingers} fingers"] = np.concatenate([bulk, bulk[-1] * rng.uniform(1.5, 20, fingers)])
    for n in range(8, 26):
        made[f"n={n}"] = np.random.default_rng([5, n]).lognormal(0, 1, n) if n % 3 else noise([5, n], n)
    for n in range(9, 15):
        made[f"grid n={n}"] = np.geomspace(1, 4, n)
    for seed in range(4):
        made[f"ties #{seed}"] = np.round(np.random.default_rng([6, seed]).pareto(2, N) + 1, 1)
    for power in range(-6, 4):
        made[f"scale 1e{power}"] = 10.0**power * noise([7, power % 10], N)
    return {name: np.array([float(f"{v:.9g}") for v in np.sort(x)]) for name, x in made.items()}


def noise(seed: list[int], n: int) -> np.ndarray:
    return eigenvalues(np.random.default_rng(seed).standard_normal((n + n // 4, n)))


def eigenvalues(W: np.ndarray) -> np.ndarray:
    return np.linalg.svd(W, compute_uv=False) ** 2 / len(W)


def main() -> None:
    """Run the peer on every spectrum and write what it returns."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import weightwatcher
    logging.disable()
    watcher = weightwatcher.WeightWatcher()

    def fit(x: np.ndarray, mode: str) -> dict[str, float | int | str | None]:
        with contextlib.redirect_stdout(io.StringIO()):
            alpha, _, xmin, xmax, D, sigma, spikes, fingers, raw_alpha, status, _ = watcher.fit_powerlaw(
                x.copy(),
                plot=False,
                savefig=False,
                fix_fingers=None if mode == "plain" else mode,
                pl_package="powerlaw" if mode == "xmin_peak" else "ww",
            )
        numbers = {"alpha": alpha, "xmin": xmin, "xmax": xmax, "D": D, "sigma": sigma, "raw_alpha": raw_alpha}
        row = {name: None if value is None else float(value) for name, value in numbers.items()}
        return {**row, "num_pl_spikes": int(spikes), "num_fingers": int(fingers), "status": status}

    rows = {
        name: {"checksum": float(x.sum()), **{mode: fit(x, mode) for mode in MODES}} for name, x in spectra().items()
    }
    if all(row["xmin_peak"]["status"] == "failed" for row in rows.values()):
        raise SystemExit("xmin_peak failed for every spectrum: it needs powerlaw 1.5, see the top of this file")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    PEER.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
