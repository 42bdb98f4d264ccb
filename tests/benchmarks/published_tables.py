"""The published tables of the contest papers, recomputed as far as they go, and which of their numbers cannot be.

    python tests/benchmarks/published_tables.py shared/reference/contest/published_tables.csv

Every AVG row from the rows of its groups; the sizes of groups at which a printed tau can come out without ties; and the
columns of the earlier version of C. H. Martin & M. W. Mahoney, arXiv:2106.00734, that are those of another metric.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

STATISTICS = ("r2", "rmse", "tau")
LARGEST = 30
"""Models of a group; the contest has about a hundred for each task."""

Table = dict[tuple[str, str, str, str], dict[str, dict[str, str]]]


def read(path: Path) -> Table:
    """Source, table, task and metric -> group -> the printed numbers."""
    table: Table = defaultdict(dict)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            table[row["source"], row["table"], row["task"], row["metric"]][row["group"]] = row
    return table


def half_digit(text: str) -> float:
    """Half a unit of the last printed digit; a table prints as many as its longest entry, at least two."""
    return 0.5 * 10.0 ** -max(len(text.partition(".")[2]), 2)


def averages(table: Table) -> list[tuple[str, float, float, float]]:
    """What, its printed average, the mean of the printed groups, and how far rounding can put the two apart."""
    found = []
    for (source, _, task, metric), groups in table.items():
        for what in STATISTICS:
            printed = groups["AVG"][what]
            of = [row[what] for group, row in groups.items() if group != "AVG" and row[what]]
            if not of:
                continue
            apart = half_digit(printed) + sum(map(half_digit, of)) / len(of)
            found.append((f"{source} {task} {metric} {what}", float(printed), sum(map(float, of)) / len(of), apart))
    return found


def possible_sizes(text: str, digits: int) -> list[int]:
    """Sizes of a group at which Kendall's tau, (C - D) / (C + D) over all n (n - 1)/2 pairs and no ties, is printed as this."""
    found = []
    for n in range(4, LARGEST + 1):
        pairs = n * (n - 1) // 2
        near = round(float(text) * pairs)
        taus = [k / pairs for k in range(near - 2, near + 3) if (k - pairs) % 2 == 0]
        if any(abs(tau - float(text)) <= 0.5 * 10.0**-digits + 1e-9 for tau in taus):
            found.append(n)
    return found


def sizes(table: Table) -> dict[tuple[str, str], dict[int, tuple[int, int]]]:
    """Task and group -> the sizes at which its tau of alpha and the log spectral norm, of three digits, is possible.

    And for each size at how many of the other printed taus, of two digits, it is possible too, and how many there are: ties, of
    training accuracies above all, and truncated digits take some away.
    """
    three, two = defaultdict(list), defaultdict(list)
    for (_, name, task, _), groups in table.items():
        for group, row in groups.items():
            if group != "AVG":
                (three if name.startswith("alpha") else two)[task, group].append(row["tau"])
    found = {}
    for of, (tau,) in three.items():
        others = [possible_sizes(text, 2) for text in two[of]]
        digits = max(3, len(tau.partition(".")[2]))
        found[of] = {n: (sum(n in each for each in others), len(others)) for n in possible_sizes(tau, digits)}
    return found


def copied(table: Table) -> list[tuple[str, str, bool]]:
    """Task, group, and whether AlphaHat of the earlier version has both numbers of Alpha of the later one."""
    return [
        (task, group, (row["r2"], row["tau"]) == (of["r2"], of["tau"]))
        for task in ("Task1", "Task2")
        for group, row in table["PM-earlier", "metric vs test", task, "AlphaHat"].items()
        if group != "AVG" and (of := table["PM-later", "metric vs test", task, "Alpha"][group])
    ]


def main(path: Path) -> None:
    """Print what holds and what does not."""
    table = read(path)
    checked = averages(table)
    wrong = [of for of in checked if abs(of[1] - of[2]) > of[3]]
    largest = max(checked, key=lambda of: abs(of[1] - of[2]))
    print(f"{len(checked)} averages, {len(wrong)} of them not within the rounding of their groups")
    print(f"farthest: {largest[0]}: printed {largest[1]}, the groups give {largest[2]:.4f}")
    for what, printed, mean, _ in wrong:
        print(f"  {what}: printed {printed}, the groups give {mean:.4f}")
    print(
        "sizes at which tau of alpha and the log spectral norm is possible without ties, and how many of the other taus are:"
    )
    for (task, group), counts in sizes(table).items():
        print(f"  {task} {group}: " + "; ".join(f"{n} ({some} of {every})" for n, (some, every) in counts.items()))
    taus = table["PM-later", "alpha vs log_spectral_norm", "Task1", "Alpha~LogSpectralNorm"]
    for tau, where in ((taus["5xx"]["tau"], "table"), ("0.177", "text")):
        mean = sum(float(tau if group == "5xx" else row["tau"]) for group, row in taus.items() if group != "AVG") / 6
        print(
            f"  Task1 5xx: {tau} of the {where} makes an average of {mean:.3f}, printed {taus['AVG']['tau']}, and takes a group of"
        )
        print(f"    {', '.join(map(str, possible_sizes(tau, 3)))}")
    same = copied(table)
    print(
        f"AlphaHat of the earlier version has the numbers of Alpha in {sum(of for *_, of in same)} of {len(same)} groups, not in"
    )
    print("  " + ", ".join(f"{task} {group}" for task, group, of in same if not of))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("usage: python tests/benchmarks/published_tables.py published_tables.csv")
    main(Path(sys.argv[1]))
