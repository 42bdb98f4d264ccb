"""Members of a zip archive by offset: parts of stored members, bounded inflation, no shared file handle."""

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from realnets.readers.base import zip_directory
from rmt.datafiles import refuse_zip_bomb
from rmt.errors import InputError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_CHUNK = 2**20


@dataclass(frozen=True)
class Member:
    """Where one member of an archive lies, as its central directory says."""

    path: Path
    name: str
    header_offset: int
    size: int
    packed: int
    method: int
    crc: int
    encrypted: bool


def members(path: Path) -> dict[str, Member]:
    """The archive's members by name.

    Raises:
        InputError: see `zip_directory`.
    """
    return {
        i.filename: Member(
            path,
            i.filename,
            i.header_offset,
            i.file_size,
            i.compress_size,
            i.compress_type,
            i.CRC,
            bool(i.flag_bits & 1),
        )
        for i in zip_directory(path)
    }


def read(member: Member, start: int = 0, length: int | None = None) -> bytes:
    """Bytes [start, start + length) of a member; the whole of it is checked against its CRC.

    Never more than `start + length` bytes are inflated, whatever the archive claims.

    Raises:
        InputError: the bytes are not there, damaged, encrypted, packed by another method than deflate, or unpack to
            more than 64 MiB at over 200 times their size, as trained weights never do and zip bombs must.
    """
    length = member.size - start if length is None else length
    where = f"{member.path}: {member.name}"
    if start < 0 or length < 0 or start + length > member.size:
        raise InputError(f"{where}: holds {member.size} bytes, {start + length} are needed")
    if member.encrypted:
        raise InputError(f"{where}: is encrypted")
    refuse_zip_bomb(where, member.packed, member.size)
    try:
        data = (
            _stored(member, start, length) if member.method == zipfile.ZIP_STORED else _inflated(member, start, length)
        )
    except (zlib.error, struct.error, OverflowError) as error:
        raise InputError(f"{where}: damaged ({error})") from error
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror or error})") from error
    if len(data) != length:
        raise InputError(f"{where}: truncated: {length} bytes wanted, {len(data)} found")
    if start == 0 and length == member.size and zlib.crc32(data) != member.crc:
        raise InputError(f"{where}: damaged: its checksum does not match")
    return data


def _data_offset(member: Member, file) -> int:
    """The local header repeats the name and has an extra field of its own length; data begin after it."""
    file.seek(member.header_offset)
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise InputError(f"{member.path}: {member.name}: damaged: no local header where the directory says")
    return member.header_offset + _LOCAL_HEADER.size + name_length + extra_length


def _stored(member: Member, start: int, length: int) -> bytes:
    with member.path.open("rb") as file:
        begin = _data_offset(member, file) + start
        # A read allocates what it is asked for, so ask for no more than the file has.
        available = max(member.path.stat().st_size - begin, 0)
        file.seek(begin)
        return file.read(min(length, available))


def _inflated(member: Member, start: int, length: int) -> bytes:
    if member.method != zipfile.ZIP_DEFLATED:
        raise InputError(f"{member.path}: {member.name}: compression method {member.method} is not supported")
    inflate = zlib.decompressobj(-15)
    pieces, seen, packed = [], 0, member.packed
    with member.path.open("rb") as file:
        file.seek(_data_offset(member, file))
        while seen < start + length and not inflate.eof:
            pending = inflate.unconsumed_tail
            if not pending:
                pending = file.read(min(_CHUNK, packed))
                packed -= len(pending)
                if not pending:
                    break
            piece = inflate.decompress(pending, _CHUNK)
            pieces.append(piece[max(start - seen, 0) : start + length - seen])
            seen += len(piece)
    return b"".join(pieces)
