"""Whatever is killed whenever: one more run, and everything is as if nothing had happened.

PARASPINAL_KILLS=200 makes it the long campaign; PARASPINAL_SEED another one.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import click
import dagster as dg
import pandas as pd
import pytest

from paraspinal_assets.defs import abandoned
from paraspinal_assets.defs.assets import ASSETS
from paraspinal_assets.defs.automation.batch import COMMAND_TAG
from paraspinal_assets.defs.automation.rebuild import rebuild_step
from paraspinal_assets.defs.automation.runner import Selection
from paraspinal_assets.defs.build import build_definitions
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.results import INTERRUPTED
from paraspinal_assets.defs.scan_asset import UNATTENDED
from paraspinal_assets_tests.crashes.commands import Study
from paraspinal_assets_tests.defs.automation.daemon import start_daemon

KILLS = int(os.environ.get("PARASPINAL_KILLS", "20"))
SEED = int(os.environ.get("PARASPINAL_SEED", "1"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 60 * KILLS)]
LONGEST_S = 5.0
"""A kill from outside comes at most so long after the start of a command."""
DAEMON_S = 40.0
"""A daemon begins the first run of a backfill within this time, unless the pool is held by a run that was killed."""
AT_WORK = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
"""Others that are not finished wait for the next daemon."""
WAYS = ("from outside", "at a point") * 5 + ("the daemon",)


def kill_from_outside(study: Study, chance: random.Random) -> None:
    """SIGKILL to the command or to one of its workers, at a random moment."""
    process = study.start(workers=chance.choice([1, 1, 2]))
    process.join(chance.uniform(0.05, LONGEST_S))
    victims = [process.pid, *study.workers()]
    victim = chance.choice(victims) if process.is_alive() else None
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
        study.counts["command killed" if victim == process.pid else "worker killed"] += 1
    if victim != process.pid and chance.random() < 0.5:
        process.join(chance.uniform(0.05, LONGEST_S))
        if process.is_alive():
            process.kill()
            study.counts["command killed"] += 1
    process.join()


def kill_at_a_point(study: Study, chance: random.Random) -> None:
    """The command or a worker kills itself around a rename or the writing of an event."""
    who, point = chance.choice(["command", "command", "worker"]), chance.choice(["rename", "event"])
    when, count = chance.choice(["before", "after"]), chance.randint(1, 12)
    study.order.write_text(f"{who} {point} {when} {count}")
    done = study.order.with_suffix(".done")
    done.unlink(missing_ok=True)
    process = study.start(workers=1 if who == "command" else 2)
    if who == "worker":
        # A run recovers from the loss of a worker by itself; here it is then killed too.
        while process.is_alive() and not done.exists():
            process.join(0.02)
        process.join(chance.uniform(0, 2))
        if process.is_alive():
            process.kill()
            study.counts["command killed"] += 1
    process.join()
    if done.exists():
        study.counts[f"{who} killed {when} {point}"] += 1
    study.order.unlink(missing_ok=True)


def kill_the_daemon(study: Study, chance: random.Random) -> None:
    """SIGKILL to a daemon in the middle of a backfill, after one of its runs was killed or not."""
    with study_instance(study.workspace) as instance:
        graph = build_definitions().resolve_asset_graph()
        rebuild_step(study.workspace, instance, graph, Selection(), rebuild="first", options={})
    process = start_daemon(study.workspace)
    begun = time.monotonic()
    workers: list[int] = []
    while not workers and time.monotonic() - begun < DAEMON_S:
        workers = study.daemon_workers()
    if chance.random() < 0.5:  # a run takes a second: otherwise it is at work when the daemon is killed
        time.sleep(chance.uniform(0, LONGEST_S))
        workers = study.daemon_workers()
    if workers and chance.random() < 0.3:
        os.kill(chance.choice(workers), signal.SIGKILL)
        study.counts["worker of the daemon killed"] += 1
        time.sleep(chance.uniform(0, LONGEST_S))
    at_work = bool(study.daemon_workers())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    study.counts[f"daemon killed, {'with' if at_work else 'without'} a run at work"] += 1


ROUNDS = {"from outside": kill_from_outside, "at a point": kill_at_a_point, "the daemon": kill_the_daemon}


def test_after_any_kills_one_run_gives_what_an_undisturbed_one_gives(
    study: Study,
    undisturbed: tuple[dict[str, bytes], dict[str, pd.DataFrame]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    chance = random.Random(SEED)
    files, tables = undisturbed
    rounds = 0
    started = time.monotonic()
    while study.counts.total() < KILLS:
        study.empty()
        rounds += 1
        complete = killed = False
        while study.counts.total() < KILLS and not complete:
            # Nothing holds the pool of a study that is empty, so that a daemon is killed with a run at work.
            first = rounds % 5 == 1 and not killed
            killed = True
            ROUNDS["the daemon" if first else chance.choice(WAYS)](study, chance)
            found = study.files()
            half = [name for name, content in found.items() if content != files.get(name)]
            assert not half, "not as an undisturbed run writes them"
            complete = found.keys() == files.keys()
        study.run()
        check_complete(study, files, tables)
        with capfd.disabled():
            took = time.monotonic() - started
            click.echo(f"\n{study.counts.total()} kills, {rounds} times to the end, {took:.0f} s:")
            for what, count in sorted(study.counts.items()):
                click.echo(f"  {count:4} {what}")


def check_complete(study: Study, files: dict[str, bytes], tables: dict[str, pd.DataFrame]) -> None:
    found = study.files()
    assert found.keys() == files.keys()
    assert [name for name in files if found[name] != files[name]] == []
    rows = study.tables()
    assert rows.keys() == tables.keys()
    for name, table in tables.items():
        pd.testing.assert_frame_equal(rows[name], table, check_exact=True, obj=name)
    assert list(study.root.rglob(".writing-*")) == []
    with study_instance(study.workspace) as instance:
        with pytest.MonkeyPatch.context() as patch:
            # What was killed while it opened the study is known by its age alone.
            patch.setattr(abandoned, "START_S", 0.0)
            patch.setattr(abandoned, "DRAFT_S", 0.0)
            abandoned.close_abandoned(EventIndex(instance), study.workspace.store.dagster_home)
        runs = [run for run in instance.get_runs() if not run.is_finished]
        assert [run for run in runs if COMMAND_TAG in run.tags or run.status in AT_WORK] == []
        assert list((study.root / ".dagster" / "at-work").iterdir()) == []
        assert built_again(instance) == []


def built_again(instance: dg.DagsterInstance) -> list[tuple[str, str | None]]:
    """What a command built although it was there; a backfill that goes on builds what it was asked for.

    What a killed run of such a backfill had begun counts as interrupted, and is not there any more.
    """
    backfills = {run.run_id for run in instance.get_runs() if UNATTENDED in run.tags}
    seen: set[tuple[str, str | None]] = set()
    again = []
    for run_id, what in events(instance):
        if run_id is None:
            seen.discard(what)
        else:
            if what in seen and run_id not in backfills:
                again.append(what)
            seen.add(what)
    return again


def events(instance: dg.DagsterInstance) -> Iterator[tuple[str | None, tuple[str, str | None]]]:
    """Asset with partition of each materialization with its run, and of each interruption without, in order."""
    for definition in ASSETS:
        if isinstance(definition, dg.AssetsDefinition):
            key = definition.key
            found = [
                (record.storage_id, record.run_id, record.partition_key)
                for record in instance.fetch_materializations(key, limit=10_000, ascending=True).records
            ]
            for record in instance.fetch_observations(key, limit=10_000, ascending=True).records:
                if record.asset_observation and INTERRUPTED in str(record.asset_observation.metadata):
                    found.append((record.storage_id, None, record.partition_key))
            for _, run_id, partition in sorted(found, key=lambda event: event[0]):
                yield run_id, (key.to_user_string(), partition)
