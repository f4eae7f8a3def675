"""Steps that are captured and replayed equal eager ones, and never wait for the device."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import default_collate

from rsn.codecs import BoxCodec, MegviiCodec
from rsn.data.augment import Augmentation
from rsn.data.coco import read_coco
from rsn.data.detection import DetectionAugmentation, DetectionCropDataset, DetectionSample, collate
from rsn.data.device_images import DeviceImages, warp_quadrants
from rsn.data.loading import CropDataset, SampleIndex
from rsn.errors import RecipeError
from rsn.training.detection import DetectionDatasetConfig, DetectorRecipe, encode_boxes
from rsn.training.detection_loss import BoxLoss
from rsn.training.losses import PoseLoss
from rsn.training.module import Task, TrainingModule, ValidationResult
from rsn.training.recipe import ComputeConfig, DatasetConfig, Recipe, read_recipe
from rsn.training.run import encode_keypoints, train
from rsn.training.steps import Step
from rsn.weights.metadata import ModelMetadata, WeightsMetadata
from small_network import small_network

SIZE = (64, 64)
SOURCE = DatasetConfig(Path(), Path())
METADATA = ModelMetadata("mspn50", input_size=SIZE)
Loss = Callable[[int], tuple[Tensor, torch.nn.Module]]  # of the n-th batch, and the network that made it


@pytest.fixture(params=["poses", "boxes"])
def step_of(request: pytest.FixtureRequest, people_json: Path) -> Callable[[Step, str], Loss]:
    """Makes the function from cached images to the loss, for a step mode and a device."""
    people = read_coco(people_json, people_json.parent / "images")
    paths = list({person.image.path: None for person in people.people})

    def poses(step: Step, device: str) -> Loss:
        stored_images = DeviceImages(paths, torch.device(device))
        plans = CropDataset(people, SIZE, Augmentation(color_jitter=0.2), stored_images.indices)
        recipe = Recipe((SOURCE,), SOURCE, Path(), input_size=SIZE, compute=ComputeConfig(step=step))
        encode = partial(encode_keypoints, MegviiCodec())
        module = TrainingModule(
            Task(network(17), METADATA, lambda numbers: plans, encode, PoseLoss(), DeviceImages.crop, unused),
            recipe,
            stored_images,
        ).to(device)

        def loss(number: int) -> tuple[Tensor, torch.nn.Module]:
            batch = default_collate([plans[SampleIndex(number, person)] for person in range(4)])
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            return module.compute_loss(*module.prepare(batch)), module.network

        return loss

    def boxes(step: Step, device: str) -> Loss:
        stored_images = DeviceImages(paths, torch.device(device), levels=4)
        box = np.array([[20.0, 20.0, 80.0, 120.0]])
        images = [
            DetectionSample(path, (240, 320), box, np.zeros((0, 4)), complete=True, unlabeled=1.0) for path in paths
        ]
        plans = DetectionCropDataset(images, SIZE, DetectionAugmentation(mosaic_probability=0.5), stored_images.indices)
        recipe = DetectorRecipe(
            (DetectionDatasetConfig(Path(), Path()),), SOURCE, Path(), input_size=SIZE, compute=ComputeConfig(step=step)
        )
        maps = network(BoxCodec().num_maps())
        module = TrainingModule(
            Task(maps, METADATA, lambda numbers: plans, encode_boxes, BoxLoss(), warp_quadrants, unused),
            recipe,
            stored_images,
        ).to(device)

        def loss(number: int) -> tuple[Tensor, torch.nn.Module]:
            batch = collate([plans[SampleIndex(number, image)] for image in range(len(images))])
            batch = {name: tensor.to(device) for name, tensor in batch.items()}  # type: ignore[attr-defined, assignment]
            return module.compute_loss(*module.prepare(batch)), module.network

        return loss

    made: Callable[[Step, str], Loss] = {"poses": poses, "boxes": boxes}[request.param]
    return made


def unused(network: torch.nn.Module, metadata: WeightsMetadata, device: str) -> ValidationResult:
    raise AssertionError("nothing is validated here")


def network(num_maps: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return small_network(num_maps).train()


def test_step_does_not_wait_for_the_device(step_of: Callable[[Step, str], Loss]) -> None:
    """Waiting would slow down every step on a GPU, and such a step cannot be captured."""
    loss = step_of("eager", "cpu")
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        value, _ = loss(0)
        value.backward()
    done = {event.key for event in seen.key_averages()}
    assert "aten::convolution_backward" in done
    assert not done & {"aten::_local_scalar_dense", "aten::nonzero"}


def test_train_rejects_captured_steps_without_a_gpu(recipe_file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file, (f"output={tmp_path / 'run'}", "compute.step=captured"))
    with pytest.raises(RecipeError, match=r"compute\.step: captured needs one CUDA GPU and one process"):
        train(recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:The AccumulateGrad node")
def test_captured_step_equals_the_eager_step(
    step_of: Callable[[Step, str], Loss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # random weights amplify rounding
    plain, captured = step_of("eager", "cuda"), step_of("captured", "cuda")
    for number in range(3):
        (loss, network), (again, other) = plain(number), captured(number)
        assert again.item() == pytest.approx(loss.item(), rel=1e-3)
        network.zero_grad()  # gradients of replays do not add up, see `ComputeConfig`
        other.zero_grad()
        loss.backward()
        again.backward()
        for ours, theirs in zip(other.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-2, atol=1e-2 * theirs.grad.abs().max().item())
        for ours, theirs in zip(other.buffers(), network.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
