"""Evidently's `DataDriftPreset` on two Parquet files: the columns that it calls drifted, its time and its memory.

Runs in an environment of its own (evidently.txt): python -m benchmarks.peers.run_evidently BEFORE NOW
"""

from __future__ import annotations

import json
import sys

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from benchmarks.contest import best_of


def drifted(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Return the columns that drifted, by the preset's own tests and thresholds."""
    numbers = [name for name in reference if reference[name].dtype.kind == "f"]
    roles = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in reference if name not in numbers]
    )
    tables = (Dataset.from_pandas(table, data_definition=roles) for table in (current, reference))
    found = Report([DataDriftPreset()]).run(*tables).dict()
    columns = {metric["config"]["column"]: metric for metric in found["metrics"] if "column" in metric["config"]}
    return sorted(name for name, metric in columns.items() if is_drift(metric))


def is_drift(metric: dict) -> bool:
    """Whether a value is beyond its threshold: below it for a p-value, above it for a distance."""
    value, threshold = float(metric["value"]), float(metric["config"]["threshold"])
    return value < threshold if "p_value" in metric["config"]["method"] else value >= threshold


if __name__ == "__main__":
    before, now = (pd.read_parquet(path) for path in sys.argv[1:3])
    columns: list[str] = []
    print(json.dumps(best_of(1, lambda: columns.extend(drifted(before, now))) | {"flagged": columns}))
