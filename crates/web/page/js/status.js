// What is going on: a line for screen readers and others, a bar, and what did not work.

import { on, state } from "./state.js";

const get = (id) => document.getElementById(id);
const WORDS = { encode: "Encoding", decode: "Decoding" };
// About how many bytes come before the first picture.
const EXPECTED = 3_300_000;

let isFetched = false;
let bytes = 0;

function bar(part) {
  const element = get("progress");
  element.hidden = part === null;
  if (part === null) return;
  element.setAttribute("aria-valuenow", Math.round(part * 100));
  element.firstElementChild.style.setProperty("--done", part);
}

export function fetched(count) {
  bytes += count;
  if (!isFetched) bar(Math.min(bytes / EXPECTED, 0.95));
}

export function begin(engine) {
  engine.onProgress = (op, done, total) => {
    // Short work needs no bar.
    if (total > 1) bar(done / total);
    if (total > 4 && WORDS[op]) get("status").textContent = `${WORDS[op]}: ${Math.round((100 * done) / total)} %`;
  };
  on("busy", (busy) => {
    if (!busy) bar(null);
  });
  on("status", (text) => { get("status").textContent = text; });
  on("reconstruction", () => {
    if (!isFetched) performance.mark("reconstruction");
    isFetched = true;
    const { width, height, name } = state.picture;
    const psnr = state.figures.psnr;
    get("status").textContent = `${name}, ${width}×${height}: ${Number.isFinite(psnr) ? `${psnr.toFixed(2)} dB` : "the same"} by ${state.model.name}.`;
  });
  on("picture reconstruction", () => { get("problem").hidden = true; });
  on("problem", (text) => {
    get("problem").hidden = !text;
    get("problem").firstElementChild.textContent = text;
    bar(null);
  });
  get("problem").querySelector("button").addEventListener("click", () => {
    get("problem").hidden = true;
    get("picture-panel").focus();
  });
}
