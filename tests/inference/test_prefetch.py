"""Prefetching: order, limit, errors and closing."""

import time

import pytest

from rsn.inference.prefetch import prefetch


def test_prefetch_keeps_order_limit_and_errors() -> None:
    made = []

    def items():
        for i in range(10):
            made.append(i)
            yield i
        raise ValueError("at the end")

    taking = prefetch(items(), ahead=2)
    assert next(taking) == 0
    time.sleep(0.2)
    assert len(made) <= 5
    with pytest.raises(ValueError, match="at the end"):
        assert list(taking) == []
    assert made == list(range(10))


def test_prefetch_closes_its_source() -> None:
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    taking = prefetch(items(), ahead=2)
    next(taking)
    taking.close()
    assert closed == [True]
