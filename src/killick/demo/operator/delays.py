"""The operator's model: will this flight be delayed?

A version is loaded by name, as in `delays:load_v1`. Every loader has one contract:

    score = load_v1()                  # or load("models/v3.joblib"), what training has written
    score({"origin": ["JFK", "LGA"], "temp": [61.0, None], ...})    # -> one probability a row

`score` takes columns by name (lists or arrays; None and NaN are missing; columns it does not
need are ignored) and gives an array of float64, in the order of the rows. The same rows give the
same numbers, alone or among others.

Cost: about a millisecond a call and a microsecond a row. A file is joblib's, which runs code when
it is read: load only what your own training wrote.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import ThreadpoolController

HERE = Path(__file__).parent

CATEGORICAL = ("carrier", "origin", "dest")

# Gradient boosting holds a feature in a byte: 255 bins, of which one is kept for the unknown.
CATEGORIES_MAX = 254

THREADS = ThreadpoolController()

Score = Callable[[Mapping[str, Sequence[Any]]], np.ndarray]


def load(artifact: str | None = None) -> Score:
    """The version in a file that `train.py` wrote; the path may be relative to this folder."""
    if artifact is None:
        raise ValueError("load needs the path of an artifact, such as models/v3.joblib")
    model = joblib.load(HERE / artifact)
    return lambda columns: probabilities(model, encode(model, columns))


def load_v1(artifact: str | None = None) -> Score:
    """The first release: time, route, carrier and the weather at the airport."""
    return load(artifact or "models/v1.joblib")


def load_no_weather(artifact: str | None = None) -> Score:
    """The fallback for days when the weather feed cannot be trusted: it never looks at it."""
    return load(artifact or "models/no-weather.joblib")


def load_v2(artifact: str | None = None) -> Score:
    """The release candidate: v1's trees behind a tidier encoder. Its canary must stop it.

    The encoder lays the columns out by name; the trees count them in the order of training. Both
    have sixteen, so nothing raises, no input drifts, and the hour is read where the carrier was.
    """
    model = joblib.load(HERE / (artifact or "models/v1.joblib"))
    by_name = [model["features"].index(feature) for feature in sorted(model["features"])]
    return lambda columns: probabilities(model, encode(model, columns)[:, by_name])


def encode(model: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """The rows as a matrix of float64, one column a feature; a name becomes its code.

    What is missing, and a name that training did not know, is NaN.
    """
    matrix = np.empty((len(columns[model["features"][0]]), len(model["features"])))
    for at, feature in enumerate(model["features"]):
        codes = model["codes"].get(feature)
        if codes is None:
            matrix[:, at] = np.asarray(columns[feature], dtype=float)
        else:
            matrix[:, at] = [codes.get(name, np.nan) for name in columns[feature]]
    return matrix


def probabilities(model: Mapping[str, Any], matrix: np.ndarray) -> np.ndarray:
    """The probability of a delay for each row of the matrix."""
    if not len(matrix):
        return np.empty(0)
    # The matrix is ours, so there is nothing to validate. A day of flights is too little work to share between threads,
    # which on a busy machine would spend longer waiting for each other.
    with (
        sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
        THREADS.limit(limits=1, user_api="openmp"),
    ):
        scores: np.ndarray = model["classifier"].predict_proba(matrix)[:, 1]
    return scores


def fit(columns: Mapping[str, Sequence[Any]], delayed: Sequence[bool], seed: int) -> dict[str, Any]:
    """A model of these columns: the classifier, its features in order, the codes of the names."""
    codes = {name: codes_of(columns[name]) for name in columns if name in CATEGORICAL}
    features = list(columns)
    classifier = HistGradientBoostingClassifier(
        categorical_features=[features.index(name) for name in codes],
        random_state=seed,
    )
    model = {"features": features, "codes": codes, "classifier": classifier}
    # One thread here too: threads of two trainings on two cores spend their time waiting for each other.
    with THREADS.limit(limits=1, user_api="openmp"):
        classifier.fit(encode(model, columns), np.asarray(delayed, dtype=bool))
    return model


def codes_of(names: Sequence[str | None]) -> dict[str, int]:
    """A number for every name, in alphabetical order; past the bound only the frequent ones."""
    known, counts = np.unique([name for name in names if name is not None], return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:CATEGORIES_MAX]
    return {str(name): code for code, name in enumerate(sorted(known[frequent]))}
