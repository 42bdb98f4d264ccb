"""Checks of the options of fitting methods: what was got, and what is needed."""

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """One of a few."""
    if value not in choices:
        raise ValueError(f"{name} needs {' or '.join(map(repr, choices))}, got {value!r}")


def check_tail(name: str, value: int) -> int:
    """A number of values of at least 2."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 2:
        raise ValueError(f"{name} needs an int of at least 2, got {value!r}")
    return value


def check_level(name: str, level: float) -> None:
    """The confidence level of an interval."""
    if not 0 < level < 1:
        raise ValueError(f"{name}(level) needs 0 < level < 1, got {level}")


def positive(name: str, value: object) -> Float[Array, ""]:
    """A positive finite number, or a traced one."""
    try:
        number = jnp.asarray(value, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} needs a positive number, got {value!r}") from None
    if number.ndim:
        raise ValueError(f"{name} needs one number, got shape {number.shape}; use jax.vmap for several")
    if not isinstance(number, Tracer) and not (0 < float(number) < float("inf")):
        raise ValueError(f"{name} needs a positive number, got {float(number)}")
    return number
