// Two codebooks, trained alike but for the map, side by side: their maps, and the same picture from shifted codes.

import { drawBitmap, fit } from "./draw.js";
import { mapOf } from "./maps.js";
import { ask, loadModel, workersStarted } from "./session.js";
import { on, state, tell } from "./state.js";
import { axisSliders } from "./widgets.js";

const PAIR = [["cifar10-ksom", "KSOM", "with a map"], ["cifar10-ema", "EMA-VQ", "without"]];
const SLOT = "compare";
// Longest side of the pictures here, so that sliders are followed at once.
const LONGEST = 512;

const get = (id) => document.getElementById(id);
let sides = [];
let shift = [];
let showShift = () => {};
let running = null;
let again = false;
let isOpen = false;
let encodedBy = 0; // The worker that knows the picture here.
let shownPicture = null;

function build() {
  sides = PAIR.map(([name, title, words]) => {
    const figure = document.createElement("figure");
    figure.className = "panel";
    figure.innerHTML = `<figcaption><span><strong></strong> <span></span></span><output></output></figcaption>
      <div class="stage"><div class="fit"><canvas role="img"></canvas></div></div>
      <div class="stage map"><div class="fit cells"><canvas role="img"></canvas></div></div>`;
    const [label, note] = figure.querySelectorAll("figcaption strong, figcaption span span");
    label.textContent = title;
    note.textContent = words;
    const [picture, map] = figure.querySelectorAll("canvas");
    picture.setAttribute("aria-label", `The picture by ${title}`);
    map.setAttribute("aria-label", `The codes of ${title} in their places`);
    figure.dataset.model = name;
    return { name, figure, picture, map, psnr: figure.querySelector("output"), model: state.models.find((model) => model.name === name) };
  });
  get("pair").replaceChildren(...sides.map((side) => side.figure));
}

async function start() {
  isOpen = true;
  get("compare-start").disabled = true;
  try {
    if (!sides.length) build();
    get("compare").hidden = false;
    for (const side of sides) {
      const info = await loadModel(side.model);
      side.grid = info.levels[0].grid;
    }
    if (!shift.length) {
      shift = sides[0].grid.map(() => 0);
      showShift = axisSliders(get("compare-shifts"), sides[0].grid, (to) => {
        shift = to;
        showShift(shift);
        redraw();
      });
    }
    shownPicture = state.picture;
    await encode();
    for (const side of sides) await drawMap(side);
    get("compare-start").hidden = true;
  } catch (error) {
    isOpen = false;
    get("compare").hidden = true;
    tell("problem", error.message);
  }
  get("compare-start").disabled = false;
}

async function drawMap(side) {
  const map = await mapOf(side.model, 0);
  fit(side.map.parentElement, map.width, map.height);
  drawBitmap(side.map, map.shown);
}

async function prepare() {
  encodedBy = workersStarted();
  await ask("reduce", { from: "main", slot: SLOT, longest: LONGEST });
  for (const side of sides) {
    await loadModel(side.model);
    await ask("encode", { slot: SLOT, model: side.name });
  }
}

function encode() {
  encodedBy = 0;
  return redraw();
}

// Decodes both by the shift; the newest counts.
function redraw() {
  if (running) again = true;
  else running = drawAll().catch((error) => tell("problem", error.message)).finally(() => { running = null; });
  return running;
}

async function drawAll() {
  get("compare").dataset.state = "working";
  do {
    again = false;
    if (encodedBy !== workersStarted()) await prepare();
    for (const side of sides) {
      const { shown, psnr } = await ask("decode", { slot: SLOT, model: side.name, levels: null, shift: [...shift] });
      fit(side.picture.parentElement, shown.width, shown.height);
      drawBitmap(side.picture, shown);
      shown.close();
      side.psnr.textContent = `${psnr.toFixed(2)} dB`;
    }
  } while (again);
  get("compare").dataset.state = "done";
}

export function begin() {
  const bytes = state.models.filter((model) => PAIR.some(([name]) => name === model.name)).reduce((sum, model) => sum + model.bytes, 0);
  get("compare-cost").textContent = `${(bytes / 1e6).toFixed(1)} MB`;
  get("compare-start").addEventListener("click", start);
  // Another picture: once the page has done with it.
  on("reconstruction", () => {
    if (isOpen && state.picture !== shownPicture) {
      shownPicture = state.picture;
      encode().catch((error) => tell("problem", error.message));
    }
  });
}
