"""HTTP to the servers and clouds that workspaces are in; what others need of it is here."""

from runsync.workspaces.http.body import CHUNK, Body, Opener, Paced, Readable
from runsync.workspaces.http.client import LAST_WORDS, Client, json_of
from runsync.workspaces.http.identity import Identity
from runsync.workspaces.http.once import NOT_DONE, post_once
from runsync.workspaces.http.patience import RETRIED, Pace, Patience
from runsync.workspaces.http.trouble import BROKEN

__all__ = [
    "BROKEN",
    "CHUNK",
    "LAST_WORDS",
    "NOT_DONE",
    "RETRIED",
    "Body",
    "Client",
    "Identity",
    "Opener",
    "Pace",
    "Paced",
    "Patience",
    "Readable",
    "json_of",
    "post_once",
]
