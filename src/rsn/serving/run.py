"""The service as a process: a port, and a server that answers on it until it is stopped."""

import socket

import uvicorn
from fastapi import FastAPI

from rsn.errors import RsnError


def names_of(host: str) -> tuple[str, ...]:
    """Names that a service listening on an address goes by: any, unless it is there for this machine alone."""
    return ("localhost", "127.0.0.1") if host in ("localhost", "127.0.0.1") else ("*",)


def open_port(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 lets the system choose a free one.

    Raises:
        RsnError: the port is taken or needs rights, or there is no such address here.
    """
    if not 0 <= port < 65536:
        raise RsnError(f"there is no port {port}; choose one from 1 to 65535")
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
    """Where a browser on this machine finds what listens on a socket."""
    host, port = opened.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_of(app: FastAPI) -> uvicorn.Server:
    """A server for an application, quiet but for what goes wrong; `run(sockets=[...])` serves until it is stopped."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",  # the parser in Python, which refuses what is not quite HTTP
            ws="none",
            lifespan="off",
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
