import base64
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from paraspinal_assets.report.blocks import Source
from paraspinal_assets.report.numbers import significant
from paraspinal_assets.report.sections.methods import guidelines
from paraspinal_assets.report.sections.terms import per_shown_unit, term_words
from paraspinal_assets.report.study_report import (
    ANALYSIS_SECTIONS,
    STUDY_SECTIONS,
    analysis_report,
    study_report,
)
from paraspinal_assets.study.schema import schemas
from paraspinal_assets_tests.report import tables as study

VOID = {"meta", "br", "img", "hr", "link", "input"}


class Page(HTMLParser):
    """What a page holds: elements with their attributes, text, and whether every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def html():
    return study_report(study.study_tables(), study.INFO).html


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_is_well_formed_and_ids_are_unique(page):
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_page_needs_no_network_and_no_script(html, page):
    assert not page.all("script")
    assert not page.all("link")
    links = [
        attrs[name] for _, attrs in page.elements for name in ("href", "src", "xlink:href") if name in attrs
    ]
    inside = ("#", "data:image/png;base64,", "data:image/jpeg;base64,", "contact_sheets/")
    assert all(link.startswith(inside) for link in links)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_links_inside_the_page_lead_somewhere(page):
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    anchors = {attrs["href"][1:] for attrs in page.all("a") if attrs["href"].startswith("#")}
    assert anchors <= ids
    assert len(anchors) >= len(STUDY_SECTIONS)


def test_headings_tables_and_figures_can_be_read_aloud(page):
    assert len(page.all("h1")) == 1
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attrs.get("aria-label") for attrs in page.all("svg"))
    assert [attrs["alt"] for attrs in page.all("img")] == ["Contact sheet of two scans."]
    assert page.all("html")[0]["lang"] == "en"


def test_every_figure_is_there(page):
    names = {attrs["id"] for attrs in page.all("figure")}
    wanted = (
        *("flow", "muscle-profile-median-hu", "muscle-profile-volume-mm3", "distribution-vbmd-by-quartile"),
        *("distributions",),
        *(
            "muscle-profile-fat-fraction",
            "forest-model5",
            "diagnostics-model5",
            "sensitivity-contour-estimate",
            "sensitivity-contour-t",
        ),
        *("sensitivity-extreme", "roc-out-of-fold", "calibration-out-of-fold", "decision-out-of-fold"),
        *("longitudinal-change", "subgroups-attenuation-on-vbmd", "bland-altman-volume-mm3"),
    )
    assert names == {*(f"figure-{name}" for name in wanted), "picture-overview-rejected"}


def test_numbers_of_the_tables_are_printed(html):
    for number in ("0.269", "13,366.8", "106.06", "0.242", "0.817", "4.12 HU", "truth 4.00 HU"):
        assert number in html


def test_contact_sheets_stand_in_the_section_on_quality_with_links_to_their_files(html):
    section = html.split('<section id="quality"')[1].split("</section>")[0]
    (sheet,) = study.INFO["contact_sheets"]
    assert f"data:image/jpeg;base64,{base64.b64encode(sheet.jpeg).decode()}" in section
    assert '<a href="contact_sheets/rejected-1.png">sheet 1</a>' in section


def test_readers_decisions_are_counted():
    quality = study.quality().assign(reader_decision=["reject", None, "accept"])
    assert (
        "Readers decided about 2 of them: accept 1, reject 1." in study_report({"quality": quality}, {}).html
    )


def test_badges_say_what_the_data_are(html):
    assert "Synthetic data" in html
    assert "Phantom network, not for patients" in html
    assert "Synthetic data" not in study_report({}, {"study": "real"}).html


def test_excluded_scans_have_their_reasons_in_words(html):
    assert "one or more of the study&#39;s levels were not found" in html
    assert "demo0007" in html


def test_same_tables_give_the_same_bytes_whatever_their_column_types(html):
    tables = {name: frame.convert_dtypes() for name, frame in study.study_tables().items()}
    assert study_report(tables, study.INFO).html == html
    assert not re.search(r"20\d\d-\d\d-\d\d", html)


def test_without_any_table_every_section_says_why():
    html = study_report({}, {"study": "empty", "missing": {"auc": "no participant had a fracture"}}).html
    page = Page(html)
    assert len(page.all("section")) == len(STUDY_SECTIONS)
    assert html.count('class="missing"') >= len(STUDY_SECTIONS) - 2
    assert "no participant had a fracture" in html


def test_a_table_without_a_column_is_named():
    html = study_report({"linear_fit": pd.DataFrame({"model": ["m"]})}, {}).html
    assert "has no column adj_r2" in html


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_text_from_tables_is_never_markup(evil):
    quality = pd.DataFrame({"participant": [evil], "exam": ["e"], "accepted": [False], "reasons": [evil]})
    html = study_report({"quality": quality}, {"study": evil, "generated_from": evil}).html
    page = Page(html)
    assert not page.all("script")
    assert not page.all("img")


def test_analysis_report_has_no_imaging():
    tables = {name: study.study_tables()[name] for name in ("linear_fit", "auc")}
    html = analysis_report(tables, {"study": "A"}).html
    assert len(Page(html).all("section")) == len(ANALYSIS_SECTIONS)
    assert "segmented on chest CT" not in html


def test_odds_ratios_have_intervals_of_odds_ratios():
    """The table's limits are of the log odds: 0 to log 4 is an odds ratio between 1 and 4."""
    table = pd.DataFrame(
        {
            "model": ["m"],
            "term": ["x"],
            "log_odds": [0.693147],
            "ci_low": [0.0],
            "ci_high": [1.3862943611],
            "p": [0.05],
        }
    )
    auc = study.study_tables()["auc"]
    html = study_report({"logistic_coefficients": table, "auc": auc}, {}).html
    assert "1.00 to 4.00" in html
    per_mm3 = table.assign(term="volume", log_odds=-1e-5, ci_low=-2e-5, ci_high=-2e-6)
    words = "|".join(Page(study_report({"logistic_coefficients": per_mm3, "auc": auc}, {}).html).words)
    assert "0.990" in words  # exp(-1e-5 per mm3 * 1000 mm3 per cm3)
    assert "0.980 to 0.998" in words


def test_an_interaction_of_a_measure_is_in_the_unit_that_its_words_name():
    rows = [("volume", 1e-4), ("volume:sexMale", 2e-4), ("sexMale", 3.0)]
    coefficients = pd.DataFrame(rows, columns=["term", "estimate"]).assign(ci_low=0.0, ci_high=0.0)
    shown = per_shown_unit(coefficients)
    assert shown["estimate"].tolist() == pytest.approx([0.1, 0.2, 3.0])
    cohort = pd.DataFrame(columns=["volume", "sex"], data=[[1.0, "Male"]])
    assert list(map(term_words(Source({"cohort": cohort}, {})), coefficients["term"])) == [
        "Muscle volume (cm³)",
        "Muscle volume (cm³) × sex: Male",
        "sex: Male",
    ]


def test_models_of_change_are_in_the_unit_of_the_measure_but_for_its_baseline():
    rows = [("volume", "baseline", -0.25), ("volume", "age", -2500.0), ("attenuation", "age", -0.75)]
    models = pd.DataFrame(rows, columns=["measure", "term", "estimate"]).assign(
        ci_low=0.0, ci_high=0.0, p=0.5
    )
    change = study.study_tables()["longitudinal"]
    words = Page(study_report({"longitudinal": change, "longitudinal_models": models}, {}).html).words
    table = " ".join("|".join(words).split("Change per year on baseline and covariates")[1].split())
    assert [number in table for number in ("−0.250", "−2.50", "−0.750")] == [True] * 3


def test_table_one_shows_volumes_in_cubic_centimetres():
    rows = [
        ("n", None, 1, 3, 4),
        ("volume", "mean", 1000.0, 2000.0, 1750.0),
        ("volume", "sd", 100.0, 200.0, 150.0),
    ]
    table = pd.DataFrame(rows, columns=["variable", "level", "low", "high", "overall"])
    html = study_report({"table_one": table.assign(missing=0, test="t", p=0.5, smd=0.1)}, {}).html
    assert "Muscle volume (cm³), mean (SD)" in html
    assert "1.75 (0.150)" in html


@pytest.mark.parametrize(
    ("name", "items"), [("STROBE, cohort studies", 22), ("TRIPOD+AI", 27), ("CLAIM, 2024 update", 44)]
)
def test_checklists_have_every_item_and_name_sections_and_tables_that_exist(name, items, html):
    own = guidelines()[name]["items"]
    assert [item["item"] for item in own] == list(range(1, items + 1))
    titles = set(re.findall(r"<h2 id=[^>]*>\d+\. ([^<]*)</h2>", html))
    assert {title for item in own for title in item.get("where", ())} <= titles
    assert {item["needs"] for item in own if "needs" in item} <= schemas().keys()


def test_checklists_leave_to_the_authors_what_has_no_table(html):
    flow = "Numbers included and excluded, flow chart"
    assert f"<td>{flow}</td><td>Participants and scans</td><td>–</td>" in html
    assert (
        f"<td>{flow}</td><td>–</td><td>all; this report has no disposition</td>" in study_report({}, {}).html
    )


def test_change_says_of_which_measure_participants_have_none():
    rows = [
        ("attenuation", None),
        ("attenuation", "no_interval"),
        ("vbmd", "no_baseline"),
        ("vbmd", "no_interval"),
    ]
    change = pd.DataFrame(rows, columns=["measure", "reason"]).assign(
        participant=["1", "2"] * 2, change_per_year=[1.0, None, None, None]
    )
    summary = study.study_tables()["longitudinal"]
    html = study_report({"longitudinal": summary, "longitudinal_change": change}, {}).html
    assert "vBMD: the measure is missing at baseline: 1; the years between" in html
    alike = change.assign(reason=[None, "no_interval"] * 2)
    html = study_report({"longitudinal": summary, "longitudinal_change": alike}, {}).html
    assert (
        "Participants without a change: the years between the exams are missing or not positive: 1." in html
    )


def test_models_are_written_out_with_references_units_and_adjustment():
    described = pd.DataFrame(
        [("n", None), ("bmi", "mean"), ("bmi", "sd"), ("sex", "Female"), ("sex", "Male")],
        columns=["variable", "level"],
    ).assign(low=1.0, high=1.0, overall=2.0, missing=0, test=None, p=None, smd=None)
    terms = pd.DataFrame({"term": ["(Intercept)", "bmi", "sexMale"], "estimate": 1.0}).assign(
        model="m", ci_low=0.0, ci_high=2.0, p=0.5, aliased=False
    )
    tables = {
        "table_one": described,
        "linear_coefficients": terms,
        "dose_response": study.study_tables()["dose_response"],
    }
    info = {"models": {"vBMD": {"m": "bmi + sex"}}, "adjusted_for": ["bmi"], "units": {"bmi": "kg/m2"}}
    html = study_report(tables, info).html
    for said in (
        "Reference levels: sex Female.",
        "bmi (kg/m2), mean (SD)",
        "<td>bmi + sex</td>",
        "Adjusted for bmi.",
    ):
        assert said in html, said


def test_models_are_told_by_what_they_add_to_an_earlier_one():
    tables = {name: study.study_tables()[name] for name in ("linear_fit", "auc")}
    empty, small, large = tables["linear_fit"]["model"].iloc[:3]
    fracture = tables["auc"]["model"].iloc[0]
    linear = {empty: "1", small: "bmi + sex", large: "sex + bmi * attenuation", "not fitted": "bmi"}
    info = {"models": {"vBMD": linear, "fracture": {fracture: "vBMD"}}, "units": {"bmi": "kg/m2"}}
    html = study_report(tables, info).html
    added = "Muscle attenuation (HU), bmi (kg/m2) × Muscle attenuation (HU)"
    assert f"{empty}: an intercept alone; {small}: bmi (kg/m2), sex; {large}: {small}, {added}.<" in html
    assert f"{fracture}: vBMD (mg/cm³).<" in html


def test_a_subgroup_without_an_estimate_keeps_its_place():
    effects = study.study_tables()["subgroup_effects"]
    one = effects.assign(estimate=effects["estimate"].where(effects.index != effects.index[-1]))
    html = study_report({"subgroup_effects": one}, {}).html
    assert html.count(": no estimate") >= 1


@pytest.mark.parametrize(
    ("value", "shown"), [(999.4, "999"), (999.7, "1,000"), (-999.5, "−1,000"), (9.996, "10.0")]
)
def test_three_digits_are_kept_where_rounding_adds_one(value, shown):
    assert significant(value) == shown


def test_bland_altman_limits_of_the_muscle_are_those_of_both_sides_together():
    both = study.agreement()
    left = both.assign(structure="muscle_left", volume_mm3=both["volume_mm3"] / 2)
    reports = (
        study_report({"reader_agreement": table}, {})
        for table in (both, pd.concat([both, left], ignore_index=True))
    )
    alone, among = (
        next(figure for figure in report.figures if figure.name == "bland-altman-volume-mm3")
        for report in reports
    )
    assert among.caption == alone.caption
