"""MPII's train and valid lists as JSON; the official release (.mat) is read by `rsn.data.mpii`."""

from pathlib import Path

from rsn.data.formats.labels import LabeledImage, LabeledPerson, Labels, Source, reading
from rsn.data.mpii import NO_CENTER, from_mpii, square_box
from rsn.skeletons import MPII_16


def find_mpii(source: Source) -> list[Path]:
    """The JSON files that list people with image, center and scale."""
    return source.json_lists("image", "center", "scale")


def read_mpii_list(source: Source, files: list[Path]) -> Labels:
    """Read people; pixels, which MPII counts from 1, are counted from 0. Marked keypoints are visible.

    The box is the square of MPII's center and scale; people without these get one around their keypoints.
    """
    names = list(MPII_16.keypoint_names)
    labels = Labels(str(source.path), source.folder, names, limbs=[(names[a], names[b]) for a, b in MPII_16.limbs])
    images: dict[str, LabeledImage] = {}
    for path in files:
        for number, entry in enumerate(source.json(path), 1):
            with reading(f"{path}: person {number}", "an entry of MPII's lists"):
                points = from_mpii(entry.get("joints", [[0, 0]] * len(names))).tolist()
                marked = zip(names, points, entry.get("joints_vis", [0] * len(names)), strict=True)
                person = LabeledPerson({name: (x, y, 2) for name, (x, y), seen in marked if seen > 0})
                if entry["center"][0] != NO_CENTER:
                    x, y, width, height = square_box(entry["center"], float(entry["scale"])).tolist()
                    person.box = (x, y, width, height)
                images.setdefault(str(entry["image"]), LabeledImage(str(entry["image"]))).people.append(person)
    labels.images = list(images.values())
    return labels
