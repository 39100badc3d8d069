import signal
from typing import Final

import pytest
from hypothesis import settings

LONGEST: Final = (
    "test_networks",
    "test_kills",
    "test_daemon",
    "test_only_what_is_stale",
    "test_random_edits",
    "test_postgresql",
    "test_slurm",
)
"""Modules that are begun first, so that at the end no worker waits for one of them. The networks come before all: the
package's public call forks, which must not happen in a process that has threads of other tests."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that take longest first, the others in the order that they were shuffled into."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


# The same examples in every run, and no clock: a busy machine must not fail a test.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

# A shell starts commands in the background (`make test &`) with Ctrl-C ignored. Dagster gives SIGTERM the same
# meaning as Ctrl-C, and then servers that tests end by SIGTERM would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
