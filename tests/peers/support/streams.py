"""Peers that let TCP connections down."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread

__all__ = ["hanging_up"]


@contextmanager
def hanging_up(port: int) -> Iterator[None]:
    """Have somebody at a port who takes one connection, and closes it in the middle of the INVITE."""
    with closing(socket.create_server(("127.0.0.1", port))) as listening:
        thread = Thread(target=_close_after_the_first_bytes, args=(listening,))
        thread.start()
        yield
        thread.join()


def _close_after_the_first_bytes(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    assert connection.recv(6) == b"INVITE"
    connection.close()
