"""Verdicts that change with the seed: compares results folders that `rmt run` filled with one size and several seeds.

    for seed in 1 2 3; do rmt run experiments --seed $seed --out results/seed$seed; done
    python tests/benchmarks/flips.py results/seed1 results/seed2 results/seed3

A flip is a statement supported with one seed and contradicted with another; where some are inconclusive it is counted
apart, as too few draws.
"""

import sys
from collections import Counter
from pathlib import Path

from rmt.report import verdict_rows


def outcomes(folders: list[Path]) -> dict[tuple[str, str], list[str]]:
    """Claim and statement -> its outcome in each folder; those that are not in all are left out."""
    tables = [{(row["claim"], row["statement"]): row["outcome"] for row in verdict_rows(folder)} for folder in folders]
    return {at: [table[at] for table in tables] for at in tables[0] if all(at in table for table in tables)}


def kind(found: list[str]) -> str:
    """What the seeds say together."""
    if len(set(found)) == 1:
        return "the same"
    return "flip" if {"supported", "contradicted"} <= set(found) else "inconclusive with some"


def main(folders: list[Path]) -> None:
    """Print every statement whose outcome is not the same everywhere, and the counts."""
    table = outcomes(folders)
    for (claim, statement), found in table.items():
        if kind(found) != "the same":
            print(f"{kind(found)}: {claim}: {statement}: {', '.join(found)}")
    counts = Counter(map(kind, table.values()))
    print(f"{len(table)} verdicts with {len(folders)} seeds: " + ", ".join(f"{n} {name}" for name, n in counts.items()))


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
