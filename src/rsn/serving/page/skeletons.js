// Skeletons as SVG. Styles are attributes, not style sheets, so that saved images have them too.

import { svg } from "./svg.js";

const LEFT = "#26a6ff";
const RIGHT = "#ff7a33";
const CENTER = "#ffe05c";
const OUTLINE = "#101420";
const FACE = new Set(["nose", "eye", "ear"]);

/** Left is blue, right orange, and the center yellow. */
export function colorOf(keypoint) {
  return keypoint.startsWith("left") ? LEFT : keypoint.startsWith("right") ? RIGHT : CENTER;
}

/** One keypoint of a person; `keypoints` holds x, y, score of each keypoint in one list. */
export function keypointOf({ keypoints }, keypoint) {
  const [x, y, score] = keypoints.slice(3 * keypoint, 3 * keypoint + 3);
  return { x, y, score };
}

/** One person: limbs between keypoints that score at least `minScore`, and these keypoints on top. */
export function skeleton(person, number, result, minScore) {
  const shown = result.keypoint_names.map((_, keypoint) => keypointOf(person, keypoint).score >= minScore);
  const thickness = thicknessOf(person, shown, result);
  const fine = result.keypoint_names.map((name) => (name.split("_").some((part) => FACE.has(part)) ? 0.6 : 1));
  const limbs = result.limbs.filter(([a, b]) => shown[a] && shown[b]);
  const group = svg("g", { class: "person", "data-person": number, "stroke-linecap": "round" });
  for (const outline of [true, false]) {
    for (const [a, b] of limbs) group.append(limb(person, result.keypoint_names, a, b, thickness * Math.min(fine[a], fine[b]), outline));
  }
  result.keypoint_names.forEach((name, keypoint) => {
    if (shown[keypoint]) group.append(dot(person, number, name, keypoint, 0.95 * thickness * fine[keypoint]));
  });
  return group;
}

function limb(person, names, a, b, thickness, outline) {
  const [{ x: x1, y: y1 }, { x: x2, y: y2 }] = [keypointOf(person, a), keypointOf(person, b)];
  const sides = new Set([colorOf(names[a]), colorOf(names[b])]);
  sides.delete(CENTER);
  const color = sides.size === 1 ? [...sides][0] : CENTER;
  return svg("line", {
    x1, y1, x2, y2,
    stroke: outline ? OUTLINE : color,
    "stroke-width": outline ? 1.4 * thickness : thickness,
    "stroke-opacity": 0.9,
  });
}

function dot(person, number, name, keypoint, radius) {
  const { x: cx, y: cy } = keypointOf(person, keypoint);
  return svg(
    "g",
    { class: "keypoint", "data-person": number, "data-keypoint": keypoint },
    svg("circle", { cx, cy, r: Math.max(2.2 * radius, 6), fill: "transparent" }), // a larger target for the pointer
    svg("circle", { cx, cy, r: radius, fill: "#fff", stroke: OUTLINE, "stroke-width": 0.35 * radius }),
    svg("circle", { cx, cy, r: 0.62 * radius, fill: colorOf(name) }),
  );
}

/** Line width in image pixels, proportional to the size of the person. */
function thicknessOf(person, shown, { width, height }) {
  const points = shown.flatMap((isShown, keypoint) => (isShown ? [keypointOf(person, keypoint)] : []));
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const size = points.length ? Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)) : 0;
  return Math.min(Math.max(0.022 * size, 2), Math.max(2, 0.016 * Math.max(width, height)));
}

/** A ring around a keypoint that is pointed at elsewhere. */
export function ring([cx, cy], radius) {
  return svg("circle", { class: "ring", cx, cy, r: radius, fill: "none", stroke: "#fff", "stroke-width": 0.22 * radius });
}
