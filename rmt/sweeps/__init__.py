"""Sweeps: a measure over a grid into one labelled dataset; resumable, bit-identical, one cell a time on disk."""

from rmt.sweeps.executors import Dask as Dask
from rmt.sweeps.executors import Executor as Executor
from rmt.sweeps.executors import Processes as Processes
from rmt.sweeps.executors import Threads as Threads
from rmt.sweeps.sweep import count_nonfinite as count_nonfinite
from rmt.sweeps.sweep import sweep as sweep
from rmt.sweeps.work import one_blas_thread as one_blas_thread
