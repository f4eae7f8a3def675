"""Open a detector by its name or file."""

from os.path import isdir, isfile
from pathlib import Path

from rsn.detection.postprocessing import BOX_THRESHOLD, Detector
from rsn.detection.starter import STARTER_WEIGHTS, STARTERS, StarterDetector
from rsn.errors import UnknownNameError, WeightsError, check_threshold
from rsn.weights.metadata import DetectorMetadata
from rsn.weights.sources import load_metadata

# Short names of models on the Hugging Face hub, both Apache-2.0 and trained on COCO.
PUBLISHED = {
    "rtdetr": "PekingU/rtdetr_v2_r50vd",
    "dfine": "ustc-community/dfine-small-coco",
}

FILES = (".onnx", ".safetensors")


def open_detector(
    source: str | Path, *, backend: str = "auto", device: str = "auto", box_threshold: float | None = None
) -> Detector:
    """A people detector, ready to be called.

    Args:
        source: `starter` or `starter-best`, included in the package; `rtdetr` or `dfine`, or another model of these
            families as OWNER/NAME on the Hugging Face hub (downloaded once by transformers) or in a folder; an ONNX
            file of the YOLOX, RTMDet or RT-DETR families; or weights of a detector trained by rsn (.safetensors).
        backend: what runs a detector trained by rsn, as `PoseEstimator` takes it; the others have their own library.
        device: a PyTorch device; "auto" is CUDA if available, else MPS, else the CPU.
        box_threshold: boxes with lower scores are left out; `default_box_threshold` by default.

    Raises:
        RsnError: a threshold outside [0, 1]. UnknownNameError: neither a name nor a file.
        WeightsError: a model that cannot be downloaded or read, or of another kind. DeviceError: the device is not
            available. MissingDependencyError: a library is not installed.
    """
    if box_threshold is not None:
        check_threshold("box_threshold", box_threshold)
    name, path = str(source), Path(source)
    if _is_rsn_detector(source):
        return StarterDetector.from_weights(
            _weights(source),
            backend=backend,
            device=device,
            settings=STARTERS.get(name),
            box_threshold=box_threshold,
        )
    default = BOX_THRESHOLD if box_threshold is None else box_threshold
    if path.suffix == ".onnx" and isfile(path):
        from rsn.detection.onnx_file import OnnxDetector

        return OnnxDetector(path, device=device, box_threshold=default)
    if name in PUBLISHED or isdir(path) or _may_be_on_hub(name):
        from rsn.detection.detr import DetrDetector

        return DetrDetector(PUBLISHED.get(name, name), device=device, box_threshold=default)
    if path.suffix or path.is_absolute():
        raise WeightsError(f"{path}: there is no such detector; give an ONNX or .safetensors file, or a folder")
    raise UnknownNameError("detector", name, [*STARTERS, *PUBLISHED])


def default_box_threshold(source: str | Path) -> float:
    """The score below which boxes of a detector are left out by default."""
    if not _is_rsn_detector(source):
        return BOX_THRESHOLD
    if settings := STARTERS.get(str(source)):
        return settings.box_threshold
    metadata = load_metadata(_weights(source))
    return metadata.detector.box_threshold if isinstance(metadata, DetectorMetadata) else BOX_THRESHOLD


def _is_rsn_detector(source: str | Path) -> bool:
    return str(source) in STARTERS or (Path(source).suffix == ".safetensors" and isfile(source))


def _weights(source: str | Path) -> str | Path:
    """The weights of a detector trained by rsn."""
    return STARTER_WEIGHTS if str(source) in STARTERS else source


def _may_be_on_hub(name: str) -> bool:
    """Whether a name has the form OWNER/NAME, and not that of a path or a file."""
    owner, slash, model = name.partition("/")
    return bool(slash and owner.strip(".~") and model) and "/" not in model and not model.endswith(FILES)
