"""A simulation lab for heavy-tailed random matrices: key -> W -> Spectrum -> TailFit -> Dataset -> Verdict.

    W = rmt.IID(rmt.Pareto(mu=1.5)).sample(jax.random.key(0), (2000, 1000))
    fit = rmt.fit_tail(rmt.spectrum(W))

Importing this turns on JAX's 64-bit mode for the whole process: heavy-tailed draws span 20 decades and more, which float32
can neither hold apart nor sample far enough into the tail. Ask for float32 by dtype where it will do.
"""

from typing import TYPE_CHECKING

import jax

jax.config.update("jax_enable_x64", True)

from rmt import metrics as metrics  # noqa: E402 (x64 first, so nothing below can be traced in 32 bits)
from rmt.errors import InputError as InputError  # noqa: E402
from rmt.spectra import Spectrum as Spectrum  # noqa: E402
from rmt.spectra import spectrum as spectrum  # noqa: E402
from rmt.tails import Clauset as Clauset  # noqa: E402
from rmt.tails import Status as Status  # noqa: E402
from rmt.tails import TailFit as TailFit  # noqa: E402
from rmt.tails import fit_tail as fit_tail  # noqa: E402

if TYPE_CHECKING:
    from rmt.claims import Claim as Claim
