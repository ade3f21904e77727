"""Make the README's picture of a report: a loan model whose feed broke, checked and shown by a real browser.

    python scripts/picture.py docs/images/report.png

Needs Chromium. The tables are synthetic and the seeds are fixed, so the picture changes only when the report does. What
was planted: the new application form sends the monthly income for the yearly one, it leaves out the age in a third of
the rows, it offers a purpose that nobody had before, and in the west rates rose.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from killick.api import check

SPEC = """
killick: 1
model: loan-default
task: binary
schema: {event_time: applied_at, score: score, label: {column: defaulted}}
segments: [region]
"""
WIDTH, HEIGHT = 1280, 1150
SECONDS_A_DAY = 86_400


def main() -> None:
    """Check the two tables, and photograph the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", type=Path, help="where the picture goes, a .png")
    to: Path = parser.parse_args().to
    with tempfile.TemporaryDirectory() as folder:
        spec, page = Path(folder) / "killick.yaml", Path(folder) / "report.html"
        spec.write_text(SPEC, encoding="utf-8")
        before = loans("2025-01-01", days=181, rows=30_000, seed=7)
        now = loans("2025-07-01", days=31, rows=6_000, seed=8, broken=True)
        check(now, reference=before, spec=spec).save(page)
        photograph(page, to.resolve(), Path(folder))


def loans(start: str, *, days: int, rows: int, seed: int, broken: bool = False) -> pl.DataFrame:
    """Return loan applications, a model's scores and what became of them; `broken` as the new form sends them."""
    chance = np.random.default_rng(seed)
    seconds = np.sort(chance.integers(0, days * SECONDS_A_DAY, rows))
    true = pl.DataFrame(
        {
            "applied_at": np.datetime64(start, "us") + seconds.astype("timedelta64[s]"),
            "region": chance.choice(["north", "south", "east", "west"], rows),
            "income": chance.lognormal(10.6, 0.45, rows).round(),
            "age": chance.normal(41, 12, rows).clip(18, 85).round(),
            "amount": chance.gamma(3, 4_500, rows).round(),
            "rate": chance.normal(7.5, 1.8, rows).clip(1, None).round(2),
            "years_employed": chance.exponential(6, rows).round(1),
            "open_accounts": chance.poisson(3, rows),
            "purpose": chance.choice(["home", "car", "debt", "study", "travel"], rows, p=[0.32, 0.3, 0.22, 0.1, 0.06]),
        }
    )
    if broken:
        true = true.with_columns(rate=pl.col("rate") + 1.5 * (pl.col("region") == "west"))
    came_true = pl.Series(chance.random(rows) < risk(true))
    sent = as_the_new_form_sends(true, chance) if broken else true
    return sent.with_columns(score=pl.Series(risk(sent)), defaulted=came_true)


def as_the_new_form_sends(true: pl.DataFrame, chance: np.random.Generator) -> pl.DataFrame:
    """Return the applications as they arrive: income by the month, ages left out, a purpose that is new."""
    no_age, new = (pl.Series(chance.random(true.height) < share) for share in (0.34, 0.12))
    return true.with_columns(
        income=(pl.col("income") / 12).round(),
        age=pl.when(no_age).then(None).otherwise(pl.col("age")),
        purpose=pl.when(new).then(pl.lit("solar panels")).otherwise(pl.col("purpose")),
    )


def risk(table: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the chance of a default: what the world follows, and what the model has learned of it."""
    income, amount, rate = (table[name].to_numpy() for name in ("income", "amount", "rate"))
    z = -1.3 + 5e-5 * (amount - 13_500) - 3e-5 * (income - 44_000) + 0.25 * (rate - 7.5)
    made: np.ndarray[tuple[int], np.dtype[np.float64]] = 1 / (1 + np.exp(-z))
    return made


def photograph(page: Path, to: Path, folder: Path) -> None:
    """Show a page to a browser that reaches no network, and keep what it shows."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no Chromium on this machine: install it, or leave the picture as it is")
    to.parent.mkdir(parents=True, exist_ok=True)
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *("--virtual-time-budget=20000", f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={folder / 'profile'}"),
        f"--screenshot={to}",
    ]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
