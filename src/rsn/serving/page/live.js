// A camera or video, frame by frame: the next frame is sent when the response for the last one has arrived.

/** Show the camera in a video element. */
export async function openCamera(video) {
  const size = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "environment" };
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: size });
  await video.play();
}

/** Show a video file in a video element. */
export async function openVideo(video, file) {
  video.src = URL.createObjectURL(file);
  video.loop = true;
  await video.play();
}

/** Release camera and file. */
export function close(video) {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
}

/** Call `process` with frames until the signal is aborted; a paused video sends none. */
export async function watch(video, process, signal) {
  let last = null;
  while (!signal.aborted) {
    if (video.currentTime !== last && video.videoWidth) {
      last = video.currentTime;
      await process(await grab(video));
    }
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}

/** The current frame of a video element: a canvas (`frame`) and a JPEG file. */
export async function grab(video) {
  const [width, height] = [video.videoWidth, video.videoHeight];
  const frame = Object.assign(document.createElement("canvas"), { width, height });
  frame.getContext("2d").drawImage(video, 0, 0);
  return { frame, file: await new Promise((resolve) => frame.toBlob(resolve, "image/jpeg", 0.9)) };
}
