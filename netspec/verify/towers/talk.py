"""What a process and those that it started say to one another: any value, its arrays without a copy on the way."""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection
from typing import Any


def send(connection: Connection[Any, Any], value: Any) -> None:
    """Send a value, which may hold arrays; they follow it one by one.

    Raises:
        OSError: nobody is there to receive it.
    """
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    connection.send([view.nbytes for view in views])
    connection.send_bytes(text)
    for view in views:
        if view.nbytes:
            connection.send_bytes(view)


def receive(connection: Connection[Any, Any]) -> Any:
    """The value that was sent; its arrays are this process's own, and can be written.

    Raises:
        EOFError: who would send it is gone.
    """
    buffers = [bytearray(size) for size in connection.recv()]
    text = connection.recv_bytes()
    for buffer in buffers:
        if buffer:
            connection.recv_bytes_into(buffer)
    return pickle.loads(text, buffers=buffers)  # noqa: S301 # of a process of our own
