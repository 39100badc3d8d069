"""Files that are complete as soon as they have their name."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

TEMPORARY_PREFIX: Final = ".writing-"


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A temporary file to fill, which becomes `path` at the end; on any error it is removed and `path` stays.

    It is in the same folder, and its name ends like the final one, because some libraries choose the format by
    the ending. It is flushed to disk, renamed, and the folder flushed. It is locked for as long as its process
    lives, which tells it from a leftover.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{path.name}")
    with open(temporary, "xb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    _flush(path.parent)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder for files that nobody needs afterwards; `remove_dead` removes it if the process is killed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / secrets.token_hex(6)
    lock = parent / f"{TEMPORARY_PREFIX}{folder.name}"
    with open(lock, "xb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def write_once(path: Path, content: bytes) -> bytes:
    """Write a small file unless it is there, or another process is writing it now; returns what is in it."""
    if not path.exists():
        draft = path.with_name(f"{path.name}-{secrets.token_hex(6)}")
        with complete(draft) as temporary:
            temporary.write_bytes(content)
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()


def is_held(path: Path) -> bool:
    """Whether the process of a file that is locked while it lives is alive, on whatever machine; or is just done."""
    try:
        with open(path, "r+b") as file:  # NFS locks for writing only what is open for writing
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return True  # renamed or removed meanwhile, as it should
    return False


def remove_dead(temporary: Path) -> bool:
    """Remove a temporary file whose process is gone, and its folder if it is the lock of one; says whether it was."""
    if is_held(temporary):
        return False
    folder = temporary.with_name(temporary.name.removeprefix(TEMPORARY_PREFIX))
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    temporary.unlink(missing_ok=True)
    return True


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
