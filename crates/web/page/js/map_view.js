// The map: every code in its place, by what it looks like, its color, how often it is used, how far its neighbors are.

import { placeColors, pack, ramp } from "./colors.js";
import { drawBitmap, fit, mark } from "./draw.js";
import { current, levelInfo, on, state, tell } from "./state.js";
import { segments } from "./widgets.js";

export const VIEWS = [["looks", "Looks"], ["colors", "Colors"], ["use", "Use"], ["distances", "Distances"]];
const WORDS = {
  looks: "Each code decoded alone, in its place. Neighbors look alike where there is a map.",
  colors: "The colors of the code grid above: near places have near colors.",
  use: "How often this picture uses each code.",
  distances: "How far each code's vector is from its neighbors': the U-matrix.",
};
const VEIL = pack([18, 17, 14], 175);

const get = (id) => document.getElementById(id);

export const layout = () => state.layouts?.[state.level];

// How often the picture uses each code of the level that is shown.
export function counts() {
  const found = new Uint32Array(layout().length);
  for (const code of current().shown) found[code]++;
  return found;
}

const css = (value) => `rgb(${value & 255} ${(value >> 8) & 255} ${(value >> 16) & 255} / ${(value >>> 24) / 255})`;

// Fills each cell of the map with a color, 0xAABBGGRR.
function fill(canvas, color) {
  const { map } = state;
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext("2d");
  for (let code = 0; code < layout().length; code++) {
    const value = color(code);
    const [left, top] = layout().box(code, map);
    context.fillStyle = css(value);
    context.fillRect(left * map.width, top * map.height, map.cell, map.cell);
  }
}

function draw() {
  const { map, view } = state;
  if (!map || !layout()) return;
  fit(get("map"), map.width, map.height);
  const canvas = get("map-canvas");
  let ends = null;
  if (view === "looks" && map.shown) {
    drawBitmap(canvas, map.shown);
  } else if (view === "colors" || !map.shown && view !== "use") {
    const colors = placeColors(layout());
    fill(canvas, (code) => colors[code]);
  } else if (view === "use") {
    const found = counts();
    const most = found.reduce((a, b) => Math.max(a, b), 1);
    fill(canvas, (code) => (found[code] ? pack(ramp("use", Math.sqrt(found[code] / most))) : pack([128, 128, 128], 40)));
    const used = found.reduce((sum, count) => sum + (count > 0), 0);
    ends = ["1", `${most} times`, `${used} of ${found.length} codes are used.`];
  } else {
    const [low, high] = [Math.min(...map.distances), Math.max(...map.distances)];
    const span = high - low || 1;
    fill(canvas, (code) => pack(ramp("distances", (map.distances[code] - low) / span)));
    ends = [low.toPrecision(2), high.toPrecision(2), WORDS.distances];
  }
  legend(ends);
  const { quantizer, grid } = levelInfo();
  get("map-caption").textContent = `The map: ${layout().length} codes on ${grid.join("×")}, ${quantizer}`;
}

function legend(ends) {
  const element = get("legend");
  if (!ends) {
    element.replaceChildren(state.map.shown ? WORDS[state.view] : "The map is being drawn: every code is decoded once.");
    return;
  }
  const scale = document.createElement("canvas");
  Object.assign(scale, { width: 60, height: 1 });
  const context = scale.getContext("2d");
  for (let x = 0; x < 60; x++) {
    context.fillStyle = `rgb(${ramp(state.view, x / 59).join(" ")})`;
    context.fillRect(x, 0, 1, 1);
  }
  element.replaceChildren(ends[0], scale, ends[1], Object.assign(document.createElement("span"), { textContent: ends[2] }));
}

// Marks what is pointed at and chosen; of a region, where its codes lie.
function drawMarks() {
  const { map, hovered, chosen, region } = state;
  if (!map || !layout()) return;
  const box = (code) => (code === null || code === undefined ? null : layout().box(code, map));
  mark(get("map-ring"), box(hovered));
  mark(get("map-chosen"), box(chosen));
  get("map-light").classList.toggle("on", Boolean(region));
  if (region) {
    const inside = new Set(codesIn(region));
    fill(get("map-light"), (code) => (inside.has(code) ? 0 : VEIL));
  }
}

export function codesIn({ x0, y0, x1, y1 }) {
  const { shown, width } = current();
  const found = [];
  for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) found.push(shown[y * width + x]);
  return found;
}

// What is said of a code.
export function describe(code) {
  const places = layout().coordinates(code);
  const where = places.length === 2 ? `column ${places[0]}, row ${places[1]}` : `at ${places.join(", ")}`;
  const { shown } = current();
  let count = 0;
  for (const it of shown) count += it === code;
  const share = (100 * count) / shown.length;
  return [`Code ${code}`, `${where}; ${count ? `${count} times in this picture, ${share.toFixed(share < 10 ? 1 : 0)} %` : "not in this picture"}`];
}

function drawCard() {
  const code = state.hovered ?? state.chosen;
  const swatch = get("swatch").getContext("2d");
  swatch.clearRect(0, 0, 16, 16);
  if (code === null || !current()) {
    get("code-name").textContent = "No code yet";
    get("code-place").textContent = "Point at the map or at the picture.";
    return;
  }
  [get("code-name").textContent, get("code-place").textContent] = describe(code);
  const { map } = state;
  if (!map?.shown) {
    swatch.fillStyle = css(placeColors(layout())[code]);
    swatch.fillRect(0, 0, 16, 16);
    return;
  }
  const [left, top, width, height] = layout().box(code, map);
  const scale = map.shown.width / map.width;
  swatch.imageSmoothingEnabled = false;
  swatch.drawImage(map.shown, left * map.width * scale, top * map.height * scale, width * map.width * scale, height * map.height * scale, 0, 0, 16, 16);
}

export function begin() {
  const show = segments(get("view"), VIEWS, (value) => {
    state.view = value;
    tell("view");
  });
  show(state.view);
  on("view", () => {
    show(state.view);
    draw();
  });
  on("map", () => {
    draw();
    drawMarks();
    drawCard();
  });
  on("codes", () => {
    if (state.view === "use") draw();
    drawMarks();
    drawCard();
  });
  on("pointing", () => {
    drawMarks();
    drawCard();
  });
}
