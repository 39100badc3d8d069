"""The generated pages, and the study files that we hand out."""

import re
from importlib.resources import as_file, files
from pathlib import Path

import pytest
import yaml

from paraspinal_assets.study.dictionary import reason_codes, tables_reference
from paraspinal_assets.study.pages import PAGES, write_pages
from paraspinal_assets.study.problems import check_study
from paraspinal_assets.study.reference import keys, sections, study_file_reference
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets.study.study_file import load_study

ROOT = Path(__file__).parents[2]
TEMPLATES = files("paraspinal_assets.study") / "templates"


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_current(page):
    found = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert found == PAGES[page](), f"docs/{page} is out of date: run `make docs`"


def test_all_pages_are_written(tmp_path):
    assert [path.name for path in write_pages(tmp_path / "docs")] == list(PAGES)
    assert (tmp_path / "docs" / "tables.md").read_text(encoding="utf-8") == tables_reference()


def test_every_key_has_a_meaning():
    for section in sections(Study):
        assert section.model.__doc__, section.path
        for key, field in keys(section.model).items():
            assert field.description, f"{section.path}.{key}"


def test_sections_follow_the_file():
    paths = [section.path for section in sections(Study)]
    assert paths[:4] == ["", "exams.NAME", "exams.NAME.series", "exclude[]"]
    assert "clinical.tables.NAME.columns.NAME" in paths


def test_a_key_is_named_as_in_the_file_and_its_limits_are_told():
    page = study_file_reference()
    assert "| `from` | text |" in page
    assert "| `folds` | whole number, at least 2 | `10` |" in page
    assert "| `separator` | text, exactly 1 character | `','` |" in page
    assert "| `role` | `baseline` or `follow_up` | required |" in page


def test_the_tables_page_has_every_table_and_code():
    page = tables_reference()
    assert all(f"### {name}\n" in page for name in schemas())
    assert all(f"| `{code}` |" in page for code in reason_codes())


@pytest.mark.parametrize("name", ["study.yaml", "example.yaml"])
def test_a_study_file_that_we_hand_out_is_valid(name):
    with as_file(TEMPLATES / name) as path:
        study = load_study(path)
    assert (study.baseline, study.follow_up) == ("exam5", "exam6")


def test_only_folders_and_tables_are_missing_from_the_starting_file(tmp_path):
    with as_file(TEMPLATES / "study.yaml") as path:
        problems = check_study(load_study(path), StudyStore(tmp_path).inputs).problems
    assert len(problems) == 3
    assert all("no folder" in problem or "no clinical table" in problem for problem in problems)


def test_what_is_commented_out_in_the_starting_file_is_valid_too(tmp_path):
    text = (TEMPLATES / "study.yaml").read_text(encoding="utf-8")
    uncommented = re.sub(r"(?m)^( *)# ( *(?:- \{|[a-z_]+:).*)$", r"\1\2", text)
    path = tmp_path / "study.yaml"
    path.write_text(re.sub(r"(?m)^    pattern: .*\n", "", uncommented), encoding="utf-8")
    study = load_study(path)
    assert len(study.exclude) == 2
    assert study.readers.masks == "reader"
    assert study.calibration[1].manufacturer == "SIEMENS"
    assert study.clinical.tables["exams"].exam == "exam"
    assert study.exams["exam5"].series.choose == "thinnest"
    assert study.clinical.tables["participants"].encoding == "latin-1"


def test_the_example_of_the_reference_is_the_file_that_is_tested():
    example = study_file_reference().split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(example) == yaml.safe_load((TEMPLATES / "example.yaml").read_text(encoding="utf-8"))


def test_the_demo_s_study_file_is_the_one_that_is_shipped():
    # Two files and not a link: archives and some systems do not keep links.
    assert (TEMPLATES / "demo.yaml").read_bytes() == (ROOT / "data" / "demo" / "study.yaml").read_bytes()
