"""Errors that are the user's to mend: the commands print them as one line and exit with 2."""


class InputError(ValueError):
    """Something handed in cannot be used; the message says what was got and what to do."""
