"""The tail-fitting engine: `fit_tail(data, method)`, one method a file."""

from rmt.tails.alternatives import Exponential as Exponential
from rmt.tails.alternatives import LogNormal as LogNormal
from rmt.tails.alternatives import StretchedExponential as StretchedExponential
from rmt.tails.alternatives import TruncatedPareto as TruncatedPareto
from rmt.tails.base import MIN_POINTS as MIN_POINTS
from rmt.tails.base import Method as Method
from rmt.tails.base import Scan as Scan
from rmt.tails.base import Status as Status
from rmt.tails.base import TailFit as TailFit
from rmt.tails.bootstrap import Bootstrap as Bootstrap
from rmt.tails.bootstrap import bootstrap as bootstrap
from rmt.tails.clauset import Clauset as Clauset
from rmt.tails.compare import Comparison as Comparison
from rmt.tails.compare import compare as compare
from rmt.tails.diagnose import Diagnosis as Diagnosis
from rmt.tails.diagnose import diagnose as diagnose
from rmt.tails.diagnose import scan as scan
from rmt.tails.exp_truncated import ExpTruncated as ExpTruncated
from rmt.tails.fit import fit_tail as fit_tail
from rmt.tails.hill import Hill as Hill
from rmt.tails.hill import hill_limit as hill_limit
from rmt.tails.outliers import outlier_tail_index as outlier_tail_index
from rmt.tails.weightwatcher import WeightWatcher as WeightWatcher
