"""NannyML's univariate drift on two Parquet files: the columns that alert, its time and its memory.

Runs in an environment of its own (nannyml.txt): python -m benchmarks.peers.run_nannyml BEFORE NOW
"""

from __future__ import annotations

import json
import sys

import nannyml
import pandas as pd

from benchmarks.contest import best_of

# One chunk of ten that alerts is within what three standard deviations of ten chunks do on data without drift.
MOST = 0.5


def drifted(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Return the columns of which any method alerts in most of the chunks, NannyML's default ten."""
    numbers = [name for name in reference if reference[name].dtype.kind == "f"]
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference),
        treat_as_categorical=[name for name in reference if name not in numbers],
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon", "wasserstein"],
        categorical_methods=["chi2", "jensen_shannon"],
    )
    found = calculator.fit(reference).calculate(current).filter(period="analysis").to_df(multilevel=True)
    alerts = found.xs("alert", axis=1, level=2).mean()
    return sorted({column for (column, _), share in alerts.items() if share > MOST})


if __name__ == "__main__":
    before, now = (pd.read_parquet(path) for path in sys.argv[1:3])
    columns: list[str] = []
    print(json.dumps(best_of(1, lambda: columns.extend(drifted(before, now))) | {"flagged": columns}))
