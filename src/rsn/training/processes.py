"""The processes that train together: started by torchrun or srun, found in what these leave in the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Processes:
    """rank: which one this is, from 0. count: how many there are, on `hosts` machines with equally many each."""

    rank: int = 0
    count: int = 1
    hosts: int = 1

    @classmethod
    def launched(cls, environment: Mapping[str, str] = os.environ) -> "Processes":
        """What torchrun or SLURM's srun says; without either, one process."""
        if "TORCHELASTIC_RUN_ID" in environment:
            rank, count, on_host = (
                int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
            )
            return cls(rank, count, count // on_host)
        if "SLURM_STEP_ID" in environment and "SLURM_PROCID" in environment:
            rank, count, hosts = (
                int(environment[key]) for key in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES")
            )
            return cls(rank, count, hosts)
        return cls()

    @property
    def on_each_host(self) -> int:
        """Processes on one machine."""
        return self.count // self.hosts
