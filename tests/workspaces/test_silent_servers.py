"""A server that says nothing more is given up after the timeout, and not after twice that."""

import io
import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http.answer import _Raw
from runsync.workspaces.http.session import session_for

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.05)
        yield ours, theirs


class _Socket(io.RawIOBase):
    """The raw end of a connection, which counts how often it is read: each may block for a timeout."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self.reads += 1
        return self.sock.recv_into(buffer)


def test_where_nothing_came_in_time_nothing_is_waited_for_again(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    counted = _Socket(ours)
    raw = _Raw(counted, ours)
    with pytest.raises(TimeoutError, match="timed out"):
        raw.readinto(bytearray(8))
    assert counted.reads == 0
    theirs.send(b"late")
    assert (raw.readinto(bytearray(8)), counted.reads) == (4, 1)


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"half"])
def test_a_silent_server_is_a_timeout_to_requests(sent: bytes) -> None:
    """Before the headers and within the body."""
    listening = socket.create_server(("127.0.0.1", 0))
    with listening, session_for("http://127.0.0.1", Credentials(), 2) as session:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        held: list[socket.socket] = []
        answering = threading.Thread(target=lambda: held.append(_answer(listening, sent)))
        answering.start()
        with pytest.raises((requests.Timeout, requests.ConnectionError), match="timed out"):
            session.get(url, timeout=(30, 0.3))
        answering.join()
        held[0].close()


def _answer(listening: socket.socket, sent: bytes) -> socket.socket:
    connection, _ = listening.accept()
    connection.sendall(sent)
    return connection
