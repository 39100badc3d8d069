"""Several processes on one study, and a disk that is full or read-only."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from paraspinal_assets.defs.automation.batch import execute
from paraspinal_assets.defs.automation.run_lock import COMMAND, exclusive
from paraspinal_assets.defs.dagster_storage import StudyStorage
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets_tests.crashes.commands import Study, command
from paraspinal_assets_tests.defs.small_study import make_small_study

pytestmark = pytest.mark.slow

FIRST_STEPS = ("--select", "ct_nifti,segmentation")
KEYS = tuple(f"{exam}-{person}" for exam in ("exam5", "exam6") for person in ("1001", "1002", "1003"))
CHAIN = ("ct_nifti", "segmentation", "paraspinal_levels", "scan_muscle")
WORKERS = 4


@pytest.fixture
def fresh(study: Study) -> Study:
    """The study with nothing built."""
    study.empty()
    return study


def build(keys: tuple[str, ...], variables: dict[str, str], together: Barrier, failed: Path) -> None:
    """One worker: its scans, asset by asset, always at the same time as the others; then the table."""
    os.environ.update(variables)
    try:
        for asset in CHAIN:
            together.wait()
            execute(asset, keys)
        together.wait()
        execute("muscle_metrics", ())
    except BaseException as error:
        failed.write_text(repr(error))
        raise


def test_four_workers_at_once_lose_and_double_nothing(fresh: Study, tmp_path: Path) -> None:
    with study_instance(fresh.workspace) as instance:
        take_in(look(fresh.workspace, instance, EventIndex(instance)), instance)
    together = fresh.context.Barrier(WORKERS)
    variables = environment(fresh.workspace)
    shares = [KEYS, KEYS, KEYS[:3], KEYS[3:]]
    workers = [
        fresh.context.Process(target=build, args=(keys, variables, together, tmp_path / str(number)))
        for number, keys in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [path.read_text() for path in tmp_path.iterdir()] == []
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    with study_instance(fresh.workspace) as instance:
        assert {run.status.value for run in instance.get_runs()} == {"SUCCESS"}
        index = EventIndex(instance)
        assert {key for key, record in index.records("scan_muscle").items() if record.data_version} == set(
            KEYS
        )
    table = fresh.workspace.database.read("muscle_metrics")
    rows = ["exam", "participant", "level", "side"]
    assert not table.duplicated(rows).any()
    assert len(table) == len(KEYS) * 11 * 3
    # The events of the others came in between, so a table may be out of date, but nothing is missing or wrong.
    fresh.run("--select", ",".join([*CHAIN, "muscle_metrics"]))
    again = fresh.workspace.database.read("muscle_metrics")
    assert again.sort_values(rows, ignore_index=True).equals(table.sort_values(rows, ignore_index=True))


def open_anew(homes: Sequence[Path], together: Barrier, failed: Path) -> None:
    """One process: opens folders of Dagster that are new, always at the same time as the others."""
    for home in homes:
        together.wait()
        try:
            StudyStorage.from_config_value(None, {"base_dir": str(home)})
        except BaseException as error:
            together.abort()
            failed.write_text(repr(error))
            raise


def test_processes_that_open_a_new_study_at_once_all_get_it(tmp_path: Path) -> None:
    homes = [tmp_path / f"home{number}" for number in range(10)]
    for home in homes:
        home.mkdir()
    context = multiprocessing.get_context("fork")
    together = context.Barrier(WORKERS)
    failures = [tmp_path / f"failure{number}" for number in range(WORKERS)]
    workers = [context.Process(target=open_anew, args=(homes, together, failed)) for failed in failures]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [failed.read_text() for failed in failures if failed.exists()] == []
    assert [worker.exitcode for worker in workers] == [0] * WORKERS


def test_a_second_command_says_who_holds_the_study_and_takes_over_when_it_was_killed(fresh: Study) -> None:
    first = fresh.start(*FIRST_STEPS, workers=2)
    lock = fresh.root / COMMAND
    while first.is_alive() and f"process {first.pid} on" not in (lock.read_text() if lock.exists() else ""):
        time.sleep(0.01)
    second = fresh.start(*FIRST_STEPS, output="second.txt")
    second.join()
    assert first.is_alive(), fresh.said()
    assert second.exitcode == 3
    assert f"[E-STUDY-50] process {first.pid} on" in fresh.said("second.txt")
    first.kill()
    # At once, while workers of the first may be ending.
    third = fresh.start(*FIRST_STEPS, output="third.txt")
    third.join()
    first.join()
    assert third.exitcode == 0, fresh.said("third.txt")
    with study_instance(fresh.workspace) as instance:
        assert all(run.is_finished for run in instance.get_runs())


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with exclusive(StudyStore(tmp_path)):
            raise ValueError("while it runs")

    for _ in range(2):
        with pytest.raises(ValueError, match="while it runs"):
            fail()
    with exclusive(StudyStore(tmp_path)), pytest.raises(MachineError, match=f"process {os.getpid()} on"):
        fail()


def test_an_input_that_is_put_back_after_a_kill_is_built_again(fresh: Study) -> None:
    """The file on disk is of the other input by then, although the last event says that it is of this one."""
    fresh.run("--select", "ct_nifti")
    scan = fresh.root / "incoming" / "exam5" / "1002.nii.gz"
    before, good = fresh.files(), scan.read_bytes()
    scan.write_bytes((scan.parent / "1003.nii.gz").read_bytes())
    fresh.order.write_text("command event before 2")  # the first is that the input was seen
    killed = fresh.start("--select", "ct_nifti", workers=1)
    killed.join()
    scan.write_bytes(good)
    assert killed.exitcode == -9
    assert fresh.files() != before
    fresh.run("--select", "ct_nifti")
    assert fresh.files() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB, for those who may mount one."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("needs the right to mount a disk")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def on_small_disk(study: Study, disk: Path) -> Study:
    make_small_study(disk / "study", people=("1001", "1002", "1003"))
    return Study(disk / "study", output=study.root.parent)


@pytest.mark.parametrize("left_kb", [40, 700, 1100])
def test_a_full_disk_is_named_and_damages_nothing(fresh: Study, small_disk: Path, left_kb: int) -> None:
    fresh.run(*FIRST_STEPS)
    small = on_small_disk(fresh, small_disk)
    ballast = small_disk / "ballast"
    status = os.statvfs(small_disk)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - left_kb * 1024))
    stopped = small.start(*FIRST_STEPS)
    stopped.join()
    assert stopped.exitcode in (1, 3)
    check_said(small.said(), "E-DISK-01", "Fix: free space")
    wanted = fresh.files()
    assert [name for name, content in small.files().items() if content != wanted[name]] == []
    ballast.unlink()
    small.run(*FIRST_STEPS)
    assert small.files() == wanted


def test_a_read_only_disk_is_named_and_damages_nothing(fresh: Study, small_disk: Path) -> None:
    small = on_small_disk(fresh, small_disk)
    small.run("--select", "ct_nifti")
    before = small.files()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    stopped = small.start(*FIRST_STEPS)
    stopped.join()
    assert stopped.exitcode == 3
    check_said(small.said(), "E-DISK-02", "Fix: give this user access")
    assert small.files() == before


def limited(limit: int, run: Callable[..., None], *words: str, **options: object) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    run(*words, **options)


def test_a_file_that_may_not_grow_fails_its_scan_and_damages_nothing(fresh: Study) -> None:
    """The same as a full disk, for one kind of file: for those who may not mount a disk."""
    fresh.run(*FIRST_STEPS)
    wanted = fresh.files()
    largest = max(len(content) for content in wanted.values())
    fresh.empty()
    assert largest > 0
    stopped = multiprocessing.get_context("forkserver").Process(
        target=limited,
        args=(largest // 2, command, "run", str(fresh.root), "--workers", "1", *FIRST_STEPS),
        kwargs={"output": fresh.root.parent / "output.txt", "variables": environment(fresh.workspace)},
    )
    stopped.start()
    stopped.join()
    assert stopped.exitcode in (1, 3)
    check_said(fresh.said(), "E-DISK-01", "Fix: free space")
    assert [name for name, content in fresh.files().items() if content != wanted[name]] == []
    fresh.run(*FIRST_STEPS)
    assert fresh.files() == wanted


def check_said(text: str, *words: str) -> None:
    assert [word for word in words if word not in text] == [], text
    assert "Traceback" not in text
