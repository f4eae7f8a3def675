"""rsn doctor: what works on this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Doctor:
    """Say what of rsn works on this machine: versions, devices, engines, and what each extra would add."""

    def run(self) -> int:
        """Exit status 0: what is missing may not be wanted."""
        from rsn.doctor import examine

        for finding in examine():
            print(f"{'+' if finding.ok else '-'} {finding.topic:<12} {finding.text}")
        return 0
