from .executors import Dask as Dask
from .executors import Executor as Executor
from .executors import Processes as Processes
from .executors import Threads as Threads
from .sweep import count_nonfinite as count_nonfinite
from .sweep import sweep as sweep
from .work import one_blas_thread as one_blas_thread
