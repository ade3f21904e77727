"""Bodies are unpacked up to a limit, whatever they are, and what is cut off is not taken for whole."""

from __future__ import annotations

import gzip
import random
import zlib
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from killick.errors import DataError
from killick.server.bodies import ARROW, JSON, NDJSON, content_encoding, inflate, media_type
from killick.server.problems import Refused

MEBIBYTE = 1024 * 1024


def zstd(data: bytes, **options: bool) -> bytes:
    """Data packed as one frame."""
    return zstandard.ZstdCompressor(**options).compress(data)


def streamed(data: bytes) -> bytes:
    """Data packed as senders do who do not know its size beforehand."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


PACKERS = {"gzip": gzip.compress, "zstd": zstd, "zstd streamed": streamed}


@pytest.mark.parametrize("packer", PACKERS)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=4))
def test_what_was_packed_in_one_part_or_many_comes_out_whole(packer: str, parts: list[bytes]) -> None:
    """Members of gzip and frames of zstd that follow each other are one body (RFC 1952, RFC 8878)."""
    packed = b"".join(PACKERS[packer](part) for part in parts)

    assert inflate(packed, packer.split(maxsplit=1)[0], MEBIBYTE) == b"".join(parts)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_body_that_is_cut_off_anywhere_is_refused(packer: str) -> None:
    """Rows that were lost on the way must not look as if nobody had sent them."""
    packed = PACKERS[packer](b"".join(b"row %d\n" % number for number in range(500)))

    for length in range(len(packed)):
        with pytest.raises(DataError):
            inflate(packed[:length], packer.split(maxsplit=1)[0], MEBIBYTE)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@given(data=st.binary(max_size=300))
def test_whatever_is_no_packed_body_is_refused_in_words(encoding: str, data: bytes) -> None:
    """No byte string makes it raise anything else, or go on for ever."""
    with suppress(DataError):
        assert len(inflate(data, encoding, MEBIBYTE)) <= MEBIBYTE


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_not_inflated_beyond_its_limit(encoding: str) -> None:
    """A gigabyte of zeros in a megabyte or less: no more is kept than is allowed, and it is noticed piece by piece."""
    zeros = bytes(64 * MEBIBYTE)
    bomb = b"".join([{"gzip": gzip.compress, "zstd": zstd}[encoding](zeros)] * 16)
    taken: list[int] = []

    with pytest.raises(Refused) as refused:
        inflate(bomb, encoding, 8 * MEBIBYTE, taken.append)

    assert refused.value.status_code == 413
    assert sum(taken) <= 8 * MEBIBYTE


def test_a_window_that_http_does_not_allow_is_refused() -> None:
    """A frame may ask for gigabytes of memory before its first byte; 8 MiB is all that it gets (RFC 9659)."""
    wide = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()

    with pytest.raises(DataError, match="zstd"):
        inflate(packer.compress(bytes(MEBIBYTE)) + packer.flush(), "zstd", 2 * MEBIBYTE)


def test_a_body_of_very_many_empty_parts_is_refused() -> None:
    """Each part has a cost of its own, however little is in it."""
    with pytest.raises(DataError, match="members"):
        inflate(gzip.compress(b"") * 10_001, "gzip", MEBIBYTE)


def test_the_limit_itself_is_allowed() -> None:
    """What has exactly as many bytes as may be is taken."""
    data = zlib.crc32(b"x").to_bytes(4, "big") * 1000

    assert inflate(gzip.compress(data), "gzip", len(data)) == data


@pytest.mark.parametrize(
    ("said", "understood"),
    [("application/json", JSON), ("Application/JSON ; charset=utf-8", JSON), (NDJSON, NDJSON), (ARROW, ARROW)],
)
def test_a_media_type_is_read_without_its_parameters(said: str, understood: str) -> None:
    """Names of media types have no case, and say more than we need."""
    assert media_type(said, (JSON, NDJSON, ARROW)) == understood


@pytest.mark.parametrize("said", ["", "text/csv", "application/jsonx", "multipart/form-data"])
def test_a_media_type_that_is_not_understood_is_told_what_is(said: str) -> None:
    """415, with the list, for a person and for a program."""
    with pytest.raises(Refused) as refused:
        media_type(said, (JSON, NDJSON))

    assert refused.value.status_code == 415
    assert NDJSON in refused.value.detail
    assert refused.value.headers == {"Accept-Post": f"{JSON}, {NDJSON}"}


@pytest.mark.parametrize("said", ["br", "gzip, zstd", "deflate", "x"])
def test_an_encoding_that_is_not_understood_is_told_what_is(said: str) -> None:
    """415 likewise: RFC 9110 answers an unknown coding by Accept-Encoding."""
    with pytest.raises(Refused) as refused:
        content_encoding(said)

    assert (refused.value.status_code, refused.value.headers) == (415, {"Accept-Encoding": "gzip, zstd"})


def test_many_members_are_not_copied_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fed of a body is bounded by the body and a piece for each member: it was quadratic."""
    fed = 0

    class Counting:
        def __init__(self, member: Any) -> None:
            self.member = member

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal fed
            fed += len(data)
            return self.member.decompress(data, most)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.member, name)

    make = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda window: Counting(make(window)))
    data = random.Random(5).randbytes(1_000)
    body = gzip.compress(data) * 2_000

    assert inflate(body, "gzip", 10**7) == data * 2_000
    assert fed < 20 * len(body)
