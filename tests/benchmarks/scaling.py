"""Time and memory of one matrix, of its spectrum and its fit, and what larger ones would take: the table in docs/many-machines.md.

Each size is measured in a process of its own, one BLAS thread: processor seconds of a second call (the program is compiled
by the first), the median of --repeats, and the peak of resident memory less that of a 10 x 10 matrix. Larger N are extrapolated
from the largest measured by N^3 and N^2, which is said in the table.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

EXTRAPOLATED = (20_000, 100_000)
GIB = 2**30


def one(N: int, repeats: int) -> None:
    """Print seconds and peak bytes of N x N in this process."""
    import jax

    import rmt
    from rmt.threads import one_blas_thread

    @jax.jit
    def trial(key):
        s = rmt.spectrum(rmt.IID(rmt.Pareto(1.5)).sample(key, (N, N)))
        return s.lambda_max, rmt.fit_tail(s).alpha

    with one_blas_thread():
        jax.block_until_ready(trial(jax.random.key(0)))
        seconds = []
        for i in range(repeats):
            start = time.process_time()
            jax.block_until_ready(trial(jax.random.key(i + 1)))
            seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"N": N, "seconds": statistics.median(seconds), "bytes": peak}))


def measured(N: int, repeats: int) -> dict:
    """Seconds and peak bytes of N x N in a fresh process."""
    command = [sys.executable, __file__, "--one", str(N), "--repeats", str(repeats)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout)


def measure(key, *, N, mu):
    """What `speedup` computes."""
    import rmt

    s = rmt.spectrum(rmt.IID(rmt.Pareto(mu)).sample(key, (N, N)))
    return {"alpha": rmt.fit_tail(s).alpha}


def speedup(workers: int, N: int) -> None:
    """Print wall times of one sweep of 320 trials by 1 and by `workers` threads and processes; their start is in it."""
    import jax

    import rmt
    from rmt.console import keep_compiled_programs

    keep_compiled_programs()
    how = {"grid": {"N": [N], "mu": [1.0 + i / 8 for i in range(8)]}, "key": jax.random.key(0), "progress": False}
    rmt.sweep(measure, **how, n_trials=1)  # puts the program into the cache
    for executor in (rmt.Threads, rmt.Processes):
        walls = {}
        for n in (1, workers):
            start = time.perf_counter()
            rmt.sweep(measure, **how, n_trials=40, executor=executor(n))
            walls[n] = time.perf_counter() - start
        ratio = walls[1] / walls[workers]
        print(f"{executor.__name__}: {walls[1]:.1f} s by 1, {walls[workers]:.1f} s by {workers}: {ratio:.2f} times")


def table(rows: list[dict]) -> str:
    """The table in Markdown, with the extrapolated rows below."""
    last = rows[-1]
    for N in EXTRAPOLATED:
        ratio = N / last["N"]
        rows = [
            *rows,
            {"N": N, "seconds": last["seconds"] * ratio**3, "bytes": last["bytes"] * ratio**2, "how": "extrapolated"},
        ]
    lines = ["| N = M | processor time of a trial | of 10^5 trials | memory of a trial | |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['N']:,} | {clock(row['seconds'])} | {clock(1e5 * row['seconds'])} | {row['bytes'] / GIB:.2g} GiB "
        f"| {row.get('how', 'measured')} |"
        for row in rows
    ]
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    for unit, size in (("years", 365.25 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--speedup", type=int, help="time sweeps by this many threads and processes instead")
    options = parser.parse_args()
    if options.speedup:
        speedup(options.speedup, N=500)
        return
    if options.one:
        one(options.one, options.repeats)
        return
    base = measured(10, 1)["bytes"]
    rows = [measured(N, options.repeats) for N in options.sizes]
    print(table([{**row, "bytes": max(row["bytes"] - base, 0)} for row in rows]))
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
