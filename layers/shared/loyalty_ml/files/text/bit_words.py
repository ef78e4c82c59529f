"""Flags of bytes as bits, 64 a word: counted and carried along for a fraction of what a byte each would take."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

ONE, TOP = np.uint64(1), np.uint64(63)

_AT_A_TIME = 131_072
"""Bytes whose flags stay in the processor's cache: memory that is new takes longer to map than to fill."""

_WORD = np.dtype("<u8")
_BITS_OF_BYTE = np.array([byte.bit_count() for byte in range(256)], np.uint8)


def words(flags: NDArray[np.bool_]) -> Words:
    """64 flags a word, the first in the lowest bit."""
    bits = np.zeros(-(-len(flags) // 64), _WORD)
    bits.view(np.uint8)[: -(-len(flags) // 8)] = np.packbits(flags, bitorder="little")
    return bits


def words_where(text: NDArray[np.uint8], character: str) -> Words:
    """The places of one character of ASCII in a text."""
    bits = np.zeros(-(-len(text) // 64), _WORD)
    flags = np.empty(_AT_A_TIME, np.bool_)
    for start in range(0, len(text), _AT_A_TIME):
        some = text[start : start + _AT_A_TIME]
        packed = np.packbits(np.equal(some, ord(character), out=flags[: len(some)]), bitorder="little")
        bits.view(np.uint8)[start // 8 : start // 8 + len(packed)] = packed
    return bits


def places(bits: Words) -> NDArray[np.int64]:
    """Where bits are set, int64, ascending."""
    if bit_counts(bits).sum() > len(bits):
        return _places_of_many(bits)
    found = []
    word = np.flatnonzero(bits != 0)
    left = bits[word]
    while len(left):
        # The zeros below the lowest bit say where it is; then it is taken away.
        found.append((word << 6) + bit_counts(~left & (left - ONE)))
        left &= left - ONE
        more = left != 0
        word, left = word[more], left[more]
    return np.sort(np.concatenate([np.empty(0, np.int64), *found]))


def _places_of_many(bits: Words) -> NDArray[np.int64]:
    found = []
    for start in range(0, len(bits), _AT_A_TIME // 64):
        some = bits[start : start + _AT_A_TIME // 64].view(np.uint8)
        found.append(np.flatnonzero(np.unpackbits(some, bitorder="little").view(np.bool_)) + 64 * start)
    return np.concatenate(found)


def shifted_on(bits: Words) -> Words:
    """Each bit at the place after its own; the last one falls out."""
    shifted = bits << ONE
    shifted[1:] |= bits[:-1] >> TOP
    return shifted


def shifted_back(bits: Words) -> Words:
    """Each bit at the place before its own; the first one falls out."""
    shifted = bits >> ONE
    shifted[:-1] |= bits[1:] << TOP
    return shifted


def bit_counts(bits: Words) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(bits)
    # NumPy 1, which Python 3.11 has here.
    counts: NDArray[np.uint8] = _BITS_OF_BYTE[bits.view(np.uint8)].reshape(-1, 8).sum(axis=1, dtype=np.uint8)
    return counts


def counts_before(bits: Words, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bits are set before each place."""
    before = np.zeros(len(bits) + 1, np.int64)
    np.cumsum(bit_counts(bits), out=before[1:])
    word = places >> 6
    below = (ONE << (places & 63).astype(np.uint64)) - ONE
    counts: NDArray[np.int64] = before[word] + bit_counts(bits[word] & below)
    return counts


def within_quotes(quotes: Words) -> Words:
    """From each quote that opens to before the one that closes."""
    within = quotes.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        within ^= within << np.uint64(shift)
    is_open = within >> TOP  # of a word by itself, at its end
    opened_before = np.bitwise_xor.accumulate(is_open) ^ is_open
    within ^= np.negative(opened_before)  # all ones, or none
    return within
