// Settings, and the lists of people and keypoints.

import { colorOf, keypointOf } from "./skeletons.js";
import { readableName } from "./stage.js";
import { svg } from "./svg.js";

const byId = (id) => document.getElementById(id);

/** Show the settings and people of an item. */
export function render(item, view, model, isLive) {
  byId("panel").inert = !item;
  byId("keypoint-value").textContent = view.keypointScore.toFixed(2);
  byId("person-value").textContent = view.personScore.toFixed(2);
  if (!item) return;
  byId("box-tools").hidden = isLive;
  byId("draw").setAttribute("aria-pressed", view.drawing);
  for (const id of ["draw", "add-box"]) byId(id).disabled = !item.result;
  byId("reset-boxes").disabled = item.boxes === null;
  byId("box-hint").textContent = hint(item, view, model);
  renderHeatmapChoice(view, model);
  renderPeople(item, view);
  renderKeypoints(item, view);
}

/** Call back when a person is selected, and when pointer or focus is on a keypoint. */
export function listen({ selectPerson, point }) {
  byId("people").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) selectPerson(Number(button.dataset.person));
  });
  for (const kind of ["pointerover", "focusin", "click"]) {
    byId("keypoints").addEventListener(kind, ({ target }) => {
      const button = target.closest("button");
      if (button) point({ person: Number(button.dataset.person), keypoint: Number(button.dataset.keypoint) });
    });
  }
  for (const kind of ["pointerleave", "focusout"]) byId("keypoints").addEventListener(kind, () => point(null));
}

/** Whether people are detected; shown before any image is open. */
export function detectionHint({ has_detector }) {
  if (has_detector) return "People are detected automatically.";
  return "Each image is treated as one person. If there are several, draw a box around each, or run rsn serve --boxes detect.";
}

function hint(item, view, model) {
  if (view.drawing) return "Draw a box around each person: press, drag, release.";
  if (item.boxes) return "Focused box: arrow keys move it, Shift and arrow keys resize it, Delete removes it.";
  if (model.has_detector) return "People are found by the detector. Draw boxes to replace its boxes.";
  return "The image is treated as one person. If there are several, draw a box around each.";
}

function renderHeatmapChoice(view, model) {
  const selected = view.heatmap === null ? "" : String(view.heatmap);
  const options = [["none", ""], ["all keypoints", "all"], ...model.keypoint_names.map((keypoint, number) => [readableName(keypoint), String(number)])];
  byId("heatmap").replaceChildren(...options.map(([text, value]) => new Option(text, value, false, value === selected)));
}

function renderPeople(item, view) {
  const people = item.result?.people ?? [];
  const shown = people.filter(({ score }) => score >= view.personScore).length;
  byId("count").textContent = shown < people.length ? `(${shown} of ${people.length})` : people.length ? `(${shown})` : "";
  const focused = document.activeElement?.closest("#people button")?.dataset.person;
  const buttons = people.map((person, number) => {
    const button = document.createElement("button");
    button.dataset.person = number;
    button.textContent = `${number + 1} · ${person.score.toFixed(2)}`;
    button.setAttribute("aria-label", `Person ${number + 1}, score ${person.score.toFixed(2)}`);
    button.setAttribute("aria-pressed", number === item.selected);
    return person.score >= view.personScore ? button : "";
  });
  byId("people").replaceChildren(...buttons);
  if (focused !== undefined) byId("people").querySelector(`[data-person="${focused}"]`)?.focus();
}

function renderKeypoints(item, view) {
  const person = item.result?.people[item.selected];
  const focused = document.activeElement?.closest("#keypoints button")?.dataset.keypoint;
  const rows = person?.score >= view.personScore ? item.result.keypoint_names.map((keypoint, number) => row(item, person, keypoint, number, view)) : [];
  byId("keypoints").replaceChildren(...rows);
  if (focused !== undefined) byId("keypoints").querySelector(`[data-keypoint="${focused}"]`)?.focus();
}

function row(item, person, keypoint, number, view) {
  const { score } = keypointOf(person, number);
  const button = document.createElement("button");
  Object.assign(button.dataset, { person: item.selected, keypoint: number });
  button.classList.toggle("low", score < view.keypointScore);
  const dot = svg("svg", { class: "dot", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("circle", { cx: 5, cy: 5, r: 5, fill: colorOf(keypoint) }));
  const value = Object.assign(document.createElement("b"), { textContent: score.toFixed(2) });
  button.append(dot, readableName(keypoint), bar(score), value);
  const line = document.createElement("li");
  line.append(button);
  return line;
}

function bar(score) {
  return svg(
    "svg",
    { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8, rx: 4 }),
    svg("rect", { width: 100 * score, height: 8, rx: 4 }),
  );
}
