"""Prints a free port of 127.0.0.1 whose next one is free too."""

import socket


def bound(port):
    """Returns a socket that has a port."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", port))
    return taken


while True:
    with bound(0) as first:
        port = first.getsockname()[1]
        try:
            bound(port + 1).close()
        except (OSError, OverflowError):
            continue
        print(port)
        break
