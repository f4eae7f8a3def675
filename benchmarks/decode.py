"""Decode the heatmaps of 32 crops: batched, against a loop over crops and keypoints with OpenCV's blur.

python benchmarks/decode.py --output benchmarks/speed/decode.csv
"""

import torch

from reference.codec import decode as decode_by_loops
from rsn.codecs import MegviiCodec
from side_by_side import arguments, check, compare, write

CROPS, KEYPOINTS, SIZE = 32, 17, (256, 192)


def main() -> None:
    """Compare both on targets with noise."""
    options = arguments(__doc__, repeats=30).parse_args()
    torch.manual_seed(0)
    keypoints = torch.rand(CROPS, KEYPOINTS, 2) * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])
    maps = MegviiCodec(kernel_sizes=(9,)).encode(keypoints, torch.full((CROPS, KEYPOINTS), 2), SIZE)[:, 0]
    maps += 5 * torch.randn_like(maps)
    there, numbers = maps.to(options.device), maps.numpy()
    found, scores = (answer.cpu() for answer in MegviiCodec().decode(there))
    expected, expected_scores = map(torch.from_numpy, decode_by_loops(numbers))
    check(float((scores - expected_scores).abs().max()), 1e-5)
    difference = check(float((found - expected).abs().max()), 1e-3)
    variants = {
        "reference": lambda: decode_by_loops(numbers),
        "rsn": lambda: MegviiCodec().decode(there),
    }
    rows = compare(
        "decode",
        variants,
        unit="32 crops",
        options=options,
        targets={"rsn": 20},
        differences={"rsn": difference},
    )
    write(rows, options.output)


if __name__ == "__main__":
    main()
