"""Write and run docs/quickstart.ipynb, the notebook that shows the Python interface.

The cells are below; change them here. The outputs in the file are those of a run; its images are scaled down and stored
as JPEG, and warnings on stderr and progress bars are left out.

Usage: python scripts/make_quickstart.py
"""

import base64
import os
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"
TIMEOUT = 60  # seconds for a cell; a longer one is an error
IMAGE_SIDE, JPEG_QUALITY = 640, 80  # of the images in the file

# Every second one is text; the others are code.
CELLS = [
    """
# Quickstart

Estimate the keypoints of people, draw them, filter and convert them; videos, export and fine-tuning. It runs on a CPU:

    pip install 'rsn-pose[detect,video,onnx,train,demo]' pandas jupyter

Both images are in the public domain and part of scikit-image.

## Predict

A source is a path, the bytes of a file, a PIL image, an array or a tensor. A notebook shows the result as an image:
the left side of the person is blue, the right side orange.
""",
    """
from skimage.data import astronaut, camera

import rsn

estimator = rsn.PoseEstimator("rsn18.starter")
result = estimator(astronaut())
result
""",
    """
A result is a sequence of persons, and holds arrays of all of them. Coordinates are pixels of the image; scores are
between 0 and 1.
""",
    """
print(result[0]["left_eye"])
print("keypoints", result.keypoints.shape, "scores", result.scores.shape)
print("boxes (x1, y1, x2, y2)", result.boxes.round(1).tolist())
print("person scores", result.person_scores.round(2).tolist())
""",
    """
A list of images gives a list of results; a generator gives a generator. Without a detector, pass boxes, or `"whole"` if
one person fills the image.
""",
    """
for found in estimator([astronaut(), camera()]):
    print(found)
estimator(astronaut(), boxes=[[60, 0, 360, 510]], box_format="xywh")
""",
    """
## Plot
""",
    """
from PIL import Image

options = {"boxes": True, "label": "score", "keypoint_threshold": 0.1}  # the fields of rsn.DrawOptions
result.save("astronaut.jpg", **options)
Image.fromarray(result.plot(**options))  # plot gives an array (H, W, 3)
""",
    """
## Uncertainty

`result.std` is the expected error of each keypoint in pixels of the image, calibrated on labeled people. It is large
where the network does not know: here for the keypoints that the image does not show.
""",
    """
errors = dict(zip(result.skeleton.keypoint_names, result.std[0], strict=True))
for name in ("left_eye", "right_shoulder", "left_elbow", "left_hip", "left_ankle"):
    print(f"{name:15} {errors[name]:5.1f} pixels")
Image.fromarray(result.plot(uncertainty=True, keypoint_threshold=0.1))
""",
    """
## Filter

A mask, indices or a slice select persons.
""",
    """
sure = result[result.person_scores >= 0.1]
print(len(sure), "of", len(result), "persons")
for name, score in zip(sure.skeleton.keypoint_names, sure.scores[0], strict=True):
    if score >= 0.5:
        print(f"{name:15} {score:.2f}")
""",
    """
## Convert

To COCO's results format, to JSON and back, and to a data frame.
""",
    """
import json

print(list(result.to_coco(image_id=1)[0]))
again = rsn.PoseResult.from_dict(json.loads(json.dumps(result.to_dict())))
print(again)
result.to_pandas().iloc[:, :8].round(2)
""",
    """
## Video

Here a folder of images is the video, in which the person moves to the right. Persons keep their track ids.
""",
    """
from pathlib import Path

import numpy as np
from rsn.video.reading import open_frames
from rsn.video.run import predict_video
from rsn.video.settings import VideoSettings

Path("shots").mkdir(exist_ok=True)
for number in range(6):
    rsn.write_image(Path(f"shots/{number:03}.png"), np.roll(astronaut()[::2, ::2], 4 * number, axis=1))

settings = VideoSettings(fps=25)
for frame in predict_video(estimator, open_frames("shots", settings), None, Path("."), "walk", settings):
    for person in frame.people:
        print(f"{frame.frame.seconds:.2f} s, person {person.track_id}, nose at x = {person['nose'].x:.0f}")
print(sorted(path.name for path in Path(".").glob("walk*")))
""",
    """
## Export

The exported file gives the same keypoints, and runs without PyTorch.
""",
    """
from rsn.export.run import export_model

export_model("rsn18.starter", Path("rsn18.onnx"), format="onnx")
exported = rsn.PoseEstimator("rsn18.onnx")
difference = abs(exported(astronaut(), result).keypoints - estimator(astronaut(), result).keypoints).max()
print(f"largest difference: {difference:.4f} pixels")
""",
    """
## Fine-tune

Your own keypoints need annotations as COCO-keypoints JSON. Here 12 shifted copies of the image stand for them, labeled
with five of the keypoints that were found above; three steps show that it works. A real run needs more images and steps
([Your own keypoints](your-own-keypoints.md)).
""",
    """
names = ["nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder"]
Path("images").mkdir(exist_ok=True)
images, annotations = [], []
for number in range(12):
    shift = 2 * number
    rsn.write_image(Path(f"images/{number}.png"), np.roll(astronaut(), shift, axis=1))
    images.append({"id": number, "file_name": f"{number}.png", "width": 512, "height": 512})
    keypoints = [value for name in names for value in (result[0][name].x + shift, result[0][name].y, 2)]
    bbox = [60 + shift, 0, 360, 510]  # x, y, width, height
    person = {"id": number, "image_id": number, "category_id": 1, "keypoints": keypoints, "bbox": bbox}
    annotations.append(person)
category = {"id": 1, "name": "person", "keypoints": names, "skeleton": [[1, 2], [1, 3], [4, 5]]}
document = {"images": images, "annotations": annotations, "categories": [category]}
Path("people.json").write_text(json.dumps(document))

!rsn finetune people.json --images images --output tuned \
--set optimization.steps=3 optimization.batch_size=2 val_interval=3
""",
    """
The weights that come out know their keypoints and their names:
""",
    """
rsn.PoseEstimator("tuned/best.safetensors")(astronaut(), boxes="whole")
""",
]


def quickstart() -> nbformat.NotebookNode:
    """The notebook without outputs."""
    cells = []
    for number, text in enumerate(CELLS):
        new_cell = nbformat.v4.new_code_cell if number % 2 else nbformat.v4.new_markdown_cell
        cells.append(new_cell(text.strip(), id=f"cell-{number}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def run(notebook: nbformat.NotebookNode) -> None:
    """Add the outputs, in an empty folder that is removed; an error of a cell is raised."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # for !rsn
        "TTY_COMPATIBLE": "0",  # no progress bars in the output of !rsn
    }
    with TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=TIMEOUT,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute(env=environment)
    notebook.metadata.pop("language_info")  # names the version of Python
    for cell in notebook.cells[1::2]:
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.data["image/jpeg"] = _as_jpeg(output.data.pop("image/png"))


def _as_jpeg(png: Any) -> str:
    image = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    image.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    file = BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    made = quickstart()
    run(made)
    nbformat.write(made, NOTEBOOK)
