"""Optional libraries: asked for where they are used, and missed in one sentence."""

from importlib.util import find_spec

from rsn.errors import MissingDependencyError


def require(*libraries: str, extra: str, feature: str) -> None:
    """Check that libraries of an extra are installed, without importing them.

    Raises:
        MissingDependencyError: one is not; the message has the command that installs it.
    """
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise MissingDependencyError(f"{feature} needs {', '.join(missing)}: pip install 'rsn-pose[{extra}]'")
