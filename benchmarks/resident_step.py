"""Time a training step with images on the device: crop, color, normalize, targets, network, loss, backward, Adam.

    python benchmarks/resident_step.py --device cuda --batch 256
    python benchmarks/resident_step.py --batch 4 --steps 1 --size 128 --images 8 --variants plain plain-bf16  # CPU

Eager and captured steps, in float32 and bfloat16, in turns. Also prints how many augmentations per second one process
draws, and the hours that the reference's schedule (96,000 steps of 256 crops) would take at each rate.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from torch.utils.data import default_collate

from rsn.data.annotations import ImageFile, PersonAnnotation, PoseDataset
from rsn.data.augment import Augmentation
from rsn.data.device_images import DeviceImages
from rsn.data.loading import Batch, CropDataset, SampleIndex
from rsn.io.images import write_image
from rsn.skeletons import COCO_17
from rsn.training.losses import PoseLoss
from rsn.training.module import Task, TrainingModule, ValidationResult
from rsn.training.optimization import build_optimizer
from rsn.training.recipe import ComputeConfig, DatasetConfig, OptimizationConfig, Recipe
from rsn.training.run import encode_keypoints
from rsn.training.steps import Step
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model

CROPS = 96_000 * 256  # of the reference's schedule
COLOR = Augmentation(color_jitter=0.2)
VARIANTS: dict[str, tuple[torch.dtype, Step]] = {
    "plain": (torch.float32, "eager"),
    "plain-bf16": (torch.bfloat16, "eager"),
    "captured": (torch.float32, "captured"),  # on a GPU
    "captured-bf16": (torch.bfloat16, "captured"),
}


def main() -> None:
    """Print the milliseconds per step and the time of the whole schedule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="crops")
    parser.add_argument("--steps", type=int, default=10, help="measured steps of each variant")
    parser.add_argument("--size", type=int, default=256, help="height of the crops, in pixels")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS)[:2])
    options = parser.parse_args()
    device = torch.device(options.device)
    metadata = ModelMetadata("rsn18", input_size=(options.size, options.size * 3 // 4))
    with TemporaryDirectory() as folder:
        people = drawn_people(Path(folder), options.images)
        images = DeviceImages([person.image.path for person in people.people], device)
    plans = CropDataset(people, metadata.input_size, COLOR, images.indices)
    begun = perf_counter()
    batch = default_collate([plans[SampleIndex(0, number % len(people))] for number in range(options.batch)])
    rate = options.batch / (perf_counter() - begun)
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    variants = {name: step_of(metadata, people, images, batch, *VARIANTS[name]) for name in options.variants}
    times = in_turns(variants, options.steps, device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{where}, batches of {options.batch}, crops of {metadata.input_size}")
    first = median(times[options.variants[0]])
    for name, seconds in times.items():
        step = median(seconds)
        hours = step / options.batch * CROPS / 3600
        print(f"{name:20} {1e3 * step:9.1f} ms a step, {first / step:5.2f} x, {hours:8.2f} h for the schedule")
    print(f"augmentations drawn by one process: {rate:.0f}/s; a schedule of one hour needs {CROPS / 3600:.0f}/s")
    if device.type == "cuda":
        print(f"peak memory: {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB")


def drawn_people(folder: Path, count: int) -> PoseDataset:
    """Return one person with random keypoints in each of a number of images of soft noise."""
    random = np.random.default_rng(0)
    people = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        write_image(path, np.kron(random.integers(0, 256, (60, 80, 3)), np.ones((8, 8, 1))).astype(np.uint8))
        keypoints = random.uniform((150, 60), (350, 420), (len(COCO_17), 2)).astype(np.float32)
        box = np.array([140.0, 50.0, 220.0, 380.0])
        people.append(PersonAnnotation(ImageFile(number, path), box, keypoints, np.full(len(COCO_17), 2)))
    return PoseDataset(COCO_17, tuple(people))


def step_of(
    metadata: ModelMetadata,
    people: PoseDataset,
    images: DeviceImages,
    batch: Batch,
    dtype: torch.dtype,
    variant: Step,
) -> Callable[[], None]:
    """Return a step of `rsn train`, without Lightning."""
    nowhere = DatasetConfig(Path(), Path())
    compute = ComputeConfig(cache_images="device", step=variant)
    recipe = Recipe((nowhere,), nowhere, Path(), input_size=metadata.input_size, compute=compute)
    network = create_model("rsn18").train()
    task = Task(
        network, metadata, dataset=lambda numbers: CropDataset(people, metadata.input_size, COLOR, numbers),
        encode=partial(encode_keypoints, metadata.codec), loss=PoseLoss(),
        crop=DeviceImages.crop, validate=lambda network, metadata, device: ValidationResult({}, "", {}),
    )  # fmt: skip
    module = TrainingModule(task, recipe, images)
    module.to(images.pixels.device)
    optimizer = build_optimizer(network, OptimizationConfig())

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(images.pixels.device.type, dtype, enabled=dtype != torch.float32):
            loss = module.compute_loss(*module.prepare(batch))
        loss.backward()
        optimizer.step()

    return step


def in_turns(variants: dict[str, Callable[[], None]], steps: int, device: torch.device) -> dict[str, list[float]]:
    """Return the seconds of every step of each variant; the first two, which record the graph, are not counted."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(steps + 2):
        for name, step in variants.items():
            begun = perf_counter()
            step()
            wait()
            times[name].append(perf_counter() - begun)
    return {name: seconds[2:] for name, seconds in times.items()}


if __name__ == "__main__":
    main()
