"""The rule of staleness by itself, on three assets and two scans, without a study."""

from types import SimpleNamespace

import pytest

from paraspinal_assets.defs import left_out
from paraspinal_assets.defs.automation import staleness
from paraspinal_assets.defs.automation.staleness import Assessment, Staleness, Standing, State
from paraspinal_assets.defs.event_index import Failure, Record
from paraspinal_assets.defs.provenance import BuiltFrom
from paraspinal_assets.defs.results import INTERRUPTED
from paraspinal_assets.defs.rules import AssetRule

RULES = {
    "raw": AssetRule("raw", True, external=True),
    "scan": AssetRule("scan", True, ("raw",), code_version="1", scan_settings=lambda *_: {"part": []}),
    "table": AssetRule("table", False, ("scan",), code_version="1"),
}
SCANS = ["exam5-1", "exam5-2"]
PART = {"part": staleness.settings_digest([])}
RAW = {key: Record(1, "run", 0.0, "v1", None) for key in SCANS}


def failed(attempts, *, code="E", bad_input=False):
    return Record(
        *(2, "run", 1000.0, None, BuiltFrom("1", PART, {"raw": "v1"})),
        failure=Failure(code, "no room", bad_input, attempts),
    )


BUILT = Record(2, "run", 1000.0, "s1", BuiltFrom("1", PART, {"raw": "v1"}))


@pytest.fixture
def look(monkeypatch):
    for module in (staleness, left_out):
        monkeypatch.setattr(module, "asset_rules", lambda: RULES)

    def look(first, raw=RAW, table=None, held=None):
        """Standings where the second scan is built and the first is as given."""
        records = {
            "raw": raw,
            "scan": {SCANS[0]: first, SCANS[1]: BUILT},
            "table": {None: table} if table else {},
        }
        found = Staleness(SimpleNamespace(study=None), SimpleNamespace(records=records.get), SCANS, held)
        result = Assessment()
        for rule in RULES.values():
            found.assess_more(result, [rule])
        return result.standings["scan"][SCANS[0]], result.standings["table"][None], found

    return look


@pytest.mark.parametrize(("attempts", "wait"), [(1, 600), (2, 1200), (8, 76_800), (9, 86_400), (90, 86_400)])
def test_what_failed_for_the_machine_waits_twice_as_long_each_time_and_a_day_at_most(look, attempts, wait):
    scan, _, _ = look(failed(attempts))
    assert (scan.state, scan.buildable, scan.retry_at) == (State.FAILED, True, 1000 + wait)
    assert f"failed {attempts} time" in scan.reason


@pytest.mark.parametrize(
    ("failure", "waits"),
    [(failed(1), True), (failed(2), True), (failed(3), False), (failed(1, bad_input=True), False)],
)
def test_a_table_waits_for_a_scan_that_may_still_come(look, failure, waits):
    _, table, _ = look(failure)
    assert (table.state is State.BLOCKED) == waits
    assert table.buildable != waits
    assert table.unsettled  # what needs the table waits either way


def test_a_bad_input_is_tried_again_when_it_changes_and_not_before(look):
    scan, _, found = look(failed(1, bad_input=True))
    assert (scan.state, scan.buildable) == (State.FAILED, False)
    assert found.own_change("scan", SCANS[0]) == ""
    assert look(failed(1))[2].own_change("scan", SCANS[0]) == "failed before: E"
    scan, _, _ = look(failed(1, bad_input=True), raw=RAW | {SCANS[0]: Record(3, "run", 0.0, "v2", None)})
    assert (scan.state, scan.reason) == (State.STALE, "input raw changed")


def test_a_bad_input_is_built_when_it_is_asked_for():
    failing = Assessment({"scan": {SCANS[0]: Standing(State.FAILED), SCANS[1]: Standing(State.FRESH)}})
    assert failing.buildable("scan") == []
    assert failing.buildable("scan", failed=True) == [SCANS[0]]


def test_what_was_interrupted_is_built_again(look):
    scan, table, _ = look(failed(1, code=INTERRUPTED))
    assert (scan.state, scan.reason) == (State.STALE, "no room")
    assert table.reason == "waits for 1 scan of scan"


def test_a_held_input_blocks_and_lets_the_table_go_on(look):
    scan, table, _ = look(failed(1), held={("raw", SCANS[0]): "still being copied"})
    assert (scan.state, scan.reason) == (State.BLOCKED, "waits for raw: still being copied")
    assert table.state is State.MISSING


def test_a_table_is_stale_when_a_scan_fails_otherwise(look):
    _, _, found = look(failed(3))
    table = Record(4, "run", 0.0, "t1", found.built_from("table", None))
    assert look(failed(4), table=table)[1].state is State.FRESH
    assert look(failed(4, code="F"), table=table)[1].reason == "input scan changed"
    assert look(BUILT, table=table)[1].reason == "input scan changed"


def test_settings_that_look_alike_have_digests_of_their_own(look):
    _, _, found = look(BUILT)
    values = [SimpleNamespace(a=1), [], {}, [1], [1.0], [True], {"a": [1]}, {"a": {"b": 1}}]
    assert [found._digest(value) for value in values] == [
        staleness.settings_digest(value) for value in values
    ]
