// Requests to the HTTP API.

const PATIENCE = 5000; // milliseconds in which a request is repeated while the service is at its limit

/** An error whose message is shown to the user. */
export class RequestError extends Error {}

/** The loaded models and the limits of requests. */
export async function serviceInfo() {
  return readResponse(await send("api/models"));
}

/** The people of an image (Blob); boxes [[x, y, width, height], ...], or null to detect people. */
export function predictPeople(image, { model, boxes, signal }) {
  return post("api/people", image, { model, boxes }, signal);
}

/** The heatmaps of one box of an image. */
export function predictHeatmaps(image, { model, box }) {
  return post("api/heatmaps", image, { model, boxes: [box] });
}

async function post(path, image, { model, boxes }, signal) {
  const query = new URLSearchParams({ model });
  if (boxes) query.set("boxes", JSON.stringify(boxes));
  const headers = { "Content-Type": image.type.startsWith("image/") ? image.type : "application/octet-stream" };
  for (const start = Date.now(); ; ) {
    const response = await send(`${path}?${query}`, { method: "POST", body: image, headers, signal });
    const wait = Number(response.headers.get("Retry-After"));
    if (response.status !== 503 || Date.now() > start + PATIENCE) return readResponse(response);
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    signal?.throwIfAborted();
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError("The service does not respond; is rsn serve still running?");
  }
}

async function readResponse(response) {
  const document = await readJson(response);
  if (!response.ok) throw new RequestError(sentence(document.detail));
  return document;
}

/** A proxy may replace the response or cut it off. */
async function readJson(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(`The response of the service cannot be read (status ${response.status}); try again.`);
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + ".";
}
