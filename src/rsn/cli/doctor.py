"""rsn doctor: what works on this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Doctor:
    """Show versions, devices, backends, and what each optional extra would add."""

    def run(self) -> int:
        """Exit status 0; missing extras are no error."""
        from rsn.doctor import examine

        for check in examine():
            print(check)
        return 0
