// Boxes [x, y, width, height] in pixels of the image: shown, drawn with a pointer, moved with the keyboard.

import { svg } from "./svg.js";

const SMALLEST = 8; // pixels; less was a slip of the pointer

/** A box that takes the focus: arrows move it, shift and arrows change its size, Delete removes it. */
export function boxShape([x, y, width, height], number, scale, { editable = false, chosen = false } = {}) {
  const shape = svg("rect", {
    class: "box", "data-box": number, x, y, width, height, rx: 3 * scale, fill: "none",
    stroke: "#fff", "stroke-width": (chosen ? 2.6 : 1.6) * scale, "stroke-dasharray": `${6 * scale} ${4 * scale}`,
    filter: `drop-shadow(0 0 ${scale}px #000)`, // seen on white too
  });
  if (editable) {
    shape.setAttribute("tabindex", 0);
    shape.setAttribute("role", "button");
    shape.setAttribute("aria-label", `Box ${number + 1}: arrows move it, shift and arrows resize it, Delete removes it`);
  }
  return shape;
}

/** The box after a key, null where the key removes it, undefined where the key means nothing. */
export function afterKey(box, event, image) {
  if (event.key === "Delete" || event.key === "Backspace") return null;
  const step = 0.02 * Math.max(image.width, image.height);
  const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [];
  if (dx === undefined) return undefined;
  const [x, y, width, height] = box;
  return event.shiftKey ? inside([x, y, Math.max(SMALLEST, width + dx), Math.max(SMALLEST, height + dy)], image)
    : inside([x + dx, y + dy, width, height], image);
}

/** The middle third of an image. */
export function middleBox({ width, height }) {
  return [width / 3, height / 6, width / 3, (2 * height) / 3];
}

/** Let a pointer draw boxes on an SVG while `active()`; each one goes to `done`. */
export function drawBoxes(overlay, active, done) {
  let start = null;
  let shape = null;
  const box = (event) => {
    const end = placeOf(event, overlay);
    return [Math.min(start.x, end.x), Math.min(start.y, end.y), Math.abs(end.x - start.x), Math.abs(end.y - start.y)];
  };
  overlay.addEventListener("pointerdown", (event) => {
    if (!active() || event.button !== 0) return;
    event.preventDefault();
    overlay.setPointerCapture(event.pointerId);
    start = placeOf(event, overlay);
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
    if (drawn[2] >= SMALLEST && drawn[3] >= SMALLEST) done(drawn);
  });
  overlay.addEventListener("pointercancel", () => {
    shape?.remove();
    shape = null;
  });
}

/** Pixels of the image in one pixel of the screen. */
export function scaleOf(overlay) {
  return overlay.viewBox.baseVal.width / (overlay.clientWidth || 1);
}

function placeOf(event, overlay) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(overlay.getScreenCTM().inverse());
}

function inside([x, y, width, height], image) {
  const [left, top] = [clamp(x, 0, image.width - SMALLEST), clamp(y, 0, image.height - SMALLEST)];
  const [right, bottom] = [Math.min(left + width, image.width), Math.min(top + height, image.height)];
  return [left, top, right - left, bottom - top].map((value) => Math.round(10 * value) / 10);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
