// Where pictures come from: the examples, a file that is chosen, dropped or pasted, the camera.

import { addFiles } from "./models.js";
import { fetchBytes } from "./files.js";
import { open, problem } from "./session.js";
import { on, state } from "./state.js";

export const EXAMPLES = [
  ["chelsea.png", "A cat"],
  ["coffee.png", "A cup of coffee"],
  ["astronaut.jpg", "An astronaut"],
  ["rocket.jpg", "A rocket"],
  ["camera.png", "A man with a camera"],
];
const ICONS = "examples/small/";

const get = (id) => document.getElementById(id);
const kept = new Map();

// An example's bytes, fetched once.
export function exampleBytes(name, told) {
  if (!kept.has(name)) {
    const bytes = fetchBytes(`examples/${name}`, name, told);
    kept.set(name, bytes);
    bytes.catch(() => kept.delete(name));
  }
  return kept.get(name);
}

export async function openExample(name, options) {
  try {
    await open({ name, example: name, bytes: await exampleBytes(name) }, options);
  } catch (error) {
    problem(error);
  }
}

async function openFile(file) {
  try {
    await open({ name: file.name || "pasted.png", bytes: new Uint8Array(await file.arrayBuffer()) });
  } catch (error) {
    problem(error);
  }
}

// Files from anywhere: a model's two, or a picture.
async function take(files) {
  files = [...files];
  if (!files.length) return;
  if (files.some((file) => /\.(json|safetensors)$/i.test(file.name))) {
    try {
      await addFiles(files);
    } catch (error) {
      problem(error);
    }
  } else {
    await openFile(files[0]);
  }
}

// The two files of a model in a folder that was dropped.
async function modelIn(folder) {
  const file = (name) => new Promise((found) => folder.getFile(name, {}, (entry) => entry.file(found, () => found(null)), () => found(null)));
  const files = await Promise.all(["config.json", "model.safetensors"].map(file));
  if (files.includes(null)) throw new Error(`${folder.name} holds no model: expected config.json and model.safetensors in it`);
  return files;
}

function beginCamera() {
  const dialog = get("camera-dialog");
  const video = get("video");
  let stream = null;
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
  };
  get("camera").addEventListener("click", async () => {
    get("camera-problem").textContent = "";
    get("shoot").disabled = true;
    dialog.showModal();
    try {
      if (!navigator.mediaDevices) throw new Error("the browser gives a camera only to pages over HTTPS or of this machine");
      const given = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "environment" } });
      stream = given;
      if (!dialog.open) return stop();
      video.srcObject = given;
      await video.play();
      get("shoot").disabled = false;
      get("shoot").focus();
    } catch (error) {
      get("camera-problem").textContent = `There is no camera to be had: ${error.message}`;
    }
  });
  dialog.addEventListener("close", stop);
  get("shoot").addEventListener("click", () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    dialog.close();
    open({ name: "camera picture", data, width, height });
  });
}

export function begin() {
  const buttons = EXAMPLES.map(([name, words]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = words;
    const image = Object.assign(new Image(40, 40), { src: `${ICONS}${name.replace(/\..*/, ".webp")}`, alt: words });
    button.append(image);
    button.addEventListener("click", () => openExample(name));
    return button;
  });
  get("examples").replaceChildren(...buttons);
  const press = () => buttons.forEach((button, at) => button.setAttribute("aria-pressed", state.picture?.example === EXAMPLES[at][0]));
  press();
  on("picture", press);

  get("open").addEventListener("click", () => get("file").click());
  get("file").addEventListener("change", async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    await take(files);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
  let depth = 0;
  const show = () => { get("drop").hidden = depth === 0; };
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => { if (isFiles(event)) { depth++; show(); } });
  addEventListener("dragleave", (event) => { if (isFiles(event)) { depth = Math.max(0, depth - 1); show(); } });
  addEventListener("dragover", (event) => { if (isFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    depth = 0;
    show();
    if (!isFiles(event)) return;
    event.preventDefault();
    const folder = event.dataTransfer.items[0]?.webkitGetAsEntry?.();
    const { files } = event.dataTransfer;
    if (folder?.isDirectory) modelIn(folder).then(take, problem);
    else take(files);
  });
  beginCamera();
}
