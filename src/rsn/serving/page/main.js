// The page: what is open, what is shown of it, and who is told when something happens.

import { findHeatmaps, findPeople, loaded, Refused } from "./api.js";
import { afterKey, drawBoxes, middleBox } from "./boxes.js";
import * as live from "./live.js";
import * as panel from "./panel.js";
import { saveJson, saveImage } from "./saving.js";
import * as stage from "./stage.js";

const byId = (id) => document.getElementById(id);

const images = [];
let service = null; // what the service says that it can do
let current = null; // an image, or a frame of a camera or video
let watching = null; // AbortController of the camera or video
let asking = null; // AbortController of the request for the current image

// What is shown of the current item. heatmap: null, "all", or the number of a keypoint. pointed: {person, keypoint}.
const view = { keypointScore: 0.3, personScore: 0, skeletons: true, boxes: true, heatmap: null, drawing: false, pointed: null };

function render() {
  stage.render(current, view, watching !== null);
  panel.render(current, view, modelInUse(), watching !== null);
}

function modelInUse() {
  return service.models.find(({ name }) => name === byId("model").value);
}

// Opening and choosing

function item(name, more) {
  return { name, file: null, url: null, frame: null, answer: null, boxes: null, error: null, chosen: 0, heatmaps: null, ...more };
}

function open(files) {
  const videos = files.filter((file) => file.type.startsWith("video/"));
  const added = files.filter((file) => !videos.includes(file)).map((file) => item(file.name, { file, url: URL.createObjectURL(file) }));
  images.push(...added);
  stage.renderStrip(images, choose);
  if (added.length) choose(added[0]);
  else if (videos.length) goLive(videos[0].name, () => live.openVideo(byId("video"), videos[0]));
}

function choose(image) {
  stopLive();
  current = image;
  view.pointed = null;
  if (image.answer || image.error) render();
  else look(image);
}

async function goLive(name, start) {
  stopLive();
  try {
    await start();
  } catch (error) {
    if (!images.includes(current)) current = images.at(-1) ?? null; // a camera or video that was shown is closed
    render();
    stage.say(`Cannot open ${name}: ${error.message}`, true);
    return;
  }
  watching = new AbortController();
  current = item(name);
  view.drawing = false;
  view.pointed = null;
  render();
  const { signal } = watching;
  live.watch(byId("video"), (frame) => lookAtFrame(item(name, frame), signal), signal);
}

function stopLive() {
  watching?.abort();
  watching = null;
  stage.wait(false);
  live.close(byId("video"));
}

function keepFrame() {
  open([new File([current.file], `frame ${images.length + 1}.jpg`, { type: current.file.type })]);
}

// Asking the service

async function look(image) {
  stage.wait(true);
  render();
  if (!(await ask(image, newRequest())) || current !== image) return;
  stage.wait(false);
  await showHeatmap();
  render();
}

/** A frame is shown when its answer is there, so that skeletons lie where the people are. */
async function lookAtFrame(frame, signal) {
  if (!(await ask(frame, signal))) return;
  frame.chosen = Math.min(current.chosen, lastPerson(frame));
  current = frame;
  await showHeatmap();
  if (current === frame) render();
}

/** Give an item its answer, or the reason why there is none; false where nobody waits for it any more. */
async function ask(subject, signal) {
  try {
    if (subject.file.size > service.limits.bytes) {
      throw new Refused(`${subject.name} is larger than ${service.limits.bytes / 1e6} megabytes; make it smaller.`);
    }
    subject.answer = await findPeople(subject.file, { model: modelInUse().name, boxes: subject.boxes, signal });
    subject.error = null;
  } catch (error) {
    if (error.name === "AbortError") return false;
    if (!(error instanceof Refused)) throw error;
    subject.answer = null;
    subject.error = error.message;
  }
  subject.heatmaps = null;
  subject.chosen = Math.min(subject.chosen, lastPerson(subject));
  return !signal.aborted;
}

function lastPerson(subject) {
  return Math.max(0, (subject.answer?.people.length ?? 0) - 1);
}

async function showHeatmap() {
  const subject = current;
  const person = chosenPerson(subject);
  if (view.heatmap === null || !person || subject.heatmaps) return;
  try {
    const found = await findHeatmaps(subject.file, { model: modelInUse().name, box: person.bbox });
    if (chosenPerson(subject) === person) subject.heatmaps = found; // else something else was asked for in the meantime
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    subject.error = error.message;
  }
}

function chosenPerson(subject) {
  return subject.answer?.people[subject.chosen];
}

/** The signal of a request that takes the place of the one before. */
function newRequest() {
  asking?.abort();
  asking = new AbortController();
  return asking.signal;
}

// Boxes

let pause = null; // so that a key held down asks once

function changeBoxes(change, delay = 0) {
  current.boxes = change(current.boxes ?? (modelInUse().has_detector ? current.answer.people.map(({ bbox }) => bbox) : []));
  stage.renderBoxes(current, view);
  clearTimeout(pause);
  pause = setTimeout(look, delay, current);
}

function addBox(box) {
  changeBoxes((boxes) => [...boxes, box]);
  current.chosen = current.boxes.length - 1;
}

function onBoxKey(event) {
  const number = event.target.dataset.box;
  if (number === undefined || !current.boxes) return;
  const changed = afterKey(current.boxes[number], event, current.answer);
  if (changed === undefined) return;
  event.preventDefault();
  changeBoxes((boxes) => (changed ? boxes.with(number, changed) : boxes.toSpliced(number, 1)), 250);
  stage.focusBox(Math.min(number, current.boxes.length - 1));
}

// Wiring

function point(pointed) {
  if (pointed?.person === view.pointed?.person && pointed?.keypoint === view.pointed?.keypoint) return;
  view.pointed = pointed;
  stage.point(current, pointed);
}

async function choosePerson(person) {
  current.chosen = person;
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

/** The model's own threshold, until the user chooses another. */
function takeThreshold() {
  view.keypointScore = modelInUse().keypoint_threshold;
  byId("keypoint-score").value = view.keypointScore;
}

function wirePanel() {
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
    takeThreshold();
    for (const image of images) Object.assign(image, { answer: null, error: null, heatmaps: null });
    view.heatmap = null;
    if (current && !watching) look(current);
  });
  byId("draw").addEventListener("click", () => {
    view.drawing = !view.drawing;
    render();
  });
  byId("add-box").addEventListener("click", () => {
    addBox(middleBox(current.answer).map(Math.round));
    stage.focusBox(current.boxes.length - 1);
  });
  byId("reset-boxes").addEventListener("click", () => {
    current.boxes = null;
    look(current);
  });
  panel.listen({ choosePerson, point });
}

function wireStage() {
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
    if (current?.answer) stage.say("The browser cannot show this image.", true);
  });
  byId("snap").addEventListener("click", keepFrame);
  byId("play").addEventListener("click", async () => {
    const video = byId("video");
    await (video.paused ? video.play() : video.pause());
    render();
  });
  byId("save-json").addEventListener("click", () => saveJson(current.name, current.answer));
  byId("save-image").addEventListener("click", () => saveImage(current.name, current.frame ?? byId("image"), byId("overlay")));
  byId("overlay").addEventListener("keydown", onBoxKey);
  drawBoxes(byId("overlay"), () => view.drawing, addBox);
  stage.listen({ choosePerson, point });
}

async function start() {
  wirePanel();
  wireStage();
  try {
    service = await loaded();
  } catch (error) {
    stage.say(error.message, true);
    return;
  }
  byId("model").append(...service.models.map(({ name, summary }) => Object.assign(new Option(name, name), { title: summary })));
  takeThreshold();
  byId("finding").textContent = panel.finding(modelInUse());
  const address = `${location.origin}/api/people`;
  byId("curl").textContent = `curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' ${address}`;
}

start();
