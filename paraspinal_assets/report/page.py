"""Sections to one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import jinja2
from markupsafe import Markup

from paraspinal_assets.report.blocks import Section


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("paraspinal_assets.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(
    sections: Sequence[Section],
    *,
    title: str,
    subtitle: str,
    badges: Sequence[str],
    footer: str,
) -> str:
    """The page; everything but the figures' SVG is escaped.

    Parameters
    ----------
    sections
        At least one.
    title, subtitle, footer
        Plain text.
    badges
        Warnings about the kind of data, printed on top.
    """
    environment = _environment()
    style, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]
    return environment.get_template("report.html.j2").render(
        sections=sections,
        title=title,
        subtitle=subtitle,
        badges=badges,
        footer=footer,
        # Our own file; autoescape would turn its quotes into entities.
        style=Markup(style),
    )
