"""The entry laws that share a tail index mu, by the name under which datasets and figures know them."""

from collections.abc import Callable, Mapping
from typing import Any

from rmt.laws.base import Law
from rmt.laws.centred import Centred
from rmt.laws.pareto import Lomax, Pareto

ENTRY_LAWS: Mapping[str, Callable[[Any], Law]] = {
    "signed Pareto": Pareto,
    "Lomax": Lomax,
    "centred Lomax": lambda mu: Centred(Lomax(mu)),
    "signed Lomax": lambda mu: Lomax(mu, signed=True),
}
"""Name -> law of mu. "Lomax" is the published generator: one-sided, mean 1 / (mu - 1)."""
