"""CVAT's XML 1.1, for images and for video. CVAT's COCO export is read as any other COCO file."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as Xml
from xml.etree.ElementTree import Element

from rsn.data.formats import labels as form
from rsn.data.formats.labels import (
    ABSENT,
    PERSON,
    Box,
    BoxMark,
    LabeledImage,
    LabeledPerson,
    Labels,
    Point,
    PointMark,
    Source,
)
from rsn.data.values import image_size
from rsn.errors import AnnotationError
from rsn.io.files import atomic_write

_SHAPES = ("skeleton", "points", "box", "polygon", "polyline", "ellipse", "cuboid", "mask")
_AUTO = "auto"  # the source of a shape that a model made and no person changed


def find_cvat(source: Source) -> list[Path]:
    """The XML files with the root element <annotations>."""
    return [path for path in source.of(".xml") if _root_tag(path) == "annotations"]


def _root_tag(path: Path) -> str:
    try:
        return str(next(Xml.iterparse(path, events=("start",)))[1].tag)
    except (Xml.ParseError, StopIteration, LookupError, ValueError):  # the last two: an unknown encoding
        return ""


@dataclass
class _Frame:
    """The shapes of an image."""

    skeletons: list[tuple[LabeledPerson, str | None]] = field(default_factory=list)  # with their groups
    points: list[PointMark] = field(default_factory=list)
    boxes: list[BoxMark] = field(default_factory=list)


def read_cvat(source: Source, files: list[Path]) -> Labels:
    """Read skeletons, and single points as keypoints, of images and tracks.

    `outside` is absent, `occluded` is visibility 1. Frames that CVAT interpolated between key frames are read, as CVAT
    exports them to other formats; shapes that only a model made (source="auto") are not. A box belongs to the skeleton
    of the same group; without groups each skeleton gets the smallest box around it. Frames of a video are frame_000000,
    frame_000001, ... as in CVAT.

    Raises:
        AnnotationError: XML that is cut off, or skeletons with different keypoints.
    """
    labels = Labels(str(source.path), source.folder)
    names: dict[str, list[str]] = {}  # of the keypoints of each skeleton label
    for path in files:
        with form.reading(str(path), "CVAT's XML 1.1"):
            try:
                root = Xml.parse(path).getroot()
            except (Xml.ParseError, LookupError) as error:  # LookupError: an unknown encoding
                raise ValueError(f"{error}; is the file cut off?") from error
            _read_skeletons(root, names, labels)
            for image in root.iter("image"):
                frame = _Frame()
                for shape in image:
                    _add_shape(shape, frame, shape.get("group_id"), labels)
                size = image_size(dict(image.attrib))
                labels.images.append(LabeledImage(image.attrib["name"], _people(image.attrib["name"], frame), size))
            labels.images += _video(root, labels)
    used = [names[category] for category in labels.categories() if category in names]
    if any(sorted(one) != sorted(used[0]) for one in used):
        raise AnnotationError(f"{source.path}: has skeletons with different keypoints; export a task with one of them")
    labels.keypoint_names = form.order_names([*used[:1], *(person.points for person in labels.people())])
    labels.limbs = [limb for limb in dict.fromkeys(labels.limbs) if set(limb) <= set(labels.keypoint_names)]
    return labels


def _read_skeletons(root: Element, names: dict[str, list[str]], labels: Labels) -> None:
    """Read the keypoint names of each skeleton label, and its limbs from its drawing, in <meta>."""
    for label in root.iter("label"):
        parent, name = label.findtext("parent"), label.findtext("name") or ""
        if parent and name not in names.setdefault(parent, []):
            names[parent].append(name)
        drawing = {"circle": [], "line": []}  # type: dict[str, list[dict[str, str]]]
        for tag, attributes in re.findall(r"<(circle|line)\b([^>]*)>", label.findtext("svg") or ""):
            drawing[tag].append(dict(re.findall(r'data-([\w-]+)="([^"]*)"', attributes)))
        nodes = {node.get("node-id"): node.get("label-name") for node in drawing["circle"]}
        for edge in drawing["line"]:
            a, b = nodes.get(edge.get("node-from")), nodes.get(edge.get("node-to"))
            if a and b:
                labels.limbs.append((a, b))


def _add_shape(shape: Element, frame: _Frame, group: str | None, labels: Labels) -> None:
    """Add a shape to its image, if a person labeled it and it can be part of a pose."""
    category = shape.get("label") or PERSON
    if shape.tag not in _SHAPES or shape.get("outside") == "1":
        return
    if shape.get("source") == _AUTO:
        labels.notes["shapes of a model without correction (source auto), skipped"] += 1
    elif shape.tag == "skeleton":
        elements = list(shape.iter("points"))
        points = {element.attrib["label"]: _points(element)[0] for element in elements}
        if len(points) < len(elements):
            raise ValueError("a skeleton has a keypoint more than once")
        if any(point[2] for point in points.values()):
            track = shape.get("track_id", "")
            extra = {"track_id": int(track)} if track.isdecimal() else {}
            frame.skeletons.append((LabeledPerson(points, category=category, extra=extra), group))
    elif shape.tag == "points":
        spots = _points(shape)
        for number, (x, y, visibility) in enumerate(spots, 1):  # several in one shape are one person
            name = category if len(spots) == 1 else f"keypoint_{number}"
            frame.points.append(PointMark(name, x, y, visibility, group or (id(shape) if len(spots) > 1 else None)))
    elif shape.tag == "box":
        frame.boxes.append(BoxMark(_box(shape), category, group))
    else:
        labels.notes["shapes that are neither skeletons nor points nor boxes, skipped"] += 1


def _box(shape: Element) -> Box:
    """A box; of one that is rotated around its center, the box around it."""
    x1, y1, x2, y2 = (float(shape.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(float(shape.get("rotation", 0)))
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    width, height = (x2 - x1) * cosine + (y2 - y1) * sine, (x2 - x1) * sine + (y2 - y1) * cosine
    return ((x1 + x2 - width) / 2, (y1 + y2 - height) / 2, width, height)


def _points(element: Element) -> list[Point]:
    visibility = 0 if element.get("outside") == "1" else 1 if element.get("occluded") == "1" else 2
    pairs = [pair.split(",") for pair in element.attrib["points"].split(";")]
    return [(float(x), float(y), visibility) for x, y in pairs]


def _people(where: str, frame: _Frame) -> list[LabeledPerson]:
    """The people of an image: skeletons with their boxes, then those that single points form."""
    for person, group in frame.skeletons:
        own = [box for box in frame.boxes if group and box.group == group]
        free = [box for box in frame.boxes if not (group and box.group) and person.is_in(box.box)]
        nearest = min(own or free, key=lambda box: box.box[2] * box.box[3], default=None)
        if nearest is not None:
            person.box = nearest.box
            frame.boxes.remove(nearest)
    return [person for person, _ in frame.skeletons] + form.assemble_people(where, frame.points, frame.boxes)


def _video(root: Element, labels: Labels) -> Iterator[LabeledImage]:
    """The frames of a video task, also those without people."""
    tracks = list(root.iter("track"))
    if root.find("image") is not None or (not tracks and root.findtext("meta//mode") != "interpolation"):
        return
    if len({track.get("task_id") for track in tracks}) > 1:
        raise ValueError("it holds the videos of several tasks, whose frames have the same numbers; export one by one")
    start, stop, count = (root.findtext(f"meta//{key}") for key in ("start_frame", "stop_frame", "size"))
    step = re.search(r"step=(\d+)", root.findtext("meta//frame_filter") or "")
    numbers = (
        range(int(start), int(stop) + 1, int(step[1]) if step else 1) if start and stop else range(int(count or 0))
    )
    frames = defaultdict(_Frame, {number: _Frame() for number in numbers})
    for track in tracks:
        for shape in track:
            if shape.tag in _SHAPES:
                shape.attrib = {
                    "label": track.get("label", PERSON),
                    "source": track.get("source", ""),
                    "track_id": track.get("id", ""),
                } | shape.attrib
                _add_shape(shape, frames[int(shape.attrib["frame"])], track.get("group_id"), labels)
    size = image_size({side: root.findtext(f".//original_size/{side}") for side in ("width", "height")})
    for number in sorted(frames):
        yield LabeledImage(f"frame_{number:06d}", _people(f"frame {number}", frames[number]), size)


def write_cvat(labels: Labels, output: Path) -> None:
    """Write an XML 1.1 file for images: a skeleton per person, for a task with the same labels and keypoints.

    Absent keypoints are `outside`, visibility 1 is `occluded`. Boxes are not written, since CVAT's skeletons have none.
    """
    root = Xml.Element("annotations")
    Xml.SubElement(root, "version").text = "1.1"
    listed = Xml.SubElement(Xml.SubElement(Xml.SubElement(root, "meta"), "task"), "labels")
    for category in labels.categories():
        _add_label(listed, name=category, type="skeleton", svg=_svg(labels))
        for name in labels.keypoint_names:
            _add_label(listed, name=name, type="points", parent=category)
    for number, image in enumerate(labels.images):
        width, height = image.size or (0, 0)
        attributes = {"id": str(number), "name": image.name, "width": f"{width:g}", "height": f"{height:g}"}
        element = Xml.SubElement(root, "image", attributes)
        for person in image.people:
            skeleton = Xml.SubElement(element, "skeleton", label=person.category, source="file", z_order="0")
            for name in labels.keypoint_names:
                x, y, seen = person.points.get(name, ABSENT)
                spot = {"label": name, "source": "file", "points": f"{x:.3f},{y:.3f}"}
                flags = {"outside": str(int(seen <= 0)), "occluded": str(int(seen == 1))}
                Xml.SubElement(skeleton, "points", spot | flags)
    Xml.indent(root)
    atomic_write(output, Xml.tostring(root, encoding="utf-8", xml_declaration=True))


def _add_label(labels: Element, **texts: str) -> None:
    label = Xml.SubElement(labels, "label")
    for tag, text in texts.items():
        Xml.SubElement(label, tag).text = text


def _svg(labels: Labels) -> str:
    """The drawing of a skeleton, in which CVAT stores its limbs; the positions of the nodes have no meaning here."""
    numbers = {name: number for number, name in enumerate(labels.keypoint_names, 1)}
    edges = [
        f'<line data-type="edge" data-node-from="{numbers[a]}" data-node-to="{numbers[b]}"></line>'
        for a, b in labels.limbs
    ]
    nodes = [
        f'<circle data-type="element node" data-node-id="{number}" data-label-name="{name}"></circle>'
        for name, number in numbers.items()
    ]
    return "".join(edges + nodes)
