"""A corpus of trained models: every metric against their quality, by group and pooled, and Simpson's paradox between the two.

table = realnets.corpus.read_table(Path("models.csv"))
found = realnets.corpus.examine(table, Path("results"))
print(found.paradoxes["alpha"].verdict)
"""

from realnets.corpus.associations import Association, associate
from realnets.corpus.metrics import METRICS, RULES, Metric
from realnets.corpus.results import Corpus, examine
from realnets.corpus.table import Columns, Model, Table, read_table

__all__ = [
    "METRICS",
    "RULES",
    "Association",
    "Columns",
    "Corpus",
    "Metric",
    "Model",
    "Table",
    "associate",
    "examine",
    "read_table",
]
