"""Two hosts on one machine: Linux network namespaces with a cable between, each with a name of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOSTS = {"rsn-one": "10.77.0.1", "rsn-two": "10.77.0.2"}


def lacking() -> str | None:
    """The reason why this machine cannot simulate two hosts, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, for network namespaces"
    missing = [tool for tool in ("ip", "unshare", "mount") if shutil.which(tool) is None]
    if missing:
        return f"needs {' and '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"


@contextmanager
def two_hosts(folder: Path) -> Iterator[dict[str, list[str]]]:
    """Set up two hosts for the block; returns command prefixes by host name."""
    names = folder / "hosts"
    names.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {host}\n" for host, address in HOSTS.items()))
    as_host = 'hostname "$1"; mount --bind "$2" /etc/hosts; shift 2; exec "$@"'
    try:
        for host in HOSTS:
            _ip("netns", "add", host)
        one, two = HOSTS
        _ip("link", "add", "cable", "netns", one, "type", "veth", "peer", "name", "cable", "netns", two)
        for host, address in HOSTS.items():
            _ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                _ip("-n", host, "link", "set", device, "up")
        own_name = ["unshare", "--uts", "--mount", "sh", "-ec", as_host, "sh"]
        yield {host: ["ip", "netns", "exec", host, *own_name, host, str(names)] for host in HOSTS}
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
