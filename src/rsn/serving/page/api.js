// The service beneath the page.

const TRIES = 4; // of a request that the service has no room for

/** What can go wrong and is told to the user as it is. */
export class Refused extends Error {}

/** The models that are loaded, and the limits of a request. */
export async function loaded() {
  return answered(await sent("api/models"));
}

/** People of an image (Blob); boxes [[x, y, width, height], ...], or null to have them found. */
export function findPeople(image, { model, boxes, signal }) {
  return ask("api/people", image, { model, boxes }, signal);
}

/** Heatmaps of one box of an image. */
export function findHeatmaps(image, { model, box }) {
  return ask("api/heatmaps", image, { model, boxes: [box] });
}

async function ask(path, image, { model, boxes }, signal) {
  const query = new URLSearchParams({ model });
  if (boxes) query.set("boxes", JSON.stringify(boxes));
  const headers = { "Content-Type": image.type.startsWith("image/") ? image.type : "application/octet-stream" };
  for (let tried = 1; ; tried++) {
    const answer = await sent(`${path}?${query}`, { method: "POST", body: image, headers, signal });
    const wait = Number(answer.headers.get("Retry-After"));
    if (answer.status !== 429 || tried === TRIES) return answered(answer);
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    signal?.throwIfAborted();
  }
}

async function sent(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The service does not answer; is rsn serve still running?");
  }
}

async function answered(answer) {
  const document = await content(answer);
  if (!answer.ok) throw new Refused(sentence(document.detail));
  return document;
}

/** Something between here and the service may answer in its place, or cut the answer off. */
async function content(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(`The service's answer cannot be read (status ${answer.status}); try again.`);
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + ".";
}
