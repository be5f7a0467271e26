// What can be taken along: codes, pictures, a link.

import { write } from "./address.js";
import { file, problem } from "./session.js";
import { on, state, tell } from "./state.js";

const get = (id) => document.getElementById(id);

function download(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes]));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  tell("status", `${name}: ${bytes.length.toLocaleString("en")} bytes`);
}

// The picture's name without folders and ending.
const stem = () => state.picture.name.replace(/^.*[\\/]/, "").replace(/\.[^.]*$/, "") || "picture";
const modelName = () => state.model.name.replace(/[^A-Za-z0-9._-]+/g, "-");

async function saveNpy() {
  const { levels } = state;
  for (const [level, { name }] of levels.entries()) {
    download(await file("npy", level), levels.length > 1 ? `${stem()}.${name}.npy` : `${stem()}.npy`);
  }
}

const SAVES = {
  "save-npy": saveNpy,
  "save-safetensors": async () => download(await file("safetensors"), `${stem()}.safetensors`),
  "save-png": async () => download(await file("png"), `${stem()}-${modelName()}.png`),
  "save-map": async () => download(await file("map", state.level), `${modelName()}-map.png`),
  async "copy-link"() {
    const { link, isWhole } = await write();
    await navigator.clipboard.writeText(link);
    tell("status", isWhole ? "The link is copied." : "The link is copied. It names no picture or model of your own: those stay here.");
  },
};

export function begin() {
  for (const [id, save] of Object.entries(SAVES)) {
    get(id).addEventListener("click", () => save().catch(problem));
  }
  on("reconstruction", () => {
    for (const id of Object.keys(SAVES)) get(id).disabled = false;
  });
}
