"""A page: one HTML file that needs nothing from the network, under a content security policy without exceptions.

The charts' JavaScript (Vega, Vega-Lite and Vega-Embed, 0.9 MB) is put into the page once, zipped to 0.4 MB, and only
when it has charts; it is unpacked and read when the first chart is drawn, so a page opens without it. Making that
bundle takes a second, once in a process. Expressions are interpreted (`ast`), so `unsafe-eval` is not needed; every
script and style is named by its hash, the unpacked one too, so a name in somebody's data cannot become one.
"""

from __future__ import annotations

import gzip
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from killick.reports import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

    from killick.reports.charts import Chart


@dataclass(frozen=True, slots=True)
class Placed:
    """A chart in its place on a page: what its element is called."""

    id: str
    chart: Chart


class Gallery:
    """The charts of one page, each under an id that the template names and the script finds."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []

    def hang(self, chart: Chart | None) -> Placed | None:
        """Give a chart its place; no chart has none."""
        if chart is None:
            return None
        self.placed.append(Placed(f"chart-{len(self.placed) + 1}", chart))
        return self.placed[-1]


def render(
    template: str,
    title: str,
    charts: Sequence[Placed],
    forms: Mapping[str, dict[str, Any]] | None = None,
    **values: Any,  # noqa: ANN401 - for templates
) -> str:
    """Fill a template and put it into the page's shell, with its charts, its scripts and its policy.

    Args:
        template: its name.
        title: what the page is called.
        charts: the charts that have a spec of their own.
        forms: the specs of charts that are drawn from a table of the page.
        values: what the template names.
    """
    rooms = environment()
    style = rooms.get_template("page.css").render().strip()
    scripts = [rooms.get_template("page.js").render().strip()]
    drawn = bool(charts or forms)
    data = ""
    if drawn:
        from killick.reports.charts import THEMES

        specs = {placed.id: placed.chart.spec for placed in charts}
        data = as_data({"themes": THEMES, "charts": specs, "forms": forms or {}})
    return rooms.get_template("shell.html").render(
        title=title,
        body=rooms.get_template(template).render(**values),
        policy=policy([*scripts, vega()] if drawn else scripts, [style]),
        style=style,
        scripts=scripts,
        data=data,
        vega=packed_vega() if drawn else "",
    )


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a content security policy that allows exactly these inline scripts and styles, and nothing else at all.

    >>> policy([], ["a{}"]).split("; ")[:2]
    ["default-src 'none'", "script-src 'none'"]
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(scripts)}",
            f"style-src {_hashes(styles)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def as_data(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return JSON that can stand inside a script element: no `<`, so nothing in it can end the element."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


@cache
def vega() -> str:
    """Return the charts' JavaScript."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.strip()


@cache
def packed_vega() -> str:
    """Return it as the page holds it: gzip in base64, the same bytes every time."""
    return b64encode(gzip.compress(vega().encode(), mtime=0)).decode()


@cache
def environment() -> Environment:
    """Return the templates; everything that is put into one is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("killick.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = ("figure", "percent", "exact", "metric", "amount")
    said = ("place", "listed", "counted", "day", "moment", "span", "lasting")
    made.filters.update({name: getattr(words, name) for name in (*numbers, *said)})
    return made


def _hashes(texts: Sequence[str]) -> str:
    digests = (b64encode(sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
