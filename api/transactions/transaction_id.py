"""OCPP transaction ids: a keyed permutation of a sequence, so that none can be guessed from another. Pure.

A charge point may stop only its own transactions, and the id is the only secret in a StopTransaction (OCPP 1.6 4.10).
"""

import hashlib
from typing import Final

LARGEST: Final = 2**31 - 1
"""Many charge points keep the id in a signed 32-bit integer."""
HALF_BITS: Final = 16
HALF_MASK: Final = 2**HALF_BITS - 1
ROUNDS: Final = 8


def ocpp_transaction_id(key: bytes, number: int) -> int:
    """The id for the `number`-th transaction: a permutation of 1..2^31-1 under `key` (32 bytes).

    A Feistel network over 32 bits, walked until the value falls into the range (cycle walking).

    Raises:
        ValueError: `number` outside of 1..2^31-1.
    """
    if not 1 <= number <= LARGEST:
        raise ValueError(f"transaction number {number} is outside of 1..{LARGEST}")
    value = _permute(key, number)
    while not 1 <= value <= LARGEST:
        value = _permute(key, value)
    return value


def _permute(key: bytes, value: int) -> int:
    left, right = value >> HALF_BITS, value & HALF_MASK
    for step in range(ROUNDS):
        left, right = right, left ^ _round(key, step, right)
    return (left << HALF_BITS) | right


def _round(key: bytes, step: int, half: int) -> int:
    digest = hashlib.blake2s(half.to_bytes(2), key=key, salt=step.to_bytes(8), digest_size=2)
    return int.from_bytes(digest.digest())
