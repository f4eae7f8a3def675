"""The service of `rsn serve`, and a client of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsn.serving.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from rsn.serving.client import Client

        return Client
    raise AttributeError(f"module 'rsn.serving' has no attribute {name!r}")
