// The image and what lies over it.

import { boxShape, scaleOf } from "./boxes.js";
import { glow } from "./heatmap.js";
import { keypointOf, ring, skeleton } from "./skeletons.js";

const byId = (id) => document.getElementById(id);

/** Show an item (null: nothing is open yet). */
export function render(item, view, isLive) {
  byId("welcome").hidden = item !== null;
  byId("figure").hidden = byId("bar").hidden = item === null;
  if (!item) return;
  renderImage(item, isLive);
  renderOverlay(item, view);
  const saved = item.answer !== null;
  for (const id of ["save-json", "save-image"]) byId(id).disabled = !saved;
  byId("snap").disabled = !item.file;
  byId("snap").hidden = byId("play").hidden = !isLive;
  byId("play").textContent = byId("video").paused ? "Play" : "Pause";
  for (const button of byId("strip").children) button.setAttribute("aria-pressed", button.image === item);
  say(item.error ?? summary(item, view), item.error !== null);
}

/** A line beneath the image. */
export function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

/** Whether an answer is on its way. */
export function wait(waiting) {
  byId("busy").hidden = !waiting;
}

/** One button an image. */
export function renderStrip(images, choose) {
  byId("strip").replaceChildren(...(images.length > 1 ? images.map((image) => thumbnail(image, choose)) : []));
}

/** Boxes as they are while their answer is on its way. */
export function renderBoxes(item, view) {
  const overlay = byId("overlay");
  overlay.querySelectorAll(".box").forEach((box) => box.remove());
  if (view.boxes || view.drawing) overlay.append(...boxesOf(item, view));
}

/** Give a box the focus, the image where there is none. */
export function focusBox(number) {
  byId("overlay").querySelector(`[data-box="${number}"]`)?.focus();
}

/** Name a keypoint and ring it; null stops it. */
export function point(item, pointed) {
  const overlay = byId("overlay");
  const tip = byId("tip");
  overlay.querySelector(".ring")?.remove();
  tip.hidden = !pointed;
  if (!pointed) return;
  const { keypoints, people, width, height } = item.answer;
  const person = people[pointed.person];
  const { x, y, score } = keypointOf(person, pointed.keypoint);
  overlay.append(ring([x, y], 11 * scaleOf(overlay)));
  tip.textContent = `${spoken(keypoints[pointed.keypoint])} · ${score.toFixed(2)}`;
  tip.style.left = `${Math.min(Math.max((100 * x) / width, 8), 92)}%`;
  tip.style.top = `${Math.min(Math.max((100 * y) / height, 0), 100)}%`;
  tip.classList.toggle("below", y < 0.12 * height);
}

/** Tell when a keypoint is pointed at, and when a person is chosen by a click. */
export function listen({ choosePerson, point }) {
  const overlay = byId("overlay");
  overlay.addEventListener("pointerover", ({ target }) => point(keypointAt(target)));
  overlay.addEventListener("pointerleave", () => point(null));
  overlay.addEventListener("click", ({ target }) => {
    const keypoint = keypointAt(target);
    if (keypoint) choosePerson(keypoint.person);
  });
}

/** A keypoint's name as people say it. */
export function spoken(keypoint) {
  return keypoint.replaceAll("_", " ");
}

/** The video plays beneath the frame that was looked at last. */
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
  if (!item.answer) return;
  const { width, height, people } = item.answer;
  overlay.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`); // whole numbers are the middles of pixels
  if (view.heatmap !== null && item.heatmaps) overlay.append(glow(item.heatmaps, view.heatmap === "all" ? null : view.heatmap));
  if (view.boxes || view.drawing) overlay.append(...boxesOf(item, view));
  if (view.skeletons) {
    people.forEach((person, number) => {
      if (person.score >= view.personScore) overlay.append(skeleton(person, number, item.answer, view.keypointScore));
    });
  }
  if (focused !== undefined) focusBox(focused);
  if (view.pointed && people[view.pointed.person]) point(item, view.pointed);
}

function boxesOf(item, view) {
  const scale = scaleOf(byId("overlay"));
  const boxes = item.boxes ?? item.answer.people.map(({ bbox }) => bbox);
  const hidden = (number) => item.boxes === null && item.answer.people[number].score < view.personScore;
  const chosen = boxes.length > 1 ? item.chosen : null; // one alone needs no mark
  return boxes.flatMap((box, number) => {
    return hidden(number) ? [] : [boxShape(box, number, scale, { editable: item.boxes !== null, chosen: number === chosen })];
  });
}

function summary(item, view) {
  if (!item.answer) return "";
  const shown = item.answer.people.filter(({ score }) => score >= view.personScore).length;
  const people = shown === 1 ? "1 person" : `${shown || "no"} people`;
  return `${item.name}: ${people}, ${item.answer.width} x ${item.answer.height} pixels`;
}

function thumbnail(image, choose) {
  const button = Object.assign(document.createElement("button"), { title: image.name, image });
  button.append(Object.assign(new Image(), { src: image.url, alt: image.name }));
  button.addEventListener("click", () => choose(image));
  return button;
}

function keypointAt(target) {
  const keypoint = target.closest?.(".keypoint");
  return keypoint ? { person: Number(keypoint.dataset.person), keypoint: Number(keypoint.dataset.keypoint) } : null;
}
