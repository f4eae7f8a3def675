"""`python -m rsn`, which is what torchrun starts: torchrun --nproc-per-node 8 -m rsn train RECIPE."""

from rsn.cli import main

main()
