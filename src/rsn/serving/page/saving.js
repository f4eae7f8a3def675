// Downloads.

/** Save the result with the name of the image. */
export function saveJson(name, result) {
  const document = JSON.stringify({ file_name: name, ...result }, null, 1);
  save(new Blob([document], { type: "application/json" }), `${stem(name)}_poses.json`);
}

/** Save image and overlay as one image, at the size of the image. */
export async function saveImage(name, image, overlay) {
  const { width, height } = overlay.viewBox.baseVal;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  context.drawImage(await toImage(overlay, width, height), 0, 0, width, height);
  save(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${stem(name)}_poses.png`);
}

async function toImage(overlay, width, height) {
  const copy = overlay.cloneNode(true);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = url;
  await image.decode();
  URL.revokeObjectURL(url);
  return image;
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "");
}
