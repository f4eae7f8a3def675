"""rsn doctor: what works on this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Doctor:
    """Say what of rsn works on this machine: versions, devices, backends, and what each extra would add."""

    def run(self) -> int:
        """Exit status 0: what is missing may not be wanted."""
        from rsn.doctor import examine

        for issue in examine():
            print(f"{'+' if issue.ok else '-'} {issue.topic:<12} {issue.text}")
        return 0
