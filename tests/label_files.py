"""Small label files of many tools, written by hand as their documentation says, all of the same people.

Two people in sub/a.png (80 x 60 pixels), one in b.png (100 x 50), none in c.png (64 x 64).
"""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NAMES = ["nose", "left_wrist", "right_wrist"]
SIZES = {"sub/a.png": (80, 60), "b.png": (100, 50), "c.png": (64, 64)}
# x, y, visibility of each keypoint; box as x, y, width, height.
People = dict[str, list[tuple[list[tuple[float, float, int]], tuple[float, float, float, float]]]]
PEOPLE: People = {
    "sub/a.png": [
        ([(10.0, 12.5, 2), (4.0, 30.0, 1), (0.0, 0.0, 0)], (2.0, 6.0, 20.0, 40.0)),
        ([(60.0, 15.0, 2), (70.0, 33.0, 2), (52.0, 31.5, 2)], (48.0, 9.0, 28.0, 45.0)),
    ],
    "b.png": [([(50.0, 10.0, 2), (40.0, 25.0, 2), (60.0, 25.0, 1)], (35.0, 5.0, 30.0, 40.0))],
    "c.png": [],
}


def write_images(folder: Path) -> Path:
    """The three images, of random pixels."""
    random = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), random.integers(0, 256, (height, width, 3), np.uint8))
    return folder


def coco(folder: Path) -> Path:
    images = [
        {"id": index, "file_name": name, "width": size[0], "height": size[1]}
        for index, (name, size) in enumerate(SIZES.items(), 1)
    ]
    annotations = [
        {
            "id": 10 * index + number, "image_id": index, "category_id": 1, "iscrowd": 0, "bbox": list(box),
            "area": box[2] * box[3] / 2, "num_keypoints": sum(point[2] > 0 for point in points),
            "keypoints": [value for point in points for value in point],
        }
        for index, people in enumerate(PEOPLE.values(), 1)
        for number, (points, box) in enumerate(people)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}]
    return _json(folder / "coco.json", {"images": images, "annotations": annotations, "categories": categories})


def yolo(folder: Path, dims: int = 3, *, names: bool = True) -> Path:
    """The layout of Ultralytics: images/train and images/val beside labels/train and labels/val."""
    write_images(folder / "images/train")
    (folder / "images/val").mkdir(parents=True)
    (folder / "images/train/c.png").rename(folder / "images/val/c.png")
    for name, people in PEOPLE.items():
        split = "val" if name == "c.png" else "train"
        width, height = SIZES[name]
        lines = []
        for points, (x, y, w, h) in people:
            numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            for px, py, visibility in points:
                numbers += [px / width, py / height, visibility][:dims]
            lines.append("0 " + " ".join(f"{number:.8f}" for number in numbers))
        text = (folder / "labels" / split / name).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join(lines))
    config = f"train: images/train\nval: images/val\nkpt_shape: [3, {dims}]\nflip_idx: [0, 2, 1]\nnames:\n  0: person\n"
    config += "kpt_names:\n  0: [nose, left_wrist, right_wrist]\n" if names else ""
    (folder / "data.yaml").write_text(f"path: /somewhere/else\n{config}")
    return folder


def roboflow_coco(folder: Path) -> Path:
    """A folder per split, with the images beside _annotations.coco.json, and a first category without keypoints."""
    write_images(folder / "train")
    document = json.loads(coco(folder).read_text())
    (folder / "coco.json").unlink()
    document["categories"][0] |= {"supercategory": "people"}
    document["categories"].insert(0, {"id": 0, "name": "people", "supercategory": "none"})
    _json(folder / "train/_annotations.coco.json", document)
    return folder


def cvat_images(folder: Path) -> Path:
    """A skeleton per person, with a box in the same group."""
    images = ""
    for index, (name, people) in enumerate(PEOPLE.items()):
        shapes = ""
        for number, (points, (x, y, w, h)) in enumerate(people, 1):
            elements = "".join(
                f'<points label="{label}" source="manual" outside="{int(v == 0)}" occluded="{int(v == 1)}"'
                f' points="{px:.2f},{py:.2f}"></points>'
                for label, (px, py, v) in zip(NAMES, points, strict=True)
            )
            shapes += f'<skeleton label="person" source="manual" group_id="{number}" z_order="0">{elements}</skeleton>'
            shapes += (
                f'<box label="body" source="manual" occluded="0" group_id="{number}" xtl="{x}" ytl="{y}" xbr="{x + w}"'
                f' ybr="{y + h}" z_order="0"></box>'
            )
        width, height = SIZES[name]
        images += f'<image id="{index}" name="{name}" width="{width}" height="{height}">{shapes}</image>'
    path = folder / "annotations.xml"
    head = '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
    path.write_text(f"{head}{_CVAT_META}{images}</annotations>")
    return path


_CVAT_META = (
    "<meta><task><id>1</id><size>4</size><mode>annotation</mode><labels><label><name>person</name><type>skeleton</type>"
    '<svg>&lt;line data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;'
    '&lt;circle data-node-id="1" data-label-name="nose"&gt;&lt;/circle&gt;'
    '&lt;circle data-node-id="2" data-label-name="left_wrist"&gt;&lt;/circle&gt;</svg></label>'
    "<label><name>body</name><type>rectangle</type></label>"
    + "".join(f"<label><name>{name}</name><type>points</type><parent>person</parent></label>" for name in NAMES)
    + "</labels><original_size><width>80</width><height>60</height></original_size></task></meta>"
)


def cvat_video(folder: Path) -> Path:
    """One track over four frames of 80 x 60 pixels: key frame, interpolated, outside; nobody in frame 3."""
    spots = ((10.0, 12.5), (4.0, 30.0), (22.0, 30.0))

    def skeleton(frame: int, shift: float, outside: int, keyframe: int) -> str:
        points = "".join(
            f'<points label="{label}" keyframe="{keyframe}" outside="{outside}" occluded="{int(label == "left_wrist")}"'
            f' points="{x + shift:.2f},{y:.2f}"></points>'
            for label, (x, y) in zip(NAMES, spots, strict=True)
        )
        return f'<skeleton frame="{frame}" keyframe="{keyframe}" z_order="0">{points}</skeleton>'

    shapes = skeleton(0, 0, 0, 1) + skeleton(1, 1, 0, 0) + skeleton(2, 2, 1, 1)
    track = f'<track id="0" label="person" source="manual">{shapes}</track>'
    meta = _CVAT_META.replace("annotation</mode>", "interpolation</mode>")
    path = folder / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{meta}{track}</annotations>")
    return path


def labelme(folder: Path) -> Path:
    """One JSON file beside each image; points and rectangles with a group_id."""
    write_images(folder)
    for name, people in PEOPLE.items():
        shapes = []
        for group, (points, (x, y, w, h)) in enumerate(people):
            corners = [[x + w, y], [x, y + h]]
            rectangle = {"label": "person", "points": corners, "group_id": group, "shape_type": "rectangle"}
            shapes.append(rectangle | {"flags": {}})
            for label, (px, py, v) in zip(NAMES, points, strict=True):
                if v:
                    point = {"label": label, "points": [[px, py]], "group_id": group, "shape_type": "point"}
                    shapes.append(point | {"flags": {"occluded": v == 1}})
        width, height = SIZES[name]
        document = {
            "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": Path(name).name, "imageData": None,
            "imageHeight": height, "imageWidth": width,
        }  # fmt: skip
        _json((folder / name).with_suffix(".json"), document)
    return folder


def label_studio(folder: Path) -> Path:
    """Tasks of local files; a prediction and a cancelled annotation beside each annotation."""
    tasks = []
    for index, (name, people) in enumerate(PEOPLE.items(), 1):
        width, height = SIZES[name]
        common = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "img"}
        result: list[dict[str, Any]] = []
        for number, (points, (x, y, w, h)) in enumerate(people):
            value: dict[str, Any] = {
                "x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height,
                "rotation": 0, "rectanglelabels": ["person"],
            }  # fmt: skip
            result.append({"id": f"box{number}", "type": "rectanglelabels", "value": value} | common)
            for label, (px, py, v) in zip(NAMES, points, strict=True):
                if not v:
                    continue
                spot = {"x": 100 * px / width, "y": 100 * py / height, "width": 0.4}
                region = {"id": f"{label}{number}", "parentID": f"box{number}"} | common
                result.append(region | {"type": "keypointlabels", "value": spot | {"keypointlabels": [label]}})
                if v == 1:
                    result.append(region | {"type": "choices", "value": spot | {"choices": ["Occluded"]}})
        wrong = [entry | {"value": entry["value"] | {"x": 1.0}} for entry in result]
        tasks.append(
            {
                "id": index, "data": {"image": f"/data/local-files/?d=photos/{name}"},
                "annotations": [
                    {"id": index, "was_cancelled": False, "result": result, "updated_at": "2024-01-01T00:00:00Z"},
                    {"id": 99, "was_cancelled": True, "result": wrong, "updated_at": "2024-02-01T00:00:00Z"},
                ],
                "predictions": [{"result": wrong, "score": 0.9}],
            }
        )  # fmt: skip
    return _json(folder / "project-1.json", tasks)


def dlc(folder: Path, *, kind: str = "csv", several: bool = True) -> Path:
    """A project with one video; of single-animal projects only the first person of each image."""
    video = folder / "labeled-data/clip"
    write_images(video)
    (video / "sub/a.png").rename(video / "a.png")
    (folder / "config.yaml").write_text("Task: t\nscorer: me\n")
    heads = [["scorer"], ["individuals"], ["bodyparts"], ["coords"]]
    for individual in ("one", "two") if several else ("one",):
        for name in NAMES:
            for coordinate in "xy":
                for head, word in zip(heads, ("me", individual, name, coordinate), strict=True):
                    head.append(word)
    rows = []
    for name, people in PEOPLE.items():
        numbers: list[float | None] = []
        for index in range(2 if several else 1):
            points = people[index][0] if index < len(people) else [(0.0, 0.0, 0)] * 3
            for x, y, v in points:
                numbers += [x, y] if v else [None, None]
        rows.append((("labeled-data", "clip", Path(name).name), numbers))
    heads = heads if several else [heads[0], *heads[2:]]
    if kind == "csv":
        with open(video / "CollectedData_me.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([head[0], "", "", *head[1:]] for head in heads)
            writer.writerows([*image, *("" if one is None else one for one in numbers)] for image, numbers in rows)
    else:
        import pandas as pd

        columns = pd.MultiIndex.from_arrays([head[1:] for head in heads], names=[head[0] for head in heads])
        paths = ["\\".join(image) for image, _ in rows]
        index = paths if kind == "table" else pd.MultiIndex.from_tuples([image for image, _ in rows])
        frame = pd.DataFrame([numbers for _, numbers in rows], index=index, columns=columns, dtype=float)
        file_format = "table" if kind == "table" else "fixed"
        frame.to_hdf(video / "CollectedData_me.h5", key="df_with_missing", mode="w", format=file_format)
    return folder


def via(folder: Path, kind: str = "project") -> Path:
    """A project of VIA 2, its annotations as JSON, or as CSV."""
    images = {}
    for name, people in PEOPLE.items():
        regions = []
        for person, (points, (x, y, w, h)) in enumerate(people, 1):
            rectangle = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
            regions.append({"shape_attributes": rectangle, "region_attributes": {"person": str(person)}})
            for label, (px, py, v) in zip(NAMES, points, strict=True):
                if v:
                    attributes = {
                        "person": str(person),
                        "keypoint": label,
                        "visibility": "occluded" if v == 1 else "",
                    }
                    point = {"name": "point", "cx": px, "cy": py}
                    regions.append({"shape_attributes": point, "region_attributes": attributes})
        images[f"{name}123"] = {"filename": name, "size": 123, "regions": regions, "file_attributes": {}}
    if kind == "project":
        options = dict.fromkeys(NAMES, "")
        attributes = {"region": {"keypoint": {"type": "dropdown", "options": options}}, "file": {}}
        project = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": attributes}
        return _json(folder / "via.json", project)
    if kind == "json":
        return _json(folder / "via.json", images)
    columns = ("filename", "file_size", "file_attributes", "region_count", "region_id")
    with open(folder / "via.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "region_shape_attributes", "region_attributes"])
        for image in images.values():
            regions = image["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]  # type: ignore[assignment]
            for index, region in enumerate(regions):
                shapes = [json.dumps(region[key]) for key in ("shape_attributes", "region_attributes")]
                writer.writerow([image["filename"], 123, "{}", len(image["regions"]), index, *shapes])  # type: ignore[arg-type]
    return folder / "via.csv"


def _json(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
