"""Memory and cores for this process: those of the machine, or the part of them that a pod or job was given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def memory_bytes() -> int:
    """Memory that this process may use."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    texts = _settings("memory", "memory.max", "memory.limit_in_bytes")
    return min([machine, *(int(text) for text in texts if text.isdigit())])


def core_count() -> int:
    """Cores that this process may keep busy, at least one."""
    limits = [float(len(os.sched_getaffinity(0)))]
    pairs = [text.split() for text in _settings("cpu", "cpu.max", "")]
    shares, periods = (_settings("cpu", "", f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    for share, period in [*pairs, *zip(shares, periods, strict=True)]:
        if share not in ("max", "-1"):  # how the two versions say that there is no limit
            limits.append(int(share) / int(period))
    return max(1, int(min(limits)))


def _settings(controller: str, name: str, name_v1: str) -> Iterator[str]:
    """A setting of the control groups that this process is in, from the innermost outwards (cgroups(7)).

    In a container the innermost one may be known by the machine's name for it, which is not there: the outermost
    one then is the container's.

    Parameters
    ----------
    controller
        ``memory`` or ``cpu``.
    name, name_v1
        File of the setting, in version 2 and 1 of control groups; empty for none.
    """
    lines = _OWN_GROUPS.read_text().splitlines() if _OWN_GROUPS.is_file() else []
    for number, controllers, group in (line.split(":", 2) for line in lines):
        if number == "0":
            root, file = _GROUPS, name
        elif controller in controllers.split(","):
            root, file = _GROUPS / controller, name_v1
        else:
            continue
        inner = root / group.strip("/")
        for folder in (inner, *inner.parents):
            if file and folder.is_relative_to(root) and (folder / file).is_file():
                yield (folder / file).read_text().strip()
