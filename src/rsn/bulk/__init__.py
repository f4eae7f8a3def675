"""Batch processing of very many images with Ray.

    inputs -> parts -> workers (Ray actors that hold the network) -> people/part-000000.parquet, ...

A part is the unit of work: it is written in one piece, repeated after a crash, and skipped by later runs once written.
"""
