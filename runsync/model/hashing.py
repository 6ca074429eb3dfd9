"""The hash that names bytes in a bundle."""

import hashlib
from collections.abc import Iterable


def sha256_of(chunks: Iterable[bytes]) -> str:
    """SHA-256 (hex) of bytes that come piece by piece."""
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()
