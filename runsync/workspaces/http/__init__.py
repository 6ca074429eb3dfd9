"""HTTP to the servers and clouds that workspaces are in; what others need of it is here."""

from runsync.patience import Patience
from runsync.workspaces.http.answer import json_of, take
from runsync.workspaces.http.body import CHUNK, Body, Opener, Paced, Readable
from runsync.workspaces.http.care import DIVISIBLE, NEEDED, OPTIONAL, Care
from runsync.workspaces.http.client import LAST_WORDS, Client
from runsync.workspaces.http.download import HttpAnswer, HttpLine
from runsync.workspaces.http.identity import Identity
from runsync.workspaces.http.once import post_once
from runsync.workspaces.http.patience import NOT_DONE, RETRIED, Pace
from runsync.workspaces.http.portion import Portion
from runsync.workspaces.http.session import AUTHORITIES, authorities, connect
from runsync.workspaces.http.trouble import BROKEN

__all__ = [
    "AUTHORITIES",
    "BROKEN",
    "CHUNK",
    "DIVISIBLE",
    "LAST_WORDS",
    "NEEDED",
    "NOT_DONE",
    "OPTIONAL",
    "RETRIED",
    "Body",
    "Care",
    "Client",
    "HttpAnswer",
    "HttpLine",
    "Identity",
    "Opener",
    "Pace",
    "Paced",
    "Patience",
    "Portion",
    "Readable",
    "authorities",
    "connect",
    "json_of",
    "post_once",
    "take",
]
