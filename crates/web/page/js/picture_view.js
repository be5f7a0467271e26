// The picture and its codes: what is drawn of them, and the light on the cells of one code.

import { placeColors, pack } from "./colors.js";
import { drawBitmap, drawCells, fit, mark } from "./draw.js";
import { current, levelInfo, on, state } from "./state.js";
import { segments, splitter } from "./widgets.js";
import { setLevel } from "./session.js";

const VEIL = pack([18, 17, 14], 190);

const get = (id) => document.getElementById(id);

// Pixels of a code's side, as parts of the picture's width and height.
export function cellOnPicture() {
  const { downsample } = levelInfo();
  return [downsample / state.picture.width, downsample / state.picture.height];
}

// The code whose cells are lit, or null. What is painted or moved is to be seen, not what was chosen for it.
export function litCode() {
  if (state.hovered !== null && !state.place) return state.hovered;
  return state.tool === "look" ? state.chosen : null;
}

function drawCodes() {
  const level = current();
  if (!level) return;
  const colors = placeColors(state.layouts[state.level]);
  fit(get("codes"), level.width, level.height);
  drawCells(get("code-grid"), level.width, level.height, (at) => colors[level.shown[at]]);
  const names = state.levels.length > 1 ? [" of the top level", " of the bottom level"][state.level] : "";
  get("codes-caption").textContent = `Codes${names}, colored by their place on the map`;
}

function drawLight() {
  const level = current();
  const code = litCode();
  const isLit = level && code !== null && !state.region;
  for (const id of ["picture-light", "codes-light"]) {
    get(id).classList.toggle("on", Boolean(isLit));
    if (isLit) drawCells(get(id), level.width, level.height, (at) => (level.shown[at] === code ? 0 : VEIL));
  }
  if (!isLit || !state.picture) return;
  // The codes may reach beyond the picture, whose sides were no multiple of a cell's.
  const [across, down] = cellOnPicture();
  Object.assign(get("picture-light").style, { width: `${across * level.width * 100}%`, height: `${down * level.height * 100}%` });
}

function drawMarks() {
  const level = current();
  if (!level || !state.picture) return;
  const [across, down] = cellOnPicture();
  const [x, y] = state.place ? [state.place.x, state.place.y] : [];
  mark(get("picture-ring"), state.place && [x * across, y * down, across, down]);
  mark(get("codes-ring"), state.place && [x / level.width, y / level.height, 1 / level.width, 1 / level.height]);
  const region = state.region;
  const box = region && [region.x0, region.y0, region.x1 - region.x0, region.y1 - region.y0];
  mark(get("picture-region"), box && [box[0] * across, box[1] * down, box[2] * across, box[3] * down]);
  mark(get("codes-region"), box && [box[0] / level.width, box[1] / level.height, box[2] / level.width, box[3] / level.height]);
}

function drawFigures() {
  const { psnr, bits, encodeMs, decodeMs } = state.figures;
  const put = (id, value, unit) => { get(id).innerHTML = value === null || value === undefined ? "–" : `${value}${unit ? ` <small>${unit}</small>` : ""}`; };
  put("psnr", Number.isFinite(psnr) ? psnr.toFixed(2) : psnr === Infinity ? "∞" : null, "dB");
  put("bits", bits?.toFixed(4));
  put("count", state.levels.length ? state.levels.map((level) => `${level.width}×${level.height}`).join(" + ") : null);
  put("encode-ms", encodeMs?.toFixed(0), "ms");
  put("decode-ms", decodeMs?.toFixed(0), "ms");
}

export function begin() {
  splitter(get("split"), get("picture"));
  const showLevel = segments(get("level"), [["0", "Top"], ["1", "Bottom"]], (value) => setLevel(Number(value)));
  on("picture", (shown) => {
    fit(get("picture"), state.picture.width, state.picture.height);
    drawBitmap(get("original"), shown);
    drawBitmap(get("reconstruction"), shown);
    shown.close();
    get("original").setAttribute("aria-label", `Original: ${state.picture.name}, ${state.picture.width} by ${state.picture.height} pixels`);
  });
  on("reconstruction", (shown) => {
    drawBitmap(get("reconstruction"), shown);
    shown.close();
    drawFigures();
  });
  on("part", ({ x, y, width, height, shown }) => {
    const canvas = get("reconstruction");
    const scale = canvas.width / state.picture.width;
    canvas.getContext("2d").drawImage(shown, x * scale, y * scale, width * scale, height * scale);
  });
  on("codes", () => {
    get("level").hidden = state.levels.length < 2;
    showLevel(state.level);
    drawCodes();
    drawFigures();
    drawLight();
    drawMarks();
  });
  on("pointing", () => {
    drawLight();
    drawMarks();
  });
}

export { drawCodes };
