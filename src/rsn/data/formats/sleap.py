"""SLEAP: .slp and .pkg.slp, read with sleap-io (an optional library)."""

from os.path import commonpath
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rsn.data.formats.labels import LabeledImage, LabeledPerson, Labels, Source
from rsn.errors import AnnotationError
from rsn.extras import require
from rsn.io.files import make_folder
from rsn.io.images import write_image


def find_sleap(source: Source) -> list[Path]:
    """The .slp files; of a folder those at the highest level, since SLEAP stores copies with its models."""
    files = source.of(".slp")
    level = min((len(path.parts) for path in files), default=0)
    return [path for path in files if len(path.parts) == level]


def read_sleap(source: Source, files: list[Path]) -> Labels:
    """Read what people labeled; frames with nothing but predictions are skipped and counted.

    Images keep their names. Frames of a video are named VIDEO/000012.png; if they are inside a .pkg.slp file, or the
    video can be read, those missing in the folder of `--images` are written there.

    Raises:
        AnnotationError: a damaged file, or skeletons with different keypoints.
        MissingDependencyError: sleap-io is not installed.
    """
    require("sleap_io", extra="labels", feature="reading .slp files of SLEAP")
    import sleap_io

    labels = Labels(str(source.path), source.folder)
    frames: list[Any] = []
    for path in files:
        try:
            labeled = list(sleap_io.load_slp(str(path), open_videos=False).labeled_frames)
        except Exception as error:  # sleap-io and HDF5 raise many errors for damaged files
            raise AnnotationError(f"{path}: not a SLEAP file, or cut off ({error}); save it again") from error
        frames += [frame for frame in labeled if frame.user_instances or not frame.instances or _is_negative(frame)]
        labels.notes["frames with predictions only, skipped"] += len(labeled)
    labels.notes["frames with predictions only, skipped"] -= len(frames)
    folders = _video_folders(frames)
    names = [_stored_image(frame) or f"{folders[id(frame.video)]}/{frame.frame_idx:06d}.png" for frame in frames]
    # Image files with absolute paths are named from the folder that they share.
    absolute = names and all(PurePosixPath(name).is_absolute() for name in names)
    root = commonpath([str(PurePosixPath(name).parent) for name in names]) if absolute else ""
    labels.folder = Path(root) if root and Path(root).is_dir() else source.folder
    tracks: dict[int, int] = {}
    for frame, name in zip(frames, names, strict=True):
        for instance in frame.user_instances:
            _take_skeleton(instance.skeleton, labels)
        people = [_person(instance, tracks) for instance in frame.user_instances]
        people = [person for person in people if person.points]
        size = frame.video.shape[2:0:-1] if frame.video.shape else None
        labels.images.append(LabeledImage(str(PurePosixPath(name).relative_to(root)), people, size))
        if source.images and _stored_image(frame) is None:
            _extract(frame, source.images / labels.images[-1].name)
    return labels


def _take_skeleton(skeleton: Any, labels: Labels) -> None:
    names = list(skeleton.node_names)
    if labels.keypoint_names not in ([], names):
        raise AnnotationError(f"{labels.where}: has skeletons with different keypoints; save each in its own file")
    labels.keypoint_names = names
    labels.limbs = [(names[a], names[b]) for a, b in skeleton.edge_inds]
    other = {a: b for pair in skeleton.symmetry_inds for a, b in (pair, pair[::-1])}
    labels.flip_idx = [other.get(index, index) for index in range(len(names))] if other else None


def _is_negative(frame: Any) -> bool:
    """Whether a person marked that a frame shows no person, which SLEAP knows since 1.5."""
    return bool(getattr(frame, "is_negative", False))


def _person(instance: Any, tracks: dict[int, int]) -> LabeledPerson:
    """A person; points that are not visible have no meaning in SLEAP, so they are absent. tracks: by id, numbered."""
    marked = zip(instance.skeleton.node_names, instance.points["xy"], instance.points["visible"], strict=True)
    points = {name: (float(x), float(y), 2) for name, (x, y), seen in marked if seen and np.isfinite([x, y]).all()}
    if instance.track is None:
        return LabeledPerson(points)
    return LabeledPerson(points, extra={"track_id": tracks.setdefault(id(instance.track), len(tracks))})


def _stored_image(frame: Any) -> str | None:
    """The image file of a frame; None for a frame of a video."""
    videos = [video for video in (frame.video, frame.video.source_video) if video is not None]
    files = next((video.filename for video in videos if isinstance(video.filename, list)), None)
    return str(files[frame.frame_idx]).replace("\\", "/") if files else None


def _video_folders(frames: list[Any]) -> dict[int, str]:
    """For the id of each video a folder of its frames: its name, after that of its folder if names repeat."""
    videos = {id(frame.video): frame.video.source_video or frame.video for frame in frames}
    paths = {key: PurePosixPath(str(video.filename).replace("\\", "/")) for key, video in videos.items()}
    folders = {}
    for key, video in videos.items():
        dataset = str((video.backend_metadata or {}).get("dataset") or "").partition("/")[0]
        name = PurePosixPath(paths[key].name.removesuffix(".slp")).stem
        repeats = len({path for path in paths.values() if path.name == paths[key].name}) > 1
        folders[key] = "_".join(filter(None, (paths[key].parent.name if repeats else "", name, dataset)))
    return folders


def _extract(frame: Any, path: Path) -> None:
    """Write the image of a frame, unless it exists or cannot be read; it is then reported as missing."""
    if path.exists():
        return
    try:
        frame.video.open()
        pixels = np.asarray(frame.image, np.uint8)
    except Exception:  # backends for videos raise many errors
        return
    make_folder(path.parent)
    write_image(path, np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
