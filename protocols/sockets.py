"""What a line protocol asks of a bare socket, in clear text and under TLS alike."""

import os

import trio


async def read_next(socket: trio.socket.SocketType, bytes_max: int) -> bytes:
    """Wait first and then read: to try first would mostly be in vain, and a wait all the same.

    Others have their turn here also when something has come already. Raises BrokenResourceError,
    ClosedResourceError.
    """
    while socket.fileno() >= 0:
        await trio.lowlevel.wait_readable(socket)
        try:
            return os.read(socket.fileno(), bytes_max)
        except BlockingIOError:
            continue  # the kernel thought better of it
        except OSError as error:
            raise trio.BrokenResourceError from error
    raise trio.ClosedResourceError
