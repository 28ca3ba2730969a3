"""Files written whole or not at all, and read with errors that name them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yapo.errors import YapoError
from yapo.seal import BLANK, NAME, parquet_place, seal

if TYPE_CHECKING:  # pandas is slow to import, and few files are tables
    import pandas as pd

    from yapo.checks import Role

ROLE = "yapo_role"  # in the metadata of a parquet file
_MOST_WRITERS = 1000  # of one file at once
_SQLITE = ("-journal", "-wal", "-shm")  # endings of the files that SQLite keeps beside a database
_ROOM = "free some and run the same command again; what was finished is kept"
_PERMISSION = "give a folder you may write to, or make it writable and run the same command again; what was finished is kept"
_AGAIN = "delete it and run the stage that makes it again"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run the same command again; what was finished is kept",
    errno.EIO: "check the disk and run the same command again; what was finished is kept",
    errno.EROFS: _PERMISSION,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EEXIST: _PERMISSION,
    errno.ENOTDIR: _PERMISSION,
    errno.EISDIR: _PERMISSION,
    errno.EBUSY: _PERMISSION,
    errno.ENAMETOOLONG: "give it a shorter name",
}


def unwritable(place: Path | str, error: OSError) -> YapoError | None:
    """Return the sentence for a disk that is full, broken or closed to this user; None for an error of another kind."""
    if error.errno not in _REMEDIES:
        return None
    return YapoError(f"{place}: {os.strerror(error.errno)}; {_REMEDIES[error.errno]}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it into place only when the block ends without an error.

    The content reaches the disk before the name does: after a crash of the machine there is the old file or the new one. What a
    killed process left of the same file is overwritten.

    Raises:
        YapoError: The disk is full, or the file may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _claim(path.parent, f".{path.name}.", f".part{path.suffix}", os.O_RDWR)
        journals = [temporary.with_name(temporary.name + ending) for ending in _SQLITE]
        try:
            _remove(*journals)
            os.ftruncate(handle, 0)
            yield temporary
            os.fsync(handle)
            os.fchmod(handle, 0o644)
            os.replace(temporary, path)
        finally:
            _remove(temporary, *journals)
            os.close(handle)
    except OSError as error:
        named = path if error.filename is None else Path(os.fsdecode(error.filename))
        about_path = named in (path, *path.parents) or named.name.startswith(f".{path.name}.")
        told = unwritable(path, error) if about_path else None
        if told is None:
            raise
        raise told from None


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder for the length of a block; what a killed process left of such a folder is cleared.

    Args:
        parent: Where it is; the system's temporary folder by default.
    """
    parent = parent or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    handle, folder = _claim(parent, ".yapo-", ".scratch", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _claim(parent: Path, start: str, end: str, flags: int) -> tuple[int, Path]:
    """Open and lock the first of ``start0end``, ``start1end``, ... that no living process holds.

    The kernel frees the lock however its holder ends. Names are numbered and not random, so that the next process that needs the
    name finds what a killed one left. Links and what belongs to other users are passed over.

    Returns:
        The descriptor that holds the lock, and the path.
    """
    for number in itertools.count():
        path = parent / f"{start}{number}{end}"
        try:
            handle, is_new = _open(path, flags)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(handle)
                if (is_new or found.st_uid == os.geteuid()) and os.path.samestat(found, path.lstat()):
                    return handle, path
                os.close(handle)
            except OSError:
                os.close(handle)
                raise
        except (BlockingIOError, FileNotFoundError):  # its writer is at work, or has just put it into place
            if not parent.is_dir():
                raise
            if number >= _MOST_WRITERS:  # a folder such as /proc
                raise YapoError(f"{parent}: no file can be made there; {_PERMISSION}") from None
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):  # a file system without locks
                _remove(path)
                path = parent / f"{start}{secrets.token_hex(8)}{end}"
                return _open(path, flags)[0], path
            if not path.is_symlink() and (not os.path.lexists(path) or path.lstat().st_uid == os.geteuid()):
                raise
    raise AssertionError  # there is no last number


def _open(path: Path, flags: int) -> tuple[int, bool]:
    """Open a file or folder, and make it where there is none; return the descriptor and whether it is new."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        if flags & os.O_DIRECTORY:
            path.mkdir(mode=0o700)
            return os.open(path, flags), True
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True
    except FileExistsError:
        return os.open(path, flags), False


def _remove(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, two-space indented, with a final line end."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, again: str = _AGAIN) -> Any:
    """Read JSON, with or without a byte order mark.

    Args:
        path: the file.
        again: what to do about a damaged one.

    Raises:
        YapoError: there is none, or it is damaged or gives a key twice.
    """
    return _parsed(path, _content(path, again), "", again)


def read_json_lines(path: Path) -> pd.DataFrame:
    """Read a file of JSON objects, one a line."""
    import pandas as pd

    rows = []
    for number, line in enumerate(_content(path, _AGAIN).splitlines(), start=1):
        row = _parsed(path, line, f", line {number}", _AGAIN)
        if not isinstance(row, dict):
            raise YapoError(f"{path}, line {number}: {line[:40]} is not an object; {_AGAIN}")
        rows.append(row)
    return pd.DataFrame(rows)


def _content(path: Path, again: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; run the stage that makes it") from None
    except UnicodeDecodeError as error:
        raise YapoError(f"{path}: not UTF-8 ({error.reason}); {again}") from None
    except OSError as error:
        raise YapoError(f"{path}: cannot be read ({error.strerror}); {again}") from None


def _parsed(path: Path, text: str, where: str, again: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise YapoError(f"{path}{where}: not valid JSON ({error}); {again}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys are distinct: JSON does not say which of two values counts."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(f"it gives {Counter(key for key, _ in pairs).most_common(1)[0][0]!r} twice")
    return made


def write_parquet(path: Path, frame: pd.DataFrame, role: Role = "train") -> None:
    """Write a table without its index, with a digest that reading checks (``yapo.seal``).

    ``role`` test is stated in the file, where ``stated_role`` finds it: nothing is to be trained on the table.
    """
    import pyarrow as pa  # of the extra 'study'
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with replacing(path) as temporary:
        with pq.ParquetWriter(temporary, table.schema) as writer:
            writer.write_table(table)
            stated = {ROLE: role} if role == "test" else {}
            writer.add_key_value_metadata({**stated, NAME: BLANK})
        seal(temporary, parquet_place(temporary))


def stated_role(path: Path) -> Role:
    """Return what a file may be used for, as ``write_parquet`` states it; train where it states nothing."""
    if path.suffix != ".parquet" or not path.is_file():
        return "train"
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, ValueError):  # whoever reads its rows says what is wrong
        return "train"
    return "test" if metadata.get(ROLE.encode()) == b"test" else "train"


def digest(value: Any) -> str:
    """Return twelve hexadecimal digits that identify a JSON-like value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def file_digest(*paths: Path) -> str:
    """Return twelve hexadecimal digits that identify the contents of files, in the order given."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def remove_empty(folder: Path) -> None:
    """Remove a folder and those above it, up to the first that holds anything."""
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
