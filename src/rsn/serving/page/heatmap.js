// Heatmaps as an overlay on the image.

import { svg } from "./svg.js";

const FULL = 255; // value of a certain keypoint; maps with larger values are scaled down

// Dark violet over red and orange to light yellow.
const STOPS = [[60, 9, 101], [122, 28, 109], [187, 55, 84], [237, 105, 37], [251, 180, 26], [252, 255, 164]];

/** The map of one keypoint, or with null the maximum over all keypoints. */
export function heatmapOverlay(heatmaps, keypoint) {
  const maps = heatmaps.maps.map(normalize);
  const map = keypoint === null ? maximum(maps) : maps[keypoint];
  const [height, width] = [map.length, map[0].length];
  const pixels = new ImageData(width, height);
  map.flat().forEach((value, index) => pixels.data.set([...color(value), opacity(value)], 4 * index));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return svg("image", {
    class: "heatmap", href: canvas.toDataURL(), x: -0.5, y: -0.5, width, height,
    transform: `matrix(${heatmaps.matrix.join(" ")})`,
  });
}

function normalize(map) {
  const most = Math.max(FULL, ...map.flat());
  return map.map((row) => row.map((value) => value / most));
}

function maximum(maps) {
  return maps[0].map((row, y) => row.map((_, x) => Math.max(...maps.map((map) => map[y][x]))));
}

function color(value) {
  const position = Math.min(value, 0.9999) * (STOPS.length - 1);
  const [low, high] = [STOPS[Math.floor(position)], STOPS[Math.ceil(position)]];
  return low.map((start, channel) => start + (position % 1) * (high[channel] - start));
}

function opacity(value) {
  return 255 * Math.min(0.85, 1.5 * value);
}
