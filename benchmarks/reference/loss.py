"""The loss as in the reference: one module per kind of term, which loops over the samples of a batch."""

from collections.abc import Sequence

from torch import Tensor, nn

HARD_KEYPOINTS = 8


class SampleLoss(nn.Module):
    """Mean squared error of a batch's maps (N, K, h, w), averaged over a loop over its samples."""

    def __init__(self, *, ohkm_topk: bool) -> None:
        super().__init__()
        self.ohkm_topk = ohkm_topk
        self.errors = nn.MSELoss(reduction="none" if ohkm_topk else "mean")

    def forward(self, maps: Tensor, targets: Tensor, visibility: Tensor) -> Tensor:
        total = maps.new_zeros(())
        for sample in range(len(maps)):
            # For each such index, autograd allocates a gradient of the whole batch.
            prediction, target, visible = maps[sample], targets[sample], visibility[sample]
            if self.ohkm_topk:
                errors = self.errors(prediction, target).mean(dim=(1, 2)) * (visible > 0).float()
                total = total + errors.topk(HARD_KEYPOINTS).values.mean()
            else:
                drawn = (visible > 1).float()
                total = total + self.errors(prediction, target * drawn[:, None, None])
        return total / len(maps)


def loss(predictions: Sequence[Sequence[Tensor]], targets: Tensor, visibility: Tensor) -> Tensor:
    """Stages of levels (N, K, h, w), targets (N, 5, K, h, w), visibility (N, K) -> the sum of all terms."""
    plain, hard = SampleLoss(ohkm_topk=False), SampleLoss(ohkm_topk=True)
    total = targets.new_zeros(())
    for stage, levels in enumerate(predictions):
        first = int(stage == len(predictions) - 1)
        for level, maps in enumerate(levels):
            target = targets[:, first + level]
            if level < len(levels) - 1:
                total = total + plain(maps, target, visibility) / 4
            else:
                total = total + hard(maps, target, visibility)
    return total
