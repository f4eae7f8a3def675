// The image and its overlays.

import { boxShape, scaleOf } from "./boxes.js";
import { heatmapOverlay } from "./heatmap.js";
import { keypointOf, ring, skeleton } from "./skeletons.js";

const byId = (id) => document.getElementById(id);

/** Show an item; null if nothing is open. */
export function render(item, view, isLive) {
  byId("welcome").hidden = item !== null;
  byId("figure").hidden = byId("bar").hidden = item === null;
  if (!item) return;
  renderImage(item, isLive);
  renderOverlay(item, view);
  const hasResult = item.result !== null;
  for (const id of ["save-json", "save-image"]) byId(id).disabled = !hasResult;
  byId("snap").disabled = !item.file;
  byId("snap").hidden = byId("play").hidden = !isLive;
  byId("play").textContent = byId("video").paused ? "Play" : "Pause";
  for (const button of byId("strip").children) button.setAttribute("aria-pressed", button.image === item);
  setStatus(item.error ?? summary(item, view), item.error !== null);
}

/** Set the status line below the image. */
export function setStatus(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

/** Show or hide the sign that a request is running. */
export function setBusy(busy) {
  byId("busy").hidden = !busy;
}

/** One button per image. */
export function renderStrip(images, select) {
  byId("strip").replaceChildren(...(images.length > 1 ? images.map((image) => thumbnail(image, select)) : []));
}

/** Show edited boxes before their result arrives. */
export function renderBoxes(item, view) {
  const overlay = byId("overlay");
  overlay.querySelectorAll(".box").forEach((box) => box.remove());
  if (view.boxes || view.drawing) overlay.append(...boxesOf(item, view));
}

/** Focus a box, if it exists. */
export function focusBox(number) {
  byId("overlay").querySelector(`[data-box="${number}"]`)?.focus();
}

/** Highlight a keypoint and show its name; null removes the highlight. */
export function point(item, pointed) {
  const overlay = byId("overlay");
  const tip = byId("tip");
  overlay.querySelector(".ring")?.remove();
  tip.hidden = !pointed;
  if (!pointed) return;
  const { keypoint_names, people, width, height } = item.result;
  const person = people[pointed.person];
  const { x, y, score } = keypointOf(person, pointed.keypoint);
  overlay.append(ring([x, y], 11 * scaleOf(overlay)));
  tip.textContent = `${readableName(keypoint_names[pointed.keypoint])} · ${score.toFixed(2)}`;
  tip.style.left = `${Math.min(Math.max((100 * x) / width, 8), 92)}%`;
  tip.style.top = `${Math.min(Math.max((100 * y) / height, 0), 100)}%`;
  tip.classList.toggle("below", y < 0.12 * height);
}

/** Call back when the pointer is on a keypoint, and when a click selects a person. */
export function listen({ selectPerson, point }) {
  const overlay = byId("overlay");
  overlay.addEventListener("pointerover", ({ target }) => point(keypointAt(target)));
  overlay.addEventListener("pointerleave", () => point(null));
  overlay.addEventListener("click", ({ target }) => {
    const keypoint = keypointAt(target);
    if (keypoint) selectPerson(keypoint.person);
  });
}

/** The name of a keypoint with spaces. */
export function readableName(keypoint) {
  return keypoint.replaceAll("_", " ");
}

/** The video plays below the frame that was processed last. */
function renderImage(item, isLive) {
  const [image, video] = [byId("image"), byId("video")];
  image.hidden = isLive;
  video.hidden = !isLive;
  byId("frame").replaceChildren(...(item.frame ? [item.frame] : []));
  if (!isLive && image.src !== item.url) image.src = item.url;
  image.alt = isLive ? "" : item.name;
}

function renderOverlay(item, view) {
  const overlay = byId("overlay");
  const focused = document.activeElement?.dataset?.box;
  overlay.replaceChildren();
  overlay.classList.toggle("drawing", view.drawing);
  byId("tip").hidden = true;
  if (!item.result) return;
  const { width, height, people } = item.result;
  overlay.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`); // integers are pixel centers
  if (view.heatmap !== null && item.heatmaps) overlay.append(heatmapOverlay(item.heatmaps, view.heatmap === "all" ? null : view.heatmap));
  if (view.boxes || view.drawing) overlay.append(...boxesOf(item, view));
  if (view.skeletons) {
    people.forEach((person, number) => {
      if (person.score >= view.personScore) overlay.append(skeleton(person, number, item.result, view.keypointScore));
    });
  }
  if (focused !== undefined) focusBox(focused);
  if (view.pointed && people[view.pointed.person]) point(item, view.pointed);
}

function boxesOf(item, view) {
  const scale = scaleOf(byId("overlay"));
  const boxes = item.boxes ?? item.result.people.map(({ bbox }) => bbox);
  const hidden = (number) => item.boxes === null && item.result.people[number].score < view.personScore;
  const selected = boxes.length > 1 ? item.selected : null; // a single box needs no mark
  return boxes.flatMap((box, number) => {
    return hidden(number) ? [] : [boxShape(box, number, scale, { editable: item.boxes !== null, selected: number === selected })];
  });
}

function summary(item, view) {
  if (!item.result) return "";
  const shown = item.result.people.filter(({ score }) => score >= view.personScore).length;
  const people = shown === 1 ? "1 person" : `${shown || "no"} people`;
  return `${item.name}: ${people}, ${item.result.width} x ${item.result.height} pixels`;
}

function thumbnail(image, select) {
  const button = Object.assign(document.createElement("button"), { title: image.name, image });
  button.append(Object.assign(new Image(), { src: image.url, alt: image.name }));
  button.addEventListener("click", () => select(image));
  return button;
}

function keypointAt(target) {
  const keypoint = target.closest?.(".keypoint");
  return keypoint ? { person: Number(keypoint.dataset.person), keypoint: Number(keypoint.dataset.keypoint) } : null;
}
