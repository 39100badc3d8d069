"""Who may use the networks: many scans side by side, or one that needs all the memory there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that many hold together, or one alone; who waits to be alone comes before the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._want_alone = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold it beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._want_alone)
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it when all others have left; nobody comes in meanwhile."""
        with self._changed:
            self._want_alone += 1
            self._changed.wait_for(lambda: not self._inside)
            self._inside += 1
        try:
            yield
        finally:
            self._leave(alone=True)

    def _leave(self, *, alone: bool = False) -> None:
        with self._changed:
            self._inside -= 1
            self._want_alone -= alone
            self._changed.notify_all()
