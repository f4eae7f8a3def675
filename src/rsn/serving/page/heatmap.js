// A heatmap as a glow over the image.

import { svg } from "./svg.js";

const KEYPOINT = 255; // what a map has where it sees a keypoint; one that overshoots is scaled down to it

// Dark violet over red and orange to light yellow.
const STOPS = [[60, 9, 101], [122, 28, 109], [187, 55, 84], [237, 105, 37], [251, 180, 26], [252, 255, 164]];

/** One keypoint's map, or the strongest of all keypoints at each place where `keypoint` is null. */
export function glow(heatmaps, keypoint) {
  const maps = heatmaps.maps.map(upToOne);
  const map = keypoint === null ? strongest(maps) : maps[keypoint];
  const [height, width] = [map.length, map[0].length];
  const pixels = new ImageData(width, height);
  map.flat().forEach((value, place) => pixels.data.set([...color(value), opacity(value)], 4 * place));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return svg("image", {
    class: "glow", href: canvas.toDataURL(), x: -0.5, y: -0.5, width, height,
    transform: `matrix(${heatmaps.matrix.join(" ")})`,
  });
}

function upToOne(map) {
  const most = Math.max(KEYPOINT, ...map.flat());
  return map.map((row) => row.map((value) => value / most));
}

function strongest(maps) {
  return maps[0].map((row, y) => row.map((_, x) => Math.max(...maps.map((map) => map[y][x]))));
}

function color(strength) {
  const place = Math.min(strength, 0.9999) * (STOPS.length - 1);
  const [low, high] = [STOPS[Math.floor(place)], STOPS[Math.ceil(place)]];
  return low.map((value, channel) => value + (place % 1) * (high[channel] - value));
}

function opacity(strength) {
  return 255 * Math.min(0.85, 1.5 * strength);
}
