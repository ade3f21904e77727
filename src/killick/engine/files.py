"""Files: what one file of a watched folder holds, as deliveries, batch after batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from killick.engine.admit import DECODERS
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery
from killick.engine.translate import decode_events
from killick.errors import DataError
from killick.formats.bentoml import read_columns, read_rows
from killick.formats.folders import TABLES, whole_requests
from killick.formats.foreign import placed, rejected
from killick.formats.sagemaker import read_captures, read_labels
from killick.telemetry.quarantine import Rejected
from killick.wire.decode import Decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.formats import foreign
    from killick.formats.folders import Due
    from killick.formats.foreign import Reading
    from killick.spec.document import Folder, Spec
    from killick.wire.decode import Media

    _Piece: TypeAlias = pl.DataFrame | bytes
    _Translated: TypeAlias = dict[str, Decoded]
    _Translate: TypeAlias = Callable[..., _Translated]

# Of one batch; the others are counted.
_NAMED_MAX = 100


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads the files of one folder, at one instant, with what is known of the model by then."""

    world: World
    spec: Spec
    folder: Folder
    reading: Reading
    now: Instant

    def batches(self, file: Due, modified: Instant) -> Iterator[tuple[Delivery, ...]]:
        """Yield the deliveries of each batch of a file, the same each time; none of a batch that is in.

        Args:
            file: which one.
            modified: when it was changed last. A format that does not say when labels were known means then.

        Raises:
            DataError: the file cannot be read, or not to its end; what is not understood in it is rejected.
            OutsideError: the disk or the store failed.
        """
        model, kind = self.spec.model, self.folder.kind
        translate = self._translator(file, modified)
        first = 0
        for number, piece in enumerate(self._pieces(file.path)):
            with self.world.control.transaction() as t:
                is_in = t.answer(model, kind, file.producer, number) is not None
            yield () if is_in else tuple(self._deliveries(translate, piece, file, number, first))
            first += piece.height if isinstance(piece, pl.DataFrame) else piece.count(b"\n")

    def _pieces(self, path: str) -> Iterator[_Piece]:
        folder, folders = self.folder, self.world.folders
        if folder.format in TABLES:
            yield from folders.tables(folder.path, path)
        elif folder.format == "bentoml":
            yield from whole_requests(folders.lines(folder.path, path))
        else:
            yield from folders.lines(folder.path, path)

    def _deliveries(
        self, translate: _Translate, piece: _Piece, file: Due, number: int, first: int
    ) -> Iterator[Delivery]:
        try:
            translated = translate(piece)
        except DataError as error:  # this piece as a whole; the rest of the file stands
            translated = {self.folder.kind: Decoded(pl.DataFrame(), (rejected(0, error),), 1)}
        for kind, decoded in translated.items():
            named = tuple(
                Rejected(first + one.index, one.field, f"{one.reason} ({file.path})")
                for one in decoded.rejected[:_NAMED_MAX]
            )
            if decoded.table.height or decoded.rejected_rows:
                yield Delivery(
                    self.spec.model, kind, file.producer, number, decoded.table, named, decoded.rejected_rows
                )

    def _translator(self, file: Due, modified: Instant) -> _Translate:
        """Return what makes rows of a piece of this format."""
        kind, reading = self.folder.kind, self.reading
        match self.folder.format:
            case "sagemaker":
                return lambda piece: self._of_events(read_captures(piece, reading))
            case "sagemaker-ground-truth":
                return lambda piece: self._of_events(read_labels(piece, known_at=modified))
            case "bentoml":
                columns = read_columns(self._last_piece(file.columns or ""))
                return lambda piece: self._of_events(read_rows(piece, columns, reading))
        media: Media = "ndjson" if self.folder.format == "ndjson" else "arrow"
        return lambda piece: {kind: DECODERS[kind](piece, media, model=self.spec.model, spec=self.spec, now=self.now)}

    def _of_events(self, found: foreign.Decoded) -> _Translated:
        translated = {}
        for kind, events, lines in (
            (PREDICTIONS, found.predictions, found.prediction_lines),
            (OUTCOMES, found.outcomes, found.outcome_lines),
        ):
            decoded = decode_events(events, kind, self.spec.model, self.spec, self.now)
            translated[kind] = replace(decoded, rejected=placed(decoded.rejected, lines))
        own = translated[self.folder.kind]
        refused = (*found.rejected, *own.rejected)
        translated[self.folder.kind] = Decoded(own.table, refused, len(found.rejected) + own.rejected_rows)
        return translated

    def _last_piece(self, path: str) -> bytes:
        """Return the end of a file of lines: what was appended last holds."""
        last = b""
        for piece in self.world.folders.lines(self.folder.path, path):
            last = piece
        return last
