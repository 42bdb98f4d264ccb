"""Cores and the threads of BLAS: workers beside each other, and sums that do not depend on how many there are."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import threadpool_limits


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_blas_thread(of_jax: bool = True) -> "threadpool_limits":
    """BLAS on one thread, so that workers do not fight over cores and sums do not depend on the number of threads.

    From the call on, and back again at the end of a `with` block.

    Args:
        of_jax: JAX's LAPACK on CPUs too, which is scipy's. It is loaded for that, a tenth of a second: only a loaded library can
            be limited. False where NumPy's does all the work.
    """
    from threadpoolctl import threadpool_limits

    if of_jax:
        import scipy.linalg  # noqa: F401
    return threadpool_limits(1, user_api="blas")
