"""Ranges of a long sequence, one after another."""
from collections.abc import Iterator


def blocks(total: int, size: int) -> Iterator[slice]:
    """Slices of ``size`` that cover ``total``, the last one shorter."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
