"""The service as a process: a port, and a server that runs until it is stopped."""

import socket
from math import ceil

import uvicorn
from fastapi import FastAPI

from rsn.errors import RsnError
from rsn.serving.settings import Limits


def allowed_hosts(host: str) -> tuple[str, ...]:
    """The host names of a service that listens on an address: all, unless only this machine reaches it."""
    return ("localhost", "127.0.0.1") if host in ("localhost", "127.0.0.1") else ("*",)


def open_port(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one.

    Raises:
        RsnError: the port is in use or needs privileges, or this machine has no such address.
    """
    if not 0 <= port < 65536:
        raise RsnError(f"Invalid port: expected 1 to 65535, got {port}")
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        reason = f"{error.strerror or error}; choose another --host or --port"
        raise RsnError(f"cannot listen on {host} port {port}: {reason}") from error
    return opened


def url_of(opened: socket.socket) -> str:
    """The URL of a socket for a browser on this machine."""
    host, port = opened.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def create_server(app: FastAPI, limits: Limits) -> uvicorn.Server:
    """A server that logs only warnings and errors; `run(sockets=[...])` serves until it is stopped.

    SIGTERM or Ctrl-C stop it after the requests that wait have their answers; a second Ctrl-C stops it at once.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",  # the parser in Python, which rejects malformed HTTP
            ws="none",
            lifespan="off",
            log_level="warning",
            server_header=False,
            timeout_keep_alive=30,  # seconds; clients that wait as `Retry-After` says keep their connection
            timeout_graceful_shutdown=ceil(limits.seconds),
        )
    )
