"""The operator's training command: one JSON request in, one JSON manifest out.

    python train.py < request.json > manifest.json

Request, `killick.train_request/1`: `model`, `version`, `rows` (a Parquet file in order of time),
`label`, `features`, `output` (a folder), `seed`, and optionally `without` (features to leave out).

Manifest, `killick.train_manifest/1`: `version`, `loader`, `artifact` (relative to `output`),
`metrics` and `lineage`. The metrics are honest: they are those of a model fitted to the first four
fifths of the rows on the last fifth, as a later time tells more than a random sample. The artifact
is fitted to all rows. Equal requests give models with equal probabilities.

Logs go to stderr. A request that cannot be met ends with code 2 and a sentence.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import delays
import joblib
import polars as pl
import sklearn
from sklearn.metrics import log_loss, roc_auc_score

REQUEST = "killick.train_request/1"
MANIFEST = "killick.train_manifest/1"

# Below this a boosted tree of 31 leaves with 20 rows each has nothing to learn from.
ROWS_MIN = 1_000


def main() -> None:
    """Read the request, write the manifest, or say why not."""
    try:
        manifest = train(json.load(sys.stdin))
    except (KeyError, TypeError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        print(f"train.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    json.dump(manifest, sys.stdout)


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Fit, write the artifact, describe it."""
    if request["schema"] != REQUEST:
        raise ValueError(f"this trainer reads {REQUEST}, not {request['schema']!r}")
    version, seed = request["version"], request["seed"]
    if Path(version).name != version:
        raise ValueError(f"a version names a file and cannot be {version!r}")
    features = [name for name in request["features"] if name not in request.get("without", ())]

    rows = pl.read_parquet(request["rows"], columns=[*features, request["label"]])
    rows = rows.filter(pl.col(request["label"]).is_not_null())
    if len(rows) < ROWS_MIN or rows[request["label"]].n_unique() == 1:
        raise ValueError(f"{len(rows)} rows with a label; {ROWS_MIN} of both kinds are needed")
    log(f"{request['model']} {version}: {len(rows)} rows, {len(features)} features")

    metrics = held_out_metrics(rows, features, request["label"], seed)
    log(f"on the last fifth: {metrics}")
    artifact = Path(f"{version}.joblib")
    output = Path(request["output"])
    output.mkdir(parents=True, exist_ok=True)
    joblib.dump(fit(rows, features, request["label"], seed), output / artifact)
    return {
        "schema": MANIFEST,
        "version": version,
        "loader": "delays:load",
        "artifact": str(artifact),
        "metrics": metrics,
        "lineage": {
            "rows_sha256": hashlib.sha256(Path(request["rows"]).read_bytes()).hexdigest(),
            "python": platform.python_version(),
            "scikit_learn": sklearn.__version__,
        },
    }


def held_out_metrics(rows: pl.DataFrame, features: list[str], label: str, seed: int) -> dict[str, float]:
    """What a model of the first four fifths is worth on the last fifth, and its rows."""
    later = rows.tail(len(rows) // 5)
    model = fit(rows.head(len(rows) - len(later)), features, label, seed)
    columns = later.select(features).to_dict(as_series=False)
    scores = delays.probabilities(model, delays.encode(model, columns))
    delayed = later[label].to_numpy()
    return {
        "log_loss": float(log_loss(delayed, scores, labels=[False, True])),
        "roc_auc": float(roc_auc_score(delayed, scores)),
        "rows": len(later),
    }


def fit(rows: pl.DataFrame, features: list[str], label: str, seed: int) -> dict[str, Any]:
    """The operator's model of these rows."""
    model: dict[str, Any] = delays.fit(rows.select(features).to_dict(as_series=False), rows[label].to_list(), seed)
    return model


def log(text: str) -> None:
    """Stdout belongs to the manifest."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
