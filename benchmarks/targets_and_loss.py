"""Time targets, and the loss with its gradients, of 32 crops.

    python benchmarks/targets_and_loss.py --output benchmarks/speed/targets_and_loss.csv

The reference draws five targets per keypoint with OpenCV, in the loader; its loss loops over the crops of a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from reference.codec import targets as targets_by_loops
from reference.loss import loss as loss_by_loops
from rsn.codecs import MegviiCodec
from rsn.training.losses import PoseLoss
from side_by_side import arguments, check, compare, write

CROPS, KEYPOINTS, LEVELS, SIZE = 32, 17, 4, (256, 192)


def main() -> None:
    """Compare targets, then losses."""
    options = arguments(__doc__, repeats=20).parse_args()
    torch.manual_seed(0)
    keypoints = torch.rand(CROPS, KEYPOINTS, 2) * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])
    visibility = torch.randint(0, 3, (CROPS, KEYPOINTS))
    where = (keypoints.to(options.device), visibility.to(options.device))
    people = list(zip(keypoints.numpy(), visibility.numpy(), strict=True))
    by_loops = torch.stack([targets_by_loops(*person, SIZE) for person in people])
    targets = MegviiCodec().encode(*where, SIZE)
    difference = check(float((targets.cpu() - by_loops).abs().max()), 1e-3)
    rows = compare(
        "targets",
        {
            "reference": lambda: [targets_by_loops(*person, SIZE) for person in people],
            "rsn": lambda: MegviiCodec().encode(*where, SIZE),
        },
        unit="32 crops",
        options=options,
        differences={"rsn": difference},
    )

    maps = [20 * torch.randn_like(targets[:, 0]) for _ in range(LEVELS)]

    def trained(loss: Callable[..., Tensor]) -> tuple[Tensor, list[Tensor]]:
        levels = [level.requires_grad_() for level in maps]
        total = loss([levels], targets, where[1])
        return total, list(torch.autograd.grad(total, levels))

    (expected, by_autograd), (found, gradients) = trained(loss_by_loops), trained(PoseLoss())
    largest = max(float((a - b).abs().max()) for a, b in zip(gradients, by_autograd, strict=True))
    check(largest / float(by_autograd[0].abs().max()), 1e-4)
    difference = check(float((found / expected - 1).abs().detach()), 1e-5)
    rows += compare(
        "loss, forward and backward",
        {"reference": lambda: trained(loss_by_loops), "rsn": lambda: trained(PoseLoss())},
        unit="32 crops",
        options=options,
        targets={"rsn": 5},
        differences={"rsn": difference},
    )
    write(rows, options.output)


if __name__ == "__main__":
    main()
