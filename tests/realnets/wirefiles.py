"""A writer of Protocol Buffers' wire format, field by field, independent of the reader."""


def number(value: int) -> bytes:
    """A number in seven bits a byte, modulo 2^64."""
    out = b""
    value %= 2**64
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def put(field: int, value: int | bytes) -> bytes:
    """A field: a number, or a run of bytes with its length."""
    if isinstance(value, int):
        return number(field << 3) + number(value)
    return number(field << 3 | 2) + number(len(value)) + value
