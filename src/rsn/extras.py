"""Check that optional libraries are installed, where they are used."""

from importlib.util import find_spec

from rsn.errors import MissingDependencyError


def require(*libraries: str, extra: str, feature: str) -> None:
    """Check that libraries of an extra are installed, without importing them.

    Raises:
        MissingDependencyError: one is missing; the message has the command that installs it.
    """
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise MissingDependencyError(f"{feature} needs {', '.join(missing)}: pip install 'rsn-pose[{extra}]'")
