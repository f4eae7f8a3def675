"""Muon: the momentum of each matrix, orthogonalized; vectors, such as batch norms, are updated by AdamW.

Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024. A convolution is a matrix with one row
per output channel. `torch.optim.Muon` gives the same updates, but takes no convolutions, computes in bfloat16 where
it is emulated, too, and one matrix after the other, which leaves a GPU waiting.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from rsn.training.precision import multiplies_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration, as in the source
ITERATIONS = 5
MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW, PyTorch's defaults


class Muon(Optimizer):
    """Orthogonalized momentum for parameter groups with a `momentum`, AdamW for those without.

    Args:
        groups: parameter groups with `params`, `lr`, `weight_decay`, and `momentum`, which is None for AdamW. The
            parameters of groups with a momentum have at least two dimensions.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"momentum": None})
        first = self.param_groups[0]["params"][0]
        # As in the source, where it is fast; the iteration forgives the rounding.
        native = first.dtype == torch.float32 and multiplies_bf16(first.device)
        self.product_dtype = torch.bfloat16 if native else first.dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; returns what the closure returns."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["momentum"] is None:
                self._update_vectors(parameters, group)
            else:
                self._update_matrices(parameters, group)
        return result

    def _update_vectors(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters],  # type: ignore[misc]
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=EPSILON,
            maximize=False,
        )

    def _update_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momentum, rate = group["momentum"], group["lr"]
        by_shape: dict[tuple[int, int], list[Tensor]] = {}
        for parameter in parameters:
            by_shape.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
        for shape, same_shape in by_shape.items():
            directions = []
            for parameter in same_shape:
                buffer = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
                buffer.lerp_(parameter.grad, 1 - momentum)
                directions.append(parameter.grad.lerp(buffer, momentum).reshape(shape))  # type: ignore[union-attr]
            updates = orthogonalize(torch.stack(directions).to(self.product_dtype))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, update in zip(same_shape, updates, strict=True):
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.sub_(update.reshape(parameter.shape).to(parameter.dtype), alpha=scale)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Matrices (N, rows, columns) with the same singular vectors and singular values near 1, between 0.7 and 1.2."""
    wide = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if matrices.shape[1] > matrices.shape[2] else wide
