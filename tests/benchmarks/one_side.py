"""One side of `networks.py` in a process of its own: from a file with a torch module to the finished table.

    python one_side.py SIDE TASK FILE THREADS [FOLDER]

SIDE is ours or weightwatcher. TASK is analyze; nulls=K; columns, which writes the table and all eigenvalues into FOLDER; or
lapack, the calls of LAPACK alone that our table needs, three times. The last line printed is a JSON object: seconds of the imports,
of the table, and of the same once more in the same process; peak of the resident memory, in MiB; whether torch was imported; how
many replicates of layers there were.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BEGIN = time.perf_counter()
FEWEST = 10
"""Columns from which on WeightWatcher takes a matrix, and so we do."""


def ours(task: str, file: str, threads: int, folder: str) -> Any:
    import numpy as np

    import realnets
    import rmt
    from realnets import analyze as analyzed  # the names of a package are imported when they are asked for
    from realnets import read_layers
    from rmt.console import keep_compiled_programs
    from rmt.spectra import spectrum_on_host

    keep_compiled_programs()
    method = rmt.WeightWatcher()

    def columns() -> None:
        layers = list(read_layers(file, FEWEST, conv="pooled"))
        found = [realnets.analysis.measure(layer, method) for layer in layers]
        rows = [
            row | {"p": 1 if (W := layer.W).ndim == 2 else len(W)}
            for layer, (row, _) in zip(layers, found, strict=True)
        ]
        written(folder, rows, [x * row["N"] for row, x in found])

    def analyze() -> None:
        analyzed(read_layers(file, FEWEST, conv="pooled"), threads, method=method).to_csv()

    def nulls() -> int:
        import jax

        n = int(task.partition("=")[2])
        table = realnets.compare(read_layers(file, FEWEST), jax.random.key(0), n, threads)
        table.to_csv()
        return sum(2 * row["n_nulls"] for row in table.rows)

    def lapack() -> float:
        matrices = [
            w for layer in read_layers(file, FEWEST, conv="pooled") for w in layer.W.reshape(-1, *layer.W.shape[-2:])
        ]
        by_gram = [int(spectrum_on_host(w).route) == rmt.Route.GRAM for w in matrices]
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            for w, gram in zip(matrices, by_gram, strict=True):
                np.linalg.eigvalsh(w.T @ w) if gram else np.linalg.svd(w, compute_uv=False)
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    return {"columns": columns, "analyze": analyze, "nulls": nulls, "lapack": lapack}[task.partition("=")[0]]


def weightwatcher(task: str, file: str, threads: int, folder: str) -> Any:
    import logging

    import numpy as np
    import torch
    import weightwatcher

    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)

    def watcher() -> Any:
        return weightwatcher.WeightWatcher(model=torch.load(file, weights_only=False))

    def columns() -> None:
        watching = watcher()
        rows = json.loads(watching.analyze().to_json(orient="records", double_precision=15))
        written(folder, rows, [np.sort(watching.get_ESD(layer=row["layer_id"])) for row in rows])

    def analyze() -> None:
        watcher().analyze().to_csv()

    def nulls() -> int:
        table = watcher().analyze(randomize=True)
        table.to_csv()
        return len(table)

    return {"columns": columns, "analyze": analyze, "nulls": nulls}[task.partition("=")[0]]


def written(folder: str, rows: list[dict[str, Any]], eigenvalues: list[Any]) -> None:
    import numpy as np

    Path(folder, "rows.json").write_text(json.dumps(rows))
    np.savez(Path(folder, "eigenvalues.npz"), **{str(i): x for i, x in enumerate(eigenvalues)})


def peak() -> float:
    """Of the resident memory, in MiB: not getrusage's, which is at least what the parent process had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    side, task, file, threads, *folder = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(threads) :])
    run = {"ours": ours, "weightwatcher": weightwatcher}[side](task, file, int(threads), *folder or [""])
    imported = time.perf_counter()
    counted = run()
    done = time.perf_counter()
    found = {"imports": imported - BEGIN, "table": done - imported, "MiB": peak(), "torch": "torch" in sys.modules}
    found["counted"] = counted
    if task == "analyze":
        run()
        found["again"] = time.perf_counter() - done
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
