"""The tail-fitting engine: `fit_tail(data, method)`, one method a file."""

from rmt.tails.base import MIN_POINTS as MIN_POINTS
from rmt.tails.base import Method as Method
from rmt.tails.base import Status as Status
from rmt.tails.base import TailFit as TailFit
from rmt.tails.clauset import Clauset as Clauset
from rmt.tails.fit import fit_tail as fit_tail
