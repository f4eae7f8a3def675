"""Optimizers, schedules and batch sizes."""

from dataclasses import replace
from pathlib import Path

import pytest

from rsn.training.optimization import build_optimizer, learning_rate_factor
from rsn.training.recipe import DatasetConfig, OptimizationConfig, Recipe
from rsn.weights.transfer import create_model


def test_learning_rate_equals_the_reference() -> None:
    schedule = OptimizationConfig()
    assert schedule.learning_rate * learning_rate_factor(0, schedule) == pytest.approx(4.015e-4)
    assert learning_rate_factor(2_399, schedule) == 1.0
    assert learning_rate_factor(2_400 + 46_799, schedule) == pytest.approx(0.5)
    assert learning_rate_factor(95_999, schedule) == 0.0


def test_cosine_and_linear_schedule_meet_at_both_ends_and_in_the_middle() -> None:
    line = OptimizationConfig()
    cosine = replace(line, schedule="cosine")
    for step in (0, 2_399, 2_400 + 46_799, 95_999):
        assert learning_rate_factor(step, cosine) == pytest.approx(learning_rate_factor(step, line))
    assert learning_rate_factor(20_000, cosine) > learning_rate_factor(20_000, line)
    assert learning_rate_factor(80_000, cosine) < learning_rate_factor(80_000, line)


def test_learning_rate_falls_over_the_last_share_of_the_steps() -> None:
    schedule = OptimizationConfig(steps=1000, warmup_steps=100, decay_share=0.6)
    assert learning_rate_factor(99, schedule) == learning_rate_factor(399, schedule) == 1.0
    assert learning_rate_factor(699, schedule) == pytest.approx(0.5)
    assert learning_rate_factor(999, schedule) == 0.0
    long_warmup = replace(schedule, warmup_steps=700)
    assert learning_rate_factor(700, long_warmup) == pytest.approx(1 - 1 / 300)  # from its end, without a jump


def test_weight_decay_can_leave_out_batch_norms() -> None:
    network = create_model("rsn18")
    everything = build_optimizer(network, OptimizationConfig())
    assert [len(group["params"]) for group in everything.param_groups] == [len(list(network.parameters()))]
    spared = build_optimizer(network, OptimizationConfig(optimizer="adamw", decay_norm_and_bias=False))
    decayed, plain = spared.param_groups
    assert {parameter.ndim for parameter in decayed["params"]} == {4}
    assert {parameter.ndim for parameter in plain["params"]} == {1}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (1e-5, 0.0)


def test_modules_learn_at_their_own_rates() -> None:
    network = create_model("rsn18")
    multipliers = {"stages.*": 0.1, "stages.*.heads": 10.0}  # the last one counts for the heads
    config = OptimizationConfig(decay_norm_and_bias=False, learning_rate_multipliers=multipliers)
    groups = build_optimizer(network, config).param_groups
    rates = {parameter: group["lr"] for group in groups for parameter in group["params"]}
    for name, parameter in network.named_parameters():
        factor = 10.0 if ".heads." in name else 0.1 if name.startswith("stages.") else 1.0
        assert rates[parameter] == pytest.approx(factor * config.learning_rate), name
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {
        (factor * config.learning_rate, decay) for factor in (0.1, 1.0, 10.0) for decay in (1e-5, 0.0)
    }


def test_with_batch_size_keeps_the_number_of_crops() -> None:
    source = DatasetConfig(Path("a.json"), Path("a"))
    recipe = Recipe(train=(source,), validation=source, output=Path("run"))
    small = recipe.with_batch_size(32)
    assert small.optimization.learning_rate == pytest.approx(4e-3 / 8)  # the reference's on one GPU
    assert small.optimization.steps == 96_000 * 8
    assert small.val_interval == 2_400 * 8
    assert small.optimization.warmup_steps == 2_400
    odd = recipe.with_batch_size(100)
    assert odd.optimization.steps % odd.val_interval == 0
    assert odd.optimization.steps * 100 == pytest.approx(96_000 * 256, rel=1e-3)
