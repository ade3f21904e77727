"""Evidently's `DataDriftPreset` on two Parquet files: the columns that it calls drifted, its time and its memory.

Runs in an environment of its own (evidently.txt): python run_evidently.py reference.parquet current.parquet
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


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


def peak_megabytes() -> float:
    """Return the most memory that this process ever held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


if __name__ == "__main__":
    before, now = (pd.read_parquet(path) for path in sys.argv[1:3])
    wall, cpu = time.perf_counter(), time.process_time()
    columns = drifted(before, now)
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(took | {"megabytes": peak_megabytes(), "flagged": columns}))
