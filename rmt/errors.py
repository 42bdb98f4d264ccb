"""Errors that are the user's to mend, which the commands print as one line and exit with 2, and what their messages list."""

from collections.abc import Iterable


class InputError(ValueError):
    """Something handed in cannot be used; the message says what was got and what to do."""


def few(items: Iterable[str], most: int = 5) -> str:
    """The first of what a message names, and how many more there are."""
    named = list(items)
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(named[:most]) + more


def printable(text: str) -> str:
    """A text out of a file as one line that is safe to print: what is not printable is escaped as in Python."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
