"""Whoever changes the code behind an asset must say whether its values change: nothing else makes them stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from paraspinal_assets_tests.defs import code_versions

LOCKED = json.loads(code_versions.LOCK.read_text(encoding="utf-8"))


def test_changed_code_has_a_new_code_version() -> None:
    now = code_versions.current()
    wrong = [name for name in sorted({*now, *LOCKED}) if now.get(name) != LOCKED.get(name)]
    unbumped = [
        name
        for name in wrong
        if name in now and name in LOCKED and now[name]["code_version"] == LOCKED[name]["code_version"]
    ]
    assert not wrong, (
        f"The code behind {', '.join(wrong)} is not the locked one. "
        f"Where values can change, bump the asset's code_version (unchanged so far: {', '.join(unbumped)}). "
        "Then, or where they cannot: make versions, and commit code_versions.json."
    )


def reached(asset: str) -> set[str]:
    return {f"{module}.{name}" for module, name in code_versions.behind(asset)}


def test_an_asset_reaches_its_measures_and_not_those_of_others() -> None:
    muscle = reached("scan_muscle")
    assert "paraspinal_assets.imaging.muscle.measure_muscle" in muscle
    assert "paraspinal_assets.defs.measurement.assets.measured" in muscle
    assert "paraspinal_assets.imaging.volume_io.read_volume" in muscle
    assert not [name for name in muscle if ".imaging.bone." in name or ".radiomics." in name]
    assert any(".statistics.delong." in name for name in reached("auc"))
    assert any(".segmenters.totalsegmentator." in name for name in reached("segmentation"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules of which one calls the other."""
    folder = tmp_path / "paraspinal_assets_example"
    (folder / "part").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "part" / "__init__.py").touch()
    (folder / "part" / "used.py").write_text("SCALE = 2\n\n\ndef scale(x):\n    return SCALE * x\n")
    (folder / "part" / "top.py").write_text(
        "from paraspinal_assets_example.part.used import scale\n\n\ndef made(x):\n    return scale(x)\n"
    )
    for module in [name for name in sys.modules if name.startswith(folder.name)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    return folder / "part"


def digests(folder: Path) -> dict[code_versions.Symbol, str]:
    code_versions._module.cache_clear()
    namespace: dict[str, object] = {"__name__": "paraspinal_assets_example.part.top"}
    exec(compile((folder / "top.py").read_text(), "top.py", "exec"), namespace)
    return code_versions.code_behind([namespace["made"]])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("SCALE = 2", "SCALE = 3", False),
        ("SCALE * x", "SCALE + x", False),
        ("SCALE * x", "SCALE * x  # twice", True),
        ("    return", '    """Scaled."""\n    return', True),
        ("\n\n\ndef", "\n\nUNUSED = 1\n\n\ndef", True),
    ],
)
def test_what_counts_as_a_change(package: Path, old: str, new: str, same: bool) -> None:
    before = digests(package)
    path = package / "used.py"
    path.write_text(path.read_text().replace(old, new))
    assert (digests(package) == before) is same
