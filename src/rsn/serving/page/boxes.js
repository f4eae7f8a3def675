// Boxes [x, y, width, height] in pixels of the image: display, drawing with the pointer, keyboard control.

import { svg } from "./svg.js";

const MIN_SIDE = 8; // pixels; smaller boxes are accidental clicks

/** The shape of a box; an editable one can be focused and changed with the keyboard (see `afterKey`). */
export function boxShape([x, y, width, height], number, scale, { editable = false, selected = false } = {}) {
  const shape = svg("rect", {
    class: "box", "data-box": number, x, y, width, height, rx: 3 * scale, fill: "none",
    stroke: "#fff", "stroke-width": (selected ? 2.6 : 1.6) * scale, "stroke-dasharray": `${6 * scale} ${4 * scale}`,
    filter: `drop-shadow(0 0 ${scale}px #000)`, // visible on white, too
  });
  if (editable) {
    shape.setAttribute("tabindex", 0);
    shape.setAttribute("role", "button");
    shape.setAttribute("aria-label", `Box ${number + 1}: arrows move it, shift and arrows resize it, Delete removes it`);
  }
  return shape;
}

/** The box after a key press: null if the key removes it, undefined if the key has no effect. */
export function afterKey(box, event, image) {
  if (event.key === "Delete" || event.key === "Backspace") return null;
  const step = 0.02 * Math.max(image.width, image.height);
  const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [];
  if (dx === undefined) return undefined;
  const [x, y, width, height] = box;
  return event.shiftKey ? inside([x, y, Math.max(MIN_SIDE, width + dx), Math.max(MIN_SIDE, height + dy)], image)
    : inside([x + dx, y + dy, width, height], image);
}

/** A box in the center of an image. */
export function centerBox({ width, height }) {
  return [width / 3, height / 6, width / 3, (2 * height) / 3];
}

/** Draw boxes on an SVG with the pointer while `active()`; `done` receives each one. */
export function drawBoxes(overlay, active, done) {
  let start = null;
  let shape = null;
  const box = (event) => {
    const end = positionOf(event, overlay);
    return [Math.min(start.x, end.x), Math.min(start.y, end.y), Math.abs(end.x - start.x), Math.abs(end.y - start.y)];
  };
  overlay.addEventListener("pointerdown", (event) => {
    if (!active() || event.button !== 0) return;
    event.preventDefault();
    overlay.setPointerCapture(event.pointerId);
    start = positionOf(event, overlay);
    shape = boxShape([start.x, start.y, 0, 0], 0, scaleOf(overlay));
    overlay.append(shape);
  });
  overlay.addEventListener("pointermove", (event) => {
    if (!shape) return;
    const [x, y, width, height] = box(event);
    for (const [name, value] of Object.entries({ x, y, width, height })) shape.setAttribute(name, value);
  });
  overlay.addEventListener("pointerup", (event) => {
    if (!shape) return;
    const { width, height } = overlay.viewBox.baseVal;
    const drawn = inside(box(event), { width, height });
    shape.remove();
    shape = null;
    if (drawn[2] >= MIN_SIDE && drawn[3] >= MIN_SIDE) done(drawn);
  });
  overlay.addEventListener("pointercancel", () => {
    shape?.remove();
    shape = null;
  });
}

/** Image pixels per screen pixel. */
export function scaleOf(overlay) {
  return overlay.viewBox.baseVal.width / (overlay.clientWidth || 1);
}

function positionOf(event, overlay) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(overlay.getScreenCTM().inverse());
}

function inside([x, y, width, height], image) {
  const [left, top] = [clamp(x, 0, image.width - MIN_SIDE), clamp(y, 0, image.height - MIN_SIDE)];
  const [right, bottom] = [Math.min(left + width, image.width), Math.min(top + height, image.height)];
  return [left, top, right - left, bottom - top].map((value) => Math.round(10 * value) / 10);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
