"""Single zarr arrays, of format 2 and 3, as tensorstore writes them for checkpoints.

The zarr package opens stores, not strangers' arrays: it makes whatever array the metadata ask for and runs any codec they
name. Here the metadata are checked against the chunks that are there, and the codecs are zstd, gzip and zlib.

Source: the Zarr storage specification, version 2; the Zarr core specification, version 3, with its sharding codec.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import google_crc32c
import numpy as np

from realnets.readers._stores import StoreError, Value, unzstd
from realnets.readers.base import numpy_dtype
from rmt.datafiles import refuse_zip_bomb

METADATA = (".zarray", "zarr.json")
"""What a file of metadata is called in formats 2 and 3."""

_MAX_METADATA = 2**20
_MAX_RANK = 32
_MAX_INNER = 100_000  # chunks in a shard
_DTYPES = re.compile(r"(u?int|float|bfloat|float8_|complex|bool)\w*")
_CODES = re.compile(r"[<>|]([fiubc])(1|2|4|8|16)")


@dataclass(frozen=True)
class Meta:
    """What an array's metadata say.

    Attributes:
        shape: its shape.
        dtype: NumPy's or ml_dtypes' name of its elements, or another that cannot be read.
        byteorder: < or >.
        order: C or F, of the elements in a chunk.
        chunk: shape of the chunks that have a key.
        inner: shape of the chunks within these, if they are shards.
        codecs: zstd, gzip or zlib, in the order of writing.
        fill: what elements of chunks that are not there are.
        key: separator and first part of the keys of chunks.
    """

    shape: tuple[int, ...]
    dtype: str
    byteorder: Literal["<", ">"]
    order: str
    chunk: tuple[int, ...]
    inner: tuple[int, ...] | None
    codecs: tuple[str, ...]
    fill: float | None
    key: tuple[str, str]


def meta(value: Value) -> Meta:
    """The metadata in a .zarray or zarr.json.

    Raises:
        StoreError: they are damaged, or ask for what is not read.
    """
    if value.length > _MAX_METADATA:
        raise StoreError(f"has metadata of {value.length} bytes, more than any array needs")
    try:
        document = json.loads(value.read())
        return _format3(document) if document.get("zarr_format") == 3 else _format2(document)
    except StoreError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise StoreError("has metadata that are damaged or not understood") from error


def _format2(document: dict[str, Any]) -> Meta:
    compressor = document["compressor"]
    if document["filters"]:
        raise StoreError("is packed by filters, which are not run")
    dtype = document["dtype"]
    byteorder: Literal["<", ">"] = ">" if str(dtype).startswith(">") else "<"
    if not isinstance(dtype, str):
        dtype = "structured"
    elif _CODES.fullmatch(dtype):
        dtype = np.dtype(dtype[1:]).name
    codecs = (str(compressor["id"]),) if compressor else ()
    separator = document.get("dimension_separator", ".")
    return _checked(document, document["chunks"], None, dtype, byteorder, document["order"], codecs, (separator, ""))


def _format3(document: dict[str, Any]) -> Meta:
    if document["node_type"] != "array" or document["chunk_grid"]["name"] != "regular":
        raise StoreError("is no array of regular chunks")
    chunk, inner, codecs = document["chunk_grid"]["configuration"]["chunk_shape"], None, document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        shard = codecs[0]["configuration"]
        index = [c["name"] for c in shard["index_codecs"]]
        if len(codecs) != 1 or index != ["bytes", "crc32c"] or shard.get("index_location", "end") != "end":
            raise StoreError("is sharded in a way that is not read")
        inner, codecs = shard["chunk_shape"], shard["codecs"]
    if codecs[0]["name"] != "bytes":
        raise StoreError(f"is packed by {str(codecs[0]['name'])[:40]}, which is not run")
    byteorder = ">" if codecs[0].get("configuration", {}).get("endian") == "big" else "<"
    keys = document["chunk_key_encoding"]
    separator = keys.get("configuration", {}).get("separator", "/" if keys["name"] == "default" else ".")
    names = tuple(str(c["name"]) for c in codecs[1:])
    start = "c" if keys["name"] == "default" else ""
    return _checked(document, chunk, inner, document["data_type"], byteorder, "C", names, (separator, start))


def _checked(
    document: dict[str, Any],
    chunk: Any,
    inner: Any,
    dtype: Any,
    byteorder: Literal["<", ">"],
    order: Any,
    codecs: tuple[str, ...],
    key: tuple[str, str],
) -> Meta:
    shape, fill = document["shape"], document["fill_value"]
    for numbers, least in ((shape, 0), (chunk, 1), (chunk if inner is None else inner, 1)):
        if not isinstance(numbers, list) or not all(type(n) is int and least <= n < 2**63 for n in numbers):
            raise StoreError("has an impossible shape")
        if len(numbers) != len(shape) or len(shape) > _MAX_RANK:
            raise StoreError("has chunks that do not fit its shape")
    if inner is not None and any(c % i for c, i in zip(chunk, inner, strict=True)):
        raise StoreError("has chunks that do not fit its shards")
    if order not in ("C", "F") or key[0] not in (".", "/") or not isinstance(dtype, str) or len(dtype) > 80:
        raise StoreError("has metadata that are not understood")
    if strange := [c for c in codecs if c not in ("zstd", "gzip", "zlib", "crc32c")]:
        raise StoreError(f"is packed by {strange[0][:40]}, which is not run")
    known = isinstance(fill, int | float) or fill is None
    inside = None if inner is None else tuple(inner)
    fill = float(fill or 0) if known else None
    return Meta(tuple(shape), dtype, byteorder, order, tuple(chunk), inside, codecs, fill, key)


def array(meta: Meta, chunks: Mapping[str, Value], where: str) -> np.ndarray:
    """The array whose chunks are the values of `chunks` by their keys behind the array's name; other keys are passed by.

    Raises:
        StoreError: chunks are damaged or of another size than the metadata say.
        InputError: its shape needs far more memory than its chunks could fill.
        ValueError: its elements cannot be read.
    """
    if not _DTYPES.fullmatch(meta.dtype):
        raise StoreError(f"elements of type {meta.dtype} cannot be read")
    dtype = numpy_dtype(meta.dtype)
    stored = dtype.newbyteorder(meta.byteorder)
    spots = {spot: value for key, value in chunks.items() if (spot := _spot(meta, key)) is not None}
    wanted = math.prod(-(-n // c) for n, c in zip(meta.shape, meta.chunk, strict=True))
    packed, each = sum(v.length for v in spots.values()), math.prod(meta.chunk) * dtype.itemsize
    if len(spots) < wanted and meta.fill is None:
        raise StoreError(f"has {len(spots)} chunks, its shape needs {wanted}")
    # Missing chunks are a file's right, and so a shape of any size; padded ones are made whole before they are cut.
    refuse_zip_bomb(where, packed, max(math.prod(meta.shape) * dtype.itemsize, min(len(spots), 1) * each))
    if list(spots) == [(0,) * len(meta.shape)] and meta.chunk == meta.shape:  # one chunk: no copy of it
        return _chunk(meta, spots.popitem()[1].read(), stored, each).astype(dtype, copy=False)
    found = np.full(meta.shape, meta.fill or 0, dtype) if len(spots) < wanted else np.empty(meta.shape, dtype)
    for spot, value in spots.items():
        cut = tuple(slice(o * c, (o + 1) * c) for o, c in zip(spot, meta.chunk, strict=True))
        whole = _chunk(meta, value.read(), stored, each)
        part = found[(*cut, ...)]
        part[...] = whole[tuple(slice(n) for n in part.shape)]
    return found


def _spot(meta: Meta, key: str) -> tuple[int, ...] | None:
    """Place in the grid of the chunk that has this key, if it is one."""
    separator, start = meta.key
    rest = key.split(separator) if separator == "." or not start else key.split("/", 1 if separator == "." else -1)
    if start:
        if not rest or rest[0] != start:
            return None
        rest = rest[1:]
    elif not meta.shape and rest == ["0"]:
        return ()
    if len(rest) != len(meta.shape) or not all(n.isascii() and n.isdigit() and len(n) < 19 for n in rest):
        return None
    spot = tuple(int(n) for n in rest)
    inside = all(o * c < n for o, c, n in zip(spot, meta.chunk, meta.shape, strict=True))
    return spot if inside else None


def _chunk(meta: Meta, data: bytes, dtype: np.dtype, nbytes: int) -> np.ndarray:
    if meta.inner is None:
        flat = np.frombuffer(_decoded(meta, data, nbytes), dtype)
        return flat.reshape(meta.chunk, order="F" if meta.order == "F" else "C")
    grid = [c // i for c, i in zip(meta.chunk, meta.inner, strict=True)]
    count = math.prod(grid)
    if count > _MAX_INNER or 16 * count + 4 > len(data):
        raise StoreError("has a shard without an index")
    index = data[-16 * count - 4 :]
    if google_crc32c.value(index[:-4]) != int.from_bytes(index[-4:], "little"):
        raise StoreError("has a shard whose index is damaged")
    each = math.prod(meta.inner) * dtype.itemsize
    whole = np.full(meta.chunk, meta.fill or 0, dtype)
    places = np.frombuffer(index[:-4], "<u8").reshape(count, 2).tolist()
    for spot, (start, length) in zip(product(*map(range, grid)), places, strict=True):
        if start == length == 2**64 - 1 and meta.fill is not None:
            continue
        if start + length > len(data):
            raise StoreError("has a shard that is cut short")
        inner = np.frombuffer(_decoded(meta, data[start : start + length], each), dtype).reshape(meta.inner)
        whole[(*(slice(o * i, (o + 1) * i) for o, i in zip(spot, meta.inner, strict=True)), ...)] = inner
    return whole


def _decoded(meta: Meta, data: bytes, nbytes: int) -> bytes:
    for codec in reversed(meta.codecs):
        if codec == "crc32c":
            if google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
                raise StoreError("is damaged: its checksum does not match")
            data = data[:-4]
        elif codec == "zstd":
            data = unzstd(data, nbytes)
        else:
            try:
                data = zlib.decompressobj(47).decompress(data, nbytes + 1)  # either header, gzip's or zlib's
            except zlib.error as error:
                raise StoreError(f"is damaged ({error})") from error
    if len(data) != nbytes:
        raise StoreError(f"has a chunk of {len(data)} bytes where {nbytes} are needed")
    return data
