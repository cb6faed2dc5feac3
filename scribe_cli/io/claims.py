"""What the arrays of a file claim to hold, against what lies there: a few bytes may declare terabytes.

HDF5 and Zarr read a chunk that was never written as zeros. That is honest of a dense matrix whose zeros were left
out, so an array may claim FREE bytes unseen and beyond that RATIO times what is stored of it: gzip packs at most
1,032 to one, counts with a thousandth of them not zero some hundreds to one. A chunk is unpacked whole, in memory,
and is held to CHUNK_RATIO; and what is stored of numbers is no more than twice what it unpacks to, or it is a bomb that
unpacks to more than the array. Chunks that are missing cost time each, so of MANY one in a hundred must be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from ..errors import BadData

FREE = 64 << 20
RATIO = 10_000
CHUNK_RATIO = 200
MANY = 10_000
# of all lists, which are read as a whole: names, columns of obs and var
FREE_OF_LISTS = 256 << 20
# bytes an array may take in the file beyond twice what it holds
SPARE = 64 << 10


@dataclass(frozen=True)
class Claim:
    """One array. claimed, stored: bytes, unpacked and in the file; chunk: bytes of one, unpacked, 0 if there are none;
    chunks, written: how many there are to be, how many there are; is_list: of one axis; is_text: of any length."""

    name: str
    claimed: int
    stored: int
    chunk: int
    chunks: int
    written: int
    is_list: bool
    is_text: bool


def n_chunks(shape: Sequence[int], chunk: Sequence[int]) -> int:
    return prod(ceil(n / size) for n, size in zip(shape, chunk, strict=True))


def check(claims: Sequence[Claim], place: str) -> None:
    """BadData for an array, or for all lists together, that claims too much."""
    for claim in claims:
        _check(claim, place)
    lists = [claim for claim in claims if claim.is_list]
    claimed, stored = sum(c.claimed for c in lists), sum(c.stored for c in lists)
    if claimed > FREE_OF_LISTS and claimed > RATIO * stored:
        _refuse(place, f"its {len(lists):,} lists claim", claimed, stored)


def _check(claim: Claim, place: str) -> None:
    if claim.claimed > FREE and claim.claimed > RATIO * claim.stored:
        _refuse(place, f"{claim.name} claims", claim.claimed, claim.stored)
    if claim.chunk > FREE and claim.chunk > CHUNK_RATIO * claim.stored:
        _refuse(place, f"a chunk of {claim.name} claims", claim.chunk, claim.stored)
    if claim.chunks and not claim.is_text and claim.stored > 2 * claim.chunks * claim.chunk + SPARE:
        raise BadData(
            f"{place}: {claim.name} is to hold {claim.claimed:,} bytes, and {claim.stored:,} are stored; the file is "
            "damaged or made to harm: copy it again"
        )
    if claim.chunks > MANY and 100 * claim.written < claim.chunks:
        raise BadData(
            f"{place}: {claim.name} has {claim.written:,} of the {claim.chunks:,} chunks it claims; the file is "
            "damaged or made to harm: copy it again"
        )


def _refuse(place: str, who: str, claimed: int, stored: int) -> None:
    raise BadData(
        f"{place}: {who} {claimed / 1e9:,.2f} GB, and {stored:,} bytes are stored of it; the file is damaged or made "
        "to harm: copy it again"
    )
