"""Further forms in which tools write labels, after their documentation; all of the people of `label_files`."""

import base64
import json
from pathlib import Path
from typing import Any

import label_files
from label_files import NAMES, PEOPLE, SIZES, write_images


def via3_project(folder: Path) -> Path:
    """A project of VIA 3: the keypoint is an option of a list, the person a text, `occluded` a check box."""
    attributes = {
        "1": _attribute("keypoint", 4, {str(number): name for number, name in enumerate(NAMES)}),
        "2": _attribute("person", 1, {}),
        "3": _attribute("visibility", 2, {"0": "occluded"}),
    }
    files, views, marks = {}, {}, {}
    for number, (name, people) in enumerate(PEOPLE.items(), 1):
        files[str(number)] = {"fid": str(number), "fname": name, "type": 2, "loc": 1, "src": ""}
        views[str(number)] = {"fid_list": [str(number)]}
        for person, (points, box) in enumerate(people, 1):
            marks[f"{number}_box{person}"] = _mark(number, [2, *box], {"2": str(person)})
            for index, (x, y, seen) in enumerate(points):
                values = {"1": str(index), "2": str(person), "3": "0" if seen == 1 else ""}
                marks.update({f"{number}_{person}{index}": _mark(number, [1, x, y], values)} if seen else {})
    project = {"pid": "__VIA_PROJECT_ID__", "data_format_version": "3.1.1", "vid_list": list(views)}
    document = {"project": project, "config": {}, "attribute": attributes, "file": files}
    return _json(folder / "via_project.json", document | {"metadata": marks, "view": views})


def _attribute(name: str, kind: int, options: dict[str, str]) -> dict[str, Any]:
    return {
        "aname": name, "anchor_id": "FILE1_Z0_XY1", "type": kind, "desc": "", "options": options,
        "default_option_id": "",
    }  # fmt: skip


def _mark(view: int, spot: list[float], values: dict[str, str]) -> dict[str, Any]:
    return {"vid": str(view), "flg": 0, "z": [], "xy": spot, "av": values}


def via3_csv(folder: Path) -> Path:
    """The CSV of VIA 3, which has its attributes in a comment; images without marks are not in it."""
    project = json.loads(via3_project(folder / "project").read_text())
    lines = [
        "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        "# ATTRIBUTE = " + json.dumps(project["attribute"]),
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata",
    ]
    for key, mark in project["metadata"].items():
        parts = [[project["file"][mark["vid"]]["fname"]], mark["z"], mark["xy"], mark["av"]]
        name, *rest = ('"' + json.dumps(part).replace('"', '""') + '"' for part in parts)
        lines.append(",".join([f'"{key}"', name, "0", *rest]))
    (folder / "export.csv").write_text("\n".join(lines))
    return folder / "export.csv"


def via1_csv(folder: Path) -> Path:
    """The CSV of VIA 1, whose first column is #filename."""
    folder.mkdir()
    path = label_files.via(folder, "csv")
    path.write_text("#" + path.read_text())
    return path


def label_studio_min(folder: Path) -> Path:
    """JSON-MIN: an entry per annotation, with the values of each control; neither ids nor parents."""
    tasks = json.loads(label_files.label_studio(folder).read_text())
    (folder / "project-1.json").unlink()
    entries = []
    for task in tasks:
        annotation = task["annotations"][0]
        entry: dict[str, Any] = {"image": task["data"]["image"], "id": task["id"]}
        for result in annotation["result"]:
            if result["type"] != "choices":
                sides = {side: result[side] for side in ("original_width", "original_height")}
                entry.setdefault(result["type"].removesuffix("labels"), []).append(result["value"] | sides)
        entry |= {"annotator": 1, "annotation_id": annotation["id"], "created_at": "2024-01-01T00:00:00Z"}
        entries.append(entry | {"updated_at": annotation["updated_at"], "lead_time": 3.2})
    return _json(folder / "project-1-min.json", entries)


def label_studio_storage(folder: Path) -> Path:
    """A file per annotation with its task inside, as Label Studio writes into a storage."""
    tasks = json.loads(label_files.label_studio(folder).read_text())
    (folder / "project-1.json").unlink()
    for task in tasks:
        for annotation in task.pop("annotations"):
            _json(folder / f"{task['id']}_{annotation['id']}.json", annotation | {"task": task})
    return folder


def label_studio_labels_tag(folder: Path) -> Path:
    """The tags KeyPoint and Rectangle with Labels: a result for the region, one with the same id for its label."""
    path = label_files.label_studio(folder)
    tasks = json.loads(path.read_text())
    for annotation in (one for task in tasks for one in task["annotations"]):
        split = []
        for result in annotation["result"]:
            kind, value = result["type"], dict(result["value"])
            if kind == "choices":
                split.append(result)
                continue
            label = value.pop(kind)
            split.append(result | {"type": kind.removesuffix("labels"), "value": value})
            split.append(result | {"type": "labels", "value": value | {"labels": label}})
        annotation["result"] = split
    return _json(path, tasks)


def label_studio_uploads(folder: Path) -> Path:
    """Uploaded files, whose names have 8 characters in front."""
    path = label_files.label_studio(folder)
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["data"] = {"picture": f"/data/upload/1/0a1b2c3d-{Path(task['data']['image']).name}"}
    return _json(path, tasks)


def coco_of_cvat(folder: Path) -> Path:
    """CVAT's COCO Keypoints: images/SUBSET and annotations/person_keypoints_SUBSET.json."""
    write_images(folder / "images/default")
    document = json.loads(label_files.coco(folder / "annotations").read_text())
    (folder / "annotations/coco.json").unlink()
    for one in document["annotations"]:
        one |= {"segmentation": [], "attributes": {"occluded": False, "keyframe": False}}
    _json(folder / "annotations/person_keypoints_default.json", document | {"licenses": [], "info": {}})
    return folder


def coco_with_repeated_ids(folder: Path) -> Path:
    """Annotation ids that start again in every image, as after joining files."""
    path = label_files.coco(folder)
    document = json.loads(path.read_text())
    for one in document["annotations"]:
        one["id"] = one["id"] % 10
    return _json(path, document)


def yolo_of_another_machine(folder: Path) -> Path:
    """Absolute paths of another machine, a YAML file of a model, and a test split that does not exist."""
    label_files.yolo(folder)
    config = (folder / "data.yaml").read_text().replace("train: images", "train: /content/set/images")
    (folder / "data.yaml").write_text(config.replace("val: ", "val: C:\\sets\\one\\") + "test: images/test\n")
    (folder / "yolo-pose.yaml").write_text("nc: 1\nkpt_shape: [17, 3]\nbackbone: []\n")
    return folder


def yolo_of_cvat(folder: Path) -> Path:
    """CVAT's Ultralytics YOLO Pose without images: train.txt lists them."""
    label_files.yolo(folder)
    (folder / "images").rename(folder.parent / "elsewhere")
    (folder.parent / "elsewhere/val/c.png").rename(folder.parent / "elsewhere/train/c.png")
    (folder / "labels/val").rename(folder.parent / "unused")
    (folder / "labels/train/c.txt").write_text("")
    (folder / "train.txt").write_text("".join(f"data/images/train/{name}\n" for name in SIZES))
    config = (folder / "data.yaml").read_text().replace("train: images/train\nval: images/val", "train: train.txt")
    (folder / "data.yaml").write_text(config.replace("/somewhere/else", "./"))
    return folder


def yolo_without_images(folder: Path) -> Path:
    """Only label files, whose images are elsewhere; a classes.txt among them."""
    label_files.yolo(folder)
    (folder / "images").rename(folder.parent / "elsewhere")
    (folder / "labels/classes.txt").write_text("person\n")
    (folder / "labels/train/sub/a.txt").rename(folder / "labels/train/sub/a.png.rf.0a1b.txt")
    (folder.parent / "elsewhere/train/sub/a.png").rename(folder.parent / "elsewhere/train/sub/a.png.rf.0a1b.png")
    return folder


def dlc_of_two_labelers(folder: Path) -> Path:
    """Labels of another scorer too, a copy for training, names of images in one column, and a skeleton."""
    label_files.dlc(folder)
    table = folder / "labeled-data/clip/CollectedData_me.csv"
    text = table.read_text().replace(",,,me", ",me").replace("labeled-data,clip,", "labeled-data/clip/")
    lines = [line.replace(",,,", ",", 1) if index < 4 else line for index, line in enumerate(text.splitlines())]
    table.write_text("\n".join(lines))
    table.with_name("CollectedData_other.csv").write_text("\n".join(lines).replace("me", "other"))
    merged = folder / "training-datasets/iteration-0/UnaugmentedDataSet_t/CollectedData_me.csv"
    merged.parent.mkdir(parents=True)
    merged.write_text(table.read_text())
    config = "Task: t\nscorer: me\nskeleton:\n- - nose\n  - left_wrist\n- - nose\n  - tail\n"
    (folder / "config.yaml").write_text(config)
    return folder


def labelme_with_image_data(folder: Path) -> Path:
    """The images are only inside the JSON files, and no file of them is there."""
    label_files.labelme(folder)
    for path in folder.rglob("*.png"):
        document = json.loads(path.with_suffix(".json").read_text())
        document["imageData"] = base64.b64encode(path.read_bytes()).decode()
        _json(path.with_suffix(".json"), document)
        path.unlink()
    return folder


def cvat_images_of_a_video(folder: Path) -> Path:
    """CVAT for images of a video task, and a box that is turned by a quarter around its center."""
    folder.mkdir()
    path = label_files.cvat_images(folder)
    text = path.read_text().replace("<mode>annotation</mode>", "<mode>interpolation</mode>")
    x, y, w, h = PEOPLE["b.png"][0][1]
    corners = f'xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"'
    turned = f'xtl="{x + (w - h) / 2}" ytl="{y + (h - w) / 2}" xbr="{x + (w + h) / 2}" ybr="{y + (h + w) / 2}"'
    assert corners in text
    path.write_text(text.replace(corners, f'{turned} rotation="90.00"'))
    return path


def alphapose(folder: Path, form: str) -> Path:
    """AlphaPose's --format cmu or open: a file with all images, and one for each of them in sep-json."""
    points = [value for index in range(18) for value in (20.0 + index, 10.0 + index, 0.0 if index == 3 else 0.5)]
    version = {"version": "AlphaPose v0.3"}
    one = {"cmu": {"bodies": [{"joints": points}]}, "open": {"people": [{"pose_keypoints_2d": points}]}}[form]
    _json(folder / "sep-json/b.json", version | one)
    _json(folder / "alphapose-results.json", {"b.png": version | one})
    return folder


def _json(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
