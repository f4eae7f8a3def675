"""Poses of very many images: parts of the input, each of which becomes one Parquet file or is done again.

    sources -> parts -> workers (Ray actors that hold the network) -> people/part-000000.parquet, ...

A part is what a worker takes, what is written in one piece, what a killed worker loses, and what a later run skips.
"""
