"""A bundle as runsync left it before snapshots were recorded."""

import json

from runsync.bundle import layout
from runsync.bundle.store import Store


def make_old(store: Store) -> None:
    """Takes the records away, and the feature that asks for them."""
    for entry in list(store.list(layout.HISTORY)):
        store.remove(entry.name)
    marker = json.loads(store.read(layout.MARKER))
    store.remove(layout.MARKER)
    marker["required_features"].remove(layout.ORDERED)
    store.create(layout.MARKER, json.dumps(marker).encode())
