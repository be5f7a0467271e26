// Which model: those of the page, one's own two files, or one on the Hub.

import { fetchBytes } from "./files.js";
import { fetchFromHub } from "./hub.js";
import { choose } from "./session.js";
import { on, state, tell } from "./state.js";

const ABOUT = {
  "photos-ksom": "photographs",
  "photos-ksom-4096": "photographs, more detail",
  "photos-ksom-f8": "photographs, few codes",
  "photos-ksom-vqvae2": "photographs, two levels",
  "cifar10-ksom": "small pictures",
  "cifar10-ksom-gaussian": "small pictures, gaussian",
  "cifar10-ema": "EMA-VQ: no map",
};

const get = (id) => document.getElementById(id);

// The models that the page's server has.
export function known(index, told) {
  return index.models.map(({ name, folder, bytes }) => ({
    name,
    bytes,
    about: ABOUT[name],
    async fetch() {
      const file = (path) => fetchBytes(`${folder}/${path}`, `the model ${name}`, told);
      const [config, weights] = await Promise.all([file("config.json"), file("model.safetensors")]);
      return { config, weights };
    },
  }));
}

function show() {
  const options = state.models.map((model) => Object.assign(document.createElement("option"), { value: model.name, textContent: model.about ? `${model.name} — ${model.about}` : model.name }));
  get("model").replaceChildren(...options);
  get("model").value = state.model?.name ?? "";
}

// Adds a model and chooses it; one that cannot be loaded is taken back.
async function add(model) {
  const before = state.models;
  state.models = [...before.filter((other) => other.name !== model.name), model];
  try {
    await choose(model);
  } catch (error) {
    state.models = before;
    show();
    throw error;
  }
}

// Adds a model from its two files.
export async function addFiles(files) {
  const one = (ending) => files.filter((file) => file.name.toLowerCase().endsWith(ending));
  const [configs, weights] = [one(".json"), one(".safetensors")];
  if (configs.length !== 1 || weights.length !== 1 || files.length !== 2) {
    throw new Error(`A model is two files: config.json and model.safetensors. Found ${files.map((file) => file.name).join(", ")}.`);
  }
  const [config, tensors] = await Promise.all([configs[0], weights[0]].map(async (file) => new Uint8Array(await file.arrayBuffer())));
  let name = "your model";
  for (let number = 2; state.models.some((model) => model.name === name); number++) name = `your model ${number}`;
  await add({ name, bytes: tensors.length, fetch: async () => ({ config, weights: tensors }) });
}

export async function addFromHub(text, told) {
  const name = text.trim();
  const files = await fetchFromHub(state.hub, name, told);
  await add({ name, bytes: files.weights.length, fetch: async () => files });
}

export function begin(told) {
  show();
  on("model", show);
  get("model").addEventListener("change", async (event) => {
    const model = state.models.find(({ name }) => name === event.target.value);
    // What went wrong is on the page already.
    await choose(model).catch(() => {});
  });
  const dialog = get("model-dialog");
  const adding = async (work) => {
    get("model-problem").textContent = "";
    const buttons = [get("hub-get"), get("model-files")];
    for (const button of buttons) button.disabled = true;
    try {
      await work();
      dialog.close();
      tell("status", `${state.model.name} is loaded.`);
    } catch (error) {
      get("model-problem").textContent = error.message;
      tell("problem", "");
    }
    for (const button of buttons) button.disabled = false;
  };
  get("add-model").addEventListener("click", () => {
    get("model-problem").textContent = "";
    dialog.showModal();
  });
  get("model-files").addEventListener("click", () => get("model-file").click());
  get("model-file").addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) adding(() => addFiles(files));
  });
  const fromHub = () => adding(() => addFromHub(get("hub-name").value, told));
  get("hub-get").addEventListener("click", fromHub);
  get("hub-name").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    fromHub();
  });
}
