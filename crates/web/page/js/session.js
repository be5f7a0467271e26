// What is done with pictures, models and codes: opening, encoding, changing, decoding. Views only draw.

import { EngineDied } from "./engine.js";
import { Layout } from "./layout.js";
import { mapOf, outline } from "./maps.js";
import { state, tell } from "./state.js";

const SLOT = "main";
// Up to this side, pictures are small, and have a model of their own.
const SMALL_SIDE = 64;
const SMALL_MODEL = "cifar10-ksom";
// Pictures of more pixels take seconds.
const SLOW_PIXELS = 2_000_000;
const MAX_UNDONE = 30;
// Codes of all snapshots together.
const MAX_UNDONE_CODES = 8 << 20;

let engine = null;
let opening = 0;
let decoding = null; // A promise.
let again = false;
let painted = null; // A part of the picture that was painted and not yet decoded.
let undone = [];

export function begin(withEngine) {
  engine = withEngine;
}

// Says for tests and links how far the page is: working, done, failed.
function setState(name, sha256) {
  document.documentElement.dataset.state = name;
  if (sha256) document.documentElement.dataset.codes = sha256;
  document.documentElement.dataset.memory = engine.memory;
  tell("busy", name === "working");
}

// Something did not work; what was there before stays.
export function problem(error) {
  setState("failed");
  tell("problem", error.message);
}

async function loadModel(model) {
  model.files ??= model.fetch().catch((error) => {
    model.files = null;
    throw error;
  });
  const files = await model.files;
  model.info = await engine.model(model.name, files);
  return model.info;
}

export { loadModel };
export const ask = (op, args) => engine.ask(op, args);
export const workersStarted = () => engine.starts;

function send(source) {
  const { bytes, data, width, height, name } = source;
  return engine.ready.then(() => engine.ask("picture", { slot: SLOT, name, bytes, data, width, height }));
}

// Opens a picture: { name, bytes } or { name, data, width, height }, and `example`, its name among them.
export async function open(source, options = {}) {
  const mine = turn();
  tell("status", `Opening ${source.name}`);
  try {
    if (engine.canRestart && (engine.isLarge || engine.busy && isSlow())) engine.restart();
    const { width, height, shown } = await send(source);
    if (mine !== opening) return;
    state.picture = { name: source.name, example: source.example ?? null, width, height, source };
    if (!state.isModelChosen) {
      const fits = Math.max(width, height) <= SMALL_SIDE ? SMALL_MODEL : state.standard;
      state.model = state.models.find((model) => model.name === fits) ?? state.model;
    }
    tell("picture", shown);
    await encode(mine, options);
  } catch (error) {
    if (mine !== opening) return;
    await recover(error);
  }
}

// Whether what the worker does for the picture is better broken off than waited for.
const isSlow = () => state.picture && state.picture.width * state.picture.height > SLOW_PIXELS;

// From now on, what was asked before is of no interest.
function turn() {
  decoding = painted = null;
  again = false;
  setState("working");
  return ++opening;
}

// After an error. Where the worker has died, the new one gets what is on the page.
export async function recover(error) {
  if (error instanceof EngineDied && state.picture) {
    decoding = null;
    again = false;
    try {
      await loadModel(state.model);
      await send(state.picture.source);
      await engine.ask("encode", { slot: SLOT, model: state.model.name });
    } catch (second) {
      problem(second);
      return;
    }
  }
  problem(error);
}

// Chooses a model for the picture that is there.
export async function choose(model) {
  const before = state.model;
  state.model = model;
  state.isModelChosen = true;
  const mine = turn();
  tell("model");
  try {
    if (engine.canRestart && engine.busy && isSlow()) {
      engine.restart();
      await send(state.picture.source);
    }
    await loadModel(model);
    if (mine === opening && state.picture) await encode(mine);
  } catch (error) {
    if (mine !== opening) return;
    state.model = before;
    tell("model");
    await recover(error);
    throw error;
  }
}

async function encode(mine, { edits, shift, level } = {}) {
  const model = state.model;
  tell("model");
  const info = await loadModel(model);
  if (mine !== opening) return;
  tell("status", `Encoding with ${model.name}`);
  const { levels, bits, ms } = await engine.ask("encode", { slot: SLOT, model: model.name });
  if (mine !== opening) return;
  state.levels = levels.map((it) => ({ ...it, base: it.codes, codes: it.codes.slice(), shown: it.codes }));
  state.level = Math.min(level ?? state.levels.length - 1, state.levels.length - 1);
  state.layouts = info.levels.map((it) => new Layout(it.grid));
  state.shift = info.levels[0].grid.map((_, axis) => shift?.[axis] ?? 0);
  Object.assign(state, { region: null, move: null, hovered: null, place: null, chosen: null });
  state.figures = { bits, encodeMs: ms, psnr: null, decodeMs: null };
  state.map = outline(state.layouts[state.level]);
  undone = [];
  painted = null;
  edits?.(state.levels);
  tell("codes");
  tell("edited");
  await decode(mine);
  if (mine === opening) loadMap();
}

// The levels that are not as they were encoded.
const changed = () => state.levels.map(({ codes, base }) => (codes.every((code, at) => code === base[at]) ? null : codes));

// Decodes only what was painted, so that a brush is followed at once.
async function decodePart(mine) {
  const part = painted;
  painted = null;
  const { shown } = await engine.ask("part", { slot: SLOT, model: state.model.name, levels: changed(), part });
  if (mine === opening) tell("part", { ...part, shown });
  shown.close();
}

async function decode(mine = opening) {
  const model = state.model.name;
  const isMoved = state.region && state.move?.some(Boolean);
  const levels = changed();
  const region = isMoved ? { ...state.region, by: [...state.move] } : null;
  const result = await engine.ask("decode", { slot: SLOT, model, levels, shift: [...state.shift], region });
  if (mine !== opening) {
    result.shown.close();
    return;
  }
  state.levels.forEach((level, number) => { level.shown = result.levels[number].codes; });
  Object.assign(state.figures, { psnr: result.psnr, decodeMs: result.ms });
  tell("reconstruction", result.shown);
  tell("codes");
  setState(again || painted ? "working" : "done", result.sha256);
}

// Decodes what has changed; while one decoding runs, what changes meanwhile is decoded once after it. The promise is kept
// when all is shown.
export function redecode() {
  if (!state.levels.length) return Promise.resolve();
  again = true;
  return keepDecoding();
}

function keepDecoding() {
  if (!decoding) {
    const mine = decodeAll(opening).finally(() => { if (decoding === mine) decoding = null; });
    decoding = mine;
  }
  return decoding;
}

// A part of the picture, in pixels, was painted: it is decoded first, and everything once `endPainting` is called.
export function repaint({ x0, y0, x1, y1 }) {
  const { width, height } = state.picture;
  const before = painted && [painted.x, painted.y, painted.x + painted.width, painted.y + painted.height];
  const clamp = (at, most) => Math.min(Math.max(at, 0), most);
  const now = [clamp(x0, width - 1), clamp(y0, height - 1), clamp(x1, width), clamp(y1, height)];
  const [left, top, right, bottom] = before ? now.map((at, side) => (side < 2 ? Math.min : Math.max)(at, before[side])) : now;
  painted = { x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
  keepDecoding();
}

export function endPainting() {
  return redecode();
}

async function decodeAll(mine) {
  setState("working");
  try {
    // Parts first; that everything is still to be decoded outlasts them.
    while ((again || painted) && mine === opening) {
      if (painted) {
        await decodePart(mine);
      } else {
        again = false;
        await decode(mine);
      }
    }
  } catch (error) {
    if (mine === opening) await recover(error);
  }
}

// The map of the level that is shown.
export async function loadMap() {
  const { model, level } = state;
  delete document.documentElement.dataset.map;
  state.map = outline(state.layouts[level]);
  tell("map");
  try {
    const map = await mapOf(model, level);
    if (model !== state.model || level !== state.level) return;
    state.map = map;
    tell("map");
    document.documentElement.dataset.map = "done";
  } catch (error) {
    if (model === state.model) problem(error);
  }
}

export function setLevel(level) {
  Object.assign(state, { level, region: null, move: null, hovered: null, place: null, chosen: null });
  tell("codes");
  loadMap();
}

// Before codes are changed by hand: what is shifted becomes what is there, and can be undone.
export function beginEdit() {
  undone.push({ codes: state.levels.map((level) => level.codes), shift: [...state.shift] });
  const most = MAX_UNDONE_CODES / Math.max(1, state.levels.reduce((sum, level) => sum + level.codes.length, 0));
  while (undone.length > Math.max(1, Math.min(MAX_UNDONE, most))) undone.shift();
  const shifted = state.shift.some(Boolean);
  for (const level of state.levels) level.codes = (shifted ? level.shown : level.codes).slice();
  state.shift.fill(0);
  tell("edited");
}

export function endMove() {
  if (state.move?.some(Boolean)) for (const level of state.levels) level.codes = level.shown.slice();
  state.move = null;
}

export function canUndo() {
  return { undo: undone.length > 0, reset: undone.length > 0 || state.shift.some(Boolean) };
}

export function undo() {
  const last = undone.pop();
  if (!last) return;
  state.levels.forEach((level, number) => { level.codes = last.codes[number]; });
  state.shift = last.shift;
  tell("edited");
  redecode();
}

export function reset() {
  beginEdit();
  for (const level of state.levels) level.codes = level.base.slice();
  undone = [];
  state.region = null;
  tell("edited");
  redecode();
}

// A file of what is there.
export function file(what, level) {
  return engine.ask("file", { slot: SLOT, model: state.model.name, what, level });
}
