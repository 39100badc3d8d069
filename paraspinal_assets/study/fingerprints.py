"""Content fingerprints of inputs, remembered so that what did not change is not read again."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from paraspinal_assets.study.inputs import Input


class StillChangingError(Exception):
    """An input that changed a moment ago and may still be copied."""

    def __init__(self, seconds: float, quiet_s: float) -> None:
        super().__init__(
            f"changed {max(0.0, seconds):.0f} s ago and may still be copied (quiet period {quiet_s:.0f} s)"
        )


class FingerprintCache:
    """Content fingerprints of inputs, read again only when their signature changed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=60)
        # A commit for each input must not wait for the disk; what a power cut takes is read again.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS fingerprints"
            " (input TEXT PRIMARY KEY, signature TEXT, fingerprint TEXT)"
        )

    def __enter__(self) -> FingerprintCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fingerprint(self, source: Input, quiet_s: float = 0.0) -> str:
        """Content fingerprint of an input.

        Files that cannot be read have a fingerprint that says so: reading the scan then names the error, the
        other scans go on, and the fingerprint changes once the files can be read.

        Raises
        ------
        StillChangingError
            If the input is not as it was last read and a file or folder of it changed less than `quiet_s`
            seconds ago, or while it was read.
        """
        try:
            return self._known_or_read(source, quiet_s)
        except OSError as error:
            return f"unreadable: {error.strerror or type(error).__name__}"

    def _known_or_read(self, source: Input, quiet_s: float) -> str:
        signature, last_change = source.signature()
        name = str(source)
        row = self._connection.execute(
            "SELECT fingerprint FROM fingerprints WHERE input = ? AND signature = ?", (name, signature)
        ).fetchone()
        if row is not None:
            return str(row[0])
        since = time.time() - last_change
        if quiet_s and since < quiet_s:
            raise StillChangingError(since, quiet_s)
        content = source.fingerprint()
        if source.signature()[0] != signature:
            raise StillChangingError(0, quiet_s)
        self._connection.execute(
            "INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)", (name, signature, content)
        )
        # At once: another process must not wait for the lock while this one reads its next scans.
        self._connection.commit()
        return content
