"""`killick init` writes what one can read: every line says something once, and what comes next is told."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from killick.cli.specs import validate_spec, write_first
from killick.errors import DataError
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 300
MONDAY = datetime(2013, 4, 1, tzinfo=UTC)
SHOP = pl.DataFrame(
    {
        "order_id": [f"o{row}" for row in range(ROWS)],
        "timestamp": [MONDAY + timedelta(hours=row) for row in range(ROWS)],
        "amount": [row % 7 / 2 for row in range(ROWS)],
        "city": ["Reno", "Boston", "Mobile"] * (ROWS // 3),
        "remark": [f"left order {row} at the door" for row in range(ROWS)],
        "vector": [[0.5, row / ROWS] for row in range(ROWS)],
        "basket": [{"sku": row} for row in range(ROWS)],
        "y_pred_proba": [row % 10 / 10 for row in range(ROWS)],
        "y_pred": [row % 10 > 5 for row in range(ROWS)],
        "returned": [row % 3 == 0 for row in range(ROWS)],
        "label": ["kept" if row % 3 else "returned" for row in range(ROWS)],
    }
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Write the shop's table."""
    SHOP.write_parquet(tmp_path / "shop.parquet")
    return tmp_path / "shop.parquet"


def test_a_first_spec_says_everything_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No comment is repeated; each kind is listed; what cannot be watched is named with its type."""
    output = shop.with_name("killick.yaml")
    assert write_first(str(shop), output, None, force=False) == 0
    text = output.read_text(encoding="utf-8")
    comments = Counter(line.strip() for line in text.splitlines() if line.strip().startswith("#"))
    assert comments
    assert max(comments.values()) == 1
    assert "# features: cannot be watched (1): basket (Struct({'sku': Int64}))" in text
    for line in ("numeric (1): amount", "boolean (1): returned", "text (1): remark", "embedding (1): vector"):
        assert f"# features: {line}" in text
    spec = parse_spec(text)
    assert (spec.schema.score, spec.schema.decision, spec.reference) == ("y_pred_proba", "y_pred", str(shop))
    said = capsys.readouterr().out
    assert "300 rows" in said
    for command in ("killick validate", "killick check NEW_DATA --reference", "killick replay HISTORY"):
        assert command in said
    assert validate_spec(output, as_json=False) == 0


def test_a_first_spec_is_written_for_a_folder_of_text_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Larger than memory or not, the same rows have the same spec, but for what a CSV cannot hold."""
    flat = SHOP.drop("basket", "vector")
    (tmp_path / "orders").mkdir()
    flat[:200].write_csv(tmp_path / "orders/1.csv")
    flat[200:].write_csv(tmp_path / "orders/2.csv")
    flat.write_parquet(tmp_path / "orders.parquet")
    texts = []
    for data in ("orders", "orders.parquet"):
        write_first(str(tmp_path / data), tmp_path / "-", "shop", force=True)
        texts.append((tmp_path / "-").read_text(encoding="utf-8").replace(data, ""))
    assert texts[0] == texts[1]
    assert "300 rows" in capsys.readouterr().out


def test_a_table_that_cannot_be_read_leaves_no_spec(tmp_path: Path) -> None:
    """Half a file is one message."""
    (tmp_path / "a.csv").write_text("x,x\n1,2\n")
    with pytest.raises(DataError, match="names a column twice: 'x'"):
        write_first(str(tmp_path / "a.csv"), tmp_path / "killick.yaml", None, force=False)
    assert not (tmp_path / "killick.yaml").exists()
