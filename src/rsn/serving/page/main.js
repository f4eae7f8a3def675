// The state of the page and its event handlers.

import { predictHeatmaps, predictPeople, RequestError, serviceInfo } from "./api.js";
import { afterKey, centerBox, drawBoxes } from "./boxes.js";
import * as live from "./live.js";
import * as panel from "./panel.js";
import { saveJson, saveImage } from "./saving.js";
import * as stage from "./stage.js";

const byId = (id) => document.getElementById(id);

const images = [];
let service = null; // models and limits
let current = null; // an image, or a frame of a camera or video
let watching = null; // AbortController of camera or video
let pending = null; // AbortController of the request for the current image

// How the current item is shown. heatmap: null, "all", or the index of a keypoint. pointed: {person, keypoint}.
const view = { keypointScore: 0.3, personScore: 0, skeletons: true, boxes: true, heatmap: null, drawing: false, pointed: null };

function render() {
  stage.render(current, view, watching !== null);
  panel.render(current, view, currentModel(), watching !== null);
}

function currentModel() {
  return service.models.find(({ name }) => name === byId("model").value);
}

// Opening and selecting

function item(name, more) {
  return { name, file: null, url: null, frame: null, result: null, boxes: null, error: null, selected: 0, heatmaps: null, ...more };
}

function open(files) {
  const videos = files.filter((file) => file.type.startsWith("video/"));
  const added = files.filter((file) => !videos.includes(file)).map((file) => item(file.name, { file, url: URL.createObjectURL(file) }));
  images.push(...added);
  stage.renderStrip(images, select);
  if (added.length) select(added[0]);
  else if (videos.length) goLive(videos[0].name, () => live.openVideo(byId("video"), videos[0]));
}

function select(image) {
  stopLive();
  current = image;
  view.pointed = null;
  if (image.result || image.error) render();
  else predict(image);
}

async function goLive(name, start) {
  stopLive();
  try {
    await start();
  } catch (error) {
    if (!images.includes(current)) current = images.at(-1) ?? null; // the camera or video shown before is closed
    render();
    stage.setStatus(`Cannot open ${name}: ${error.message}`, true);
    return;
  }
  watching = new AbortController();
  current = item(name);
  view.drawing = false;
  view.pointed = null;
  render();
  const { signal } = watching;
  live.watch(byId("video"), (frame) => predictFrame(item(name, frame), signal), signal);
}

function stopLive() {
  watching?.abort();
  watching = null;
  stage.setBusy(false);
  live.close(byId("video"));
}

function keepFrame() {
  open([new File([current.file], `frame ${images.length + 1}.jpg`, { type: current.file.type })]);
}

// Predictions

async function predict(image) {
  stage.setBusy(true);
  render();
  if (!(await request(image, newRequest())) || current !== image) return;
  stage.setBusy(false);
  await showHeatmap();
  render();
}

/** A frame is shown when its result has arrived, so that skeletons match the people. */
async function predictFrame(frame, signal) {
  if (!(await request(frame, signal))) return;
  frame.selected = Math.min(current.selected, lastPerson(frame));
  current = frame;
  await showHeatmap();
  if (current === frame) render();
}

/** Set an item's result or error; returns false if the request was canceled. */
async function request(subject, signal) {
  try {
    if (subject.file.size > service.limits.bytes) {
      throw new RequestError(`${subject.name} is larger than ${service.limits.bytes / 1e6} megabytes; make it smaller.`);
    }
    subject.result = await predictPeople(subject.file, { model: currentModel().name, boxes: subject.boxes, signal });
    subject.error = null;
  } catch (error) {
    if (error.name === "AbortError") return false;
    if (!(error instanceof RequestError)) throw error;
    subject.result = null;
    subject.error = error.message;
  }
  subject.heatmaps = null;
  subject.selected = Math.min(subject.selected, lastPerson(subject));
  return !signal.aborted;
}

function lastPerson(subject) {
  return Math.max(0, (subject.result?.people.length ?? 0) - 1);
}

async function showHeatmap() {
  const subject = current;
  const person = selectedPerson(subject);
  if (view.heatmap === null || !person || subject.heatmaps) return;
  try {
    const found = await predictHeatmaps(subject.file, { model: currentModel().name, box: person.bbox });
    if (selectedPerson(subject) === person) subject.heatmaps = found; // otherwise the selection has changed meanwhile
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    subject.error = error.message;
  }
}

function selectedPerson(subject) {
  return subject.result?.people[subject.selected];
}

/** The signal of a request that replaces the previous one. */
function newRequest() {
  pending?.abort();
  pending = new AbortController();
  return pending.signal;
}

// Boxes

let timer = null; // so that a key that is held down sends one request

function changeBoxes(change, delay = 0) {
  current.boxes = change(current.boxes ?? (currentModel().has_detector ? current.result.people.map(({ bbox }) => bbox) : []));
  stage.renderBoxes(current, view);
  clearTimeout(timer);
  timer = setTimeout(predict, delay, current);
}

function addBox(box) {
  changeBoxes((boxes) => [...boxes, box]);
  current.selected = current.boxes.length - 1;
}

function onBoxKey(event) {
  const number = event.target.dataset.box;
  if (number === undefined || !current.boxes) return;
  const changed = afterKey(current.boxes[number], event, current.result);
  if (changed === undefined) return;
  event.preventDefault();
  changeBoxes((boxes) => (changed ? boxes.with(number, changed) : boxes.toSpliced(number, 1)), 250);
  stage.focusBox(Math.min(number, current.boxes.length - 1));
}

// Event handlers

function point(pointed) {
  if (pointed?.person === view.pointed?.person && pointed?.keypoint === view.pointed?.keypoint) return;
  view.pointed = pointed;
  stage.point(current, pointed);
}

async function selectPerson(person) {
  current.selected = person;
  current.heatmaps = null;
  await showHeatmap();
  render();
}

function onChange(id, change) {
  byId(id).addEventListener("input", (event) => {
    change(event.target);
    if (current) render();
  });
}

/** The model's own threshold, until the user sets another. */
function resetThreshold() {
  view.keypointScore = currentModel().keypoint_threshold;
  byId("keypoint-score").value = view.keypointScore;
}

function connectPanel() {
  onChange("keypoint-score", (input) => (view.keypointScore = Number(input.value)));
  onChange("person-score", (input) => (view.personScore = Number(input.value)));
  onChange("show-skeletons", (input) => (view.skeletons = input.checked));
  onChange("show-boxes", (input) => (view.boxes = input.checked));
  byId("heatmap").addEventListener("input", async ({ target }) => {
    view.heatmap = target.value === "" ? null : target.value === "all" ? "all" : Number(target.value);
    await showHeatmap();
    render();
  });
  byId("model").addEventListener("input", () => {
    resetThreshold();
    for (const image of images) Object.assign(image, { result: null, error: null, heatmaps: null });
    view.heatmap = null;
    if (current && !watching) predict(current);
  });
  byId("draw").addEventListener("click", () => {
    view.drawing = !view.drawing;
    render();
  });
  byId("add-box").addEventListener("click", () => {
    addBox(centerBox(current.result).map(Math.round));
    stage.focusBox(current.boxes.length - 1);
  });
  byId("reset-boxes").addEventListener("click", () => {
    current.boxes = null;
    predict(current);
  });
  panel.listen({ selectPerson, point });
}

function connectStage() {
  const drop = byId("drop");
  const pick = () => byId("files").click();
  const camera = () => goLive("camera", () => live.openCamera(byId("video")));
  for (const id of ["choose", "more"]) byId(id).addEventListener("click", pick);
  for (const id of ["camera", "camera-again"]) byId(id).addEventListener("click", camera);
  byId("files").addEventListener("change", ({ target }) => {
    open([...target.files]);
    target.value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") open([...event.dataTransfer.files]);
    });
  }
  document.addEventListener("paste", (event) => open([...event.clipboardData.files]));
  byId("image").addEventListener("error", () => {
    if (current?.result) stage.setStatus("The browser cannot show this image.", true);
  });
  byId("snap").addEventListener("click", keepFrame);
  byId("play").addEventListener("click", async () => {
    const video = byId("video");
    await (video.paused ? video.play() : video.pause());
    render();
  });
  byId("save-json").addEventListener("click", () => saveJson(current.name, current.result));
  byId("save-image").addEventListener("click", () => saveImage(current.name, current.frame ?? byId("image"), byId("overlay")));
  byId("overlay").addEventListener("keydown", onBoxKey);
  drawBoxes(byId("overlay"), () => view.drawing, addBox);
  stage.listen({ selectPerson, point });
}

async function start() {
  connectPanel();
  connectStage();
  try {
    service = await serviceInfo();
  } catch (error) {
    stage.setStatus(error.message, true);
    return;
  }
  byId("model").append(...service.models.map(({ name, summary }) => Object.assign(new Option(name, name), { title: summary })));
  resetThreshold();
  byId("detection").textContent = panel.detectionHint(currentModel());
  const address = `${location.origin}/api/people`;
  byId("curl").textContent = `curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' ${address}`;
}

start();
