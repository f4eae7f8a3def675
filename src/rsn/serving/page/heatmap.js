// A heatmap as a glow over the picture.

import { svg } from "./svg.js";

const JOINT = 255; // what a map has where it sees a joint; one that overshoots is scaled down to it

// Dark violet over red and orange to light yellow.
const STOPS = [[60, 9, 101], [122, 28, 109], [187, 55, 84], [237, 105, 37], [251, 180, 26], [252, 255, 164]];

/** One joint's map, or the strongest of all joints at each place where `joint` is null. */
export function glow(heatmaps, joint) {
  const maps = heatmaps.maps.map(upToOne);
  const map = joint === null ? strongest(maps) : maps[joint];
  const [height, width] = [map.length, map[0].length];
  const pixels = new ImageData(width, height);
  map.flat().forEach((value, place) => pixels.data.set([...colour(value), opacity(value)], 4 * place));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return svg("image", {
    class: "glow", href: canvas.toDataURL(), x: -0.5, y: -0.5, width, height,
    transform: `matrix(${heatmaps.matrix.join(" ")})`,
  });
}

function upToOne(map) {
  const most = Math.max(JOINT, ...map.flat());
  return map.map((row) => row.map((value) => value / most));
}

function strongest(maps) {
  return maps[0].map((row, y) => row.map((_, x) => Math.max(...maps.map((map) => map[y][x]))));
}

function colour(strength) {
  const place = Math.min(strength, 0.9999) * (STOPS.length - 1);
  const [low, high] = [STOPS[Math.floor(place)], STOPS[Math.ceil(place)]];
  return low.map((value, channel) => value + (place % 1) * (high[channel] - value));
}

function opacity(strength) {
  return 255 * Math.min(0.85, 1.5 * strength);
}
