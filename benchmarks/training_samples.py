"""Compare training samples (image, crop, input and targets) with the reference's loader, on one core.

    python benchmarks/training_samples.py --output benchmarks/speed/training_samples.csv

Both sides cut the same crops. The reference's loader returns floats and targets. Ours returns bytes and keypoints; the
batch is normalized and its targets are drawn on the device, which is counted here too, except for the image of 12
megapixels, where decoding the JPEG takes nearly all the time.
"""

import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from images import SIZE, boxes, write_images
from reference.samples import sample
from rsn.codecs import MegviiCodec
from rsn.data.annotations import ImageFile, PersonAnnotation, PoseDataset
from rsn.data.augment import Augmentation
from rsn.data.loading import CropDataset, SampleIndex
from rsn.io.images import read_image
from rsn.skeletons import COCO_17
from rsn.weights.metadata import ModelMetadata
from side_by_side import arguments, check, compare, write

BATCH = 32
LARGE = (3024, 4032)
GRAY_LEVELS = 2.0  # of 255, mean: both may downscale images differently


def main() -> None:
    """Compare on one core."""
    options = arguments(__doc__, repeats=5).parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    metadata = ModelMetadata("rsn18")
    with tempfile.TemporaryDirectory() as folder:
        people = labeled(write_images(Path(folder), BATCH))
        crops = CropDataset(people, metadata.input_size, Augmentation())
        draws = [SampleIndex(0, number) for number in range(BATCH)]

        drawn = [crops._augment(draw)[0] for draw in draws]  # the reference uses the same crops
        by_loops = partial(sample, flip=list(people.skeleton.flip_indices))

        def reference() -> list[tuple[Tensor, Tensor]]:
            return list(map(by_loops, people.people, drawn))

        def ours() -> tuple[Tensor, Tensor]:
            batch = torch.utils.data.default_collate([crops[draw] for draw in draws])
            targets = MegviiCodec().encode(batch["keypoints"], batch["visibility"], metadata.input_size)
            return metadata.normalize(batch["image"]), targets

        inputs, targets = ours()
        expected = reference()
        off = torch.stack([pixels.flip(0) for pixels, _ in expected]) - inputs
        difference = check(float(off.abs().mean()) * 255 * 0.225, GRAY_LEVELS)
        check(float((targets - torch.stack([maps for _, maps in expected])).abs().max()), 1e-3)
        rows = compare(
            "training samples, one core",
            {"reference": reference, "rsn": ours},
            unit="1 sample",
            count=BATCH,
            options=options,
            targets={"rsn": 3},
            differences={"rsn": difference},
        )
        path = people.people[0].image.path
        rows += compare(
            "stages of a training sample",
            {
                "reference": partial(by_loops, people.people[0], drawn[0]),
                "read": partial(read_image, path),
                "augment": partial(crops._augment, draws[0]),
                "crop": partial(drawn[0].crop.warp, read_image(path)),
            },
            unit="1 sample",
            options=options,
        )
        large = labeled(write_images(Path(folder) / "large", 1, LARGE, grain=12), LARGE)
        of_large = CropDataset(large, metadata.input_size, Augmentation())
        rows += compare(
            "training sample of 12 megapixels",
            {
                "reference": partial(by_loops, large.people[0], of_large._augment(SampleIndex(0, 0))[0]),
                "rsn": partial(of_large.__getitem__, SampleIndex(0, 0)),
            },
            unit="1 sample",
            options=options,
        )
    write(rows, options.output)


def labeled(images: list[Path], size: tuple[int, int] = SIZE) -> PoseDataset:
    """Return one person per image, with random keypoints in the box."""
    random = np.random.default_rng(0)
    box = np.array(boxes(2, size)[0])
    return PoseDataset(
        COCO_17,
        tuple(
            PersonAnnotation(
                ImageFile(number, image),
                box,
                (box[:2] + random.random((17, 2)) * box[2:]).astype(np.float32),
                random.integers(1, 3, 17),
            )
            for number, image in enumerate(images)
        ),
    )


if __name__ == "__main__":
    main()
