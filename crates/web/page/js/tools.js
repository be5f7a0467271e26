// What pointer and keys do with the picture, its codes and the map: look, paint, move.

import { pointed } from "./draw.js";
import { cellOnPicture } from "./picture_view.js";
import { codesIn, describe, layout } from "./map_view.js";
import { beginEdit, canUndo, endMove, endPainting, redecode, repaint, reset, undo } from "./session.js";
import { current, levelInfo, on, state, tell } from "./state.js";
import { axisSliders, Cells, segments } from "./widgets.js";

const TOOLS = [["look", "Look"], ["paint", "Paint"], ["move", "Move"]];
const HINTS = {
  look: "Point at a code, here or there. A click keeps it.",
  paint: "Choose a code on the map, then paint it into the picture or its codes.",
  move: "Drag a frame over the picture, then drag its codes along the map.",
};

const get = (id) => document.getElementById(id);
let sliders = () => {};

// The place of the pointer among the codes, even beyond their edges.
function placeOf(element, event) {
  const { width, height } = current();
  const [u, v] = pointed(element, event);
  const [x, y] = element.id === "picture" ? [u / cellOnPicture()[0], v / cellOnPicture()[1]] : [u * width, v * height];
  return { x: Math.min(Math.max(Math.floor(x), 0), width - 1), y: Math.min(Math.max(Math.floor(y), 0), height - 1) };
}

function pointAt(place) {
  const { shown, width } = current();
  Object.assign(state, { place, hovered: shown[place.y * width + place.x] });
  tell("pointing");
}

function pointAtCode(code) {
  Object.assign(state, { place: null, hovered: code });
  tell("pointing");
}

function leave() {
  if (state.hovered === null && !state.place) return;
  Object.assign(state, { place: null, hovered: null });
  tell("pointing");
}

function choose(code) {
  state.chosen = state.chosen === code && state.tool === "look" ? null : code;
  tell("pointing");
  tell("status", state.chosen === null ? "No code is kept." : describe(code).join(": "));
}

function setTool(tool) {
  state.tool = tool;
  if (tool !== "move") state.region = null;
  tell("tool");
  tell("pointing");
}

// Paints the chosen code along a line of places.
function stroke(from, to) {
  const level = current();
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  const radius = state.brush / 2;
  for (let step = 0; step <= steps; step++) {
    const x = Math.round(from.x + ((to.x - from.x) * step) / steps);
    const y = Math.round(from.y + ((to.y - from.y) * step) / steps);
    for (let dy = -Math.floor(radius); dy <= radius; dy++) {
      for (let dx = -Math.floor(radius); dx <= radius; dx++) {
        const [column, row] = [x + dx, y + dy];
        if (dx * dx + dy * dy > radius * radius || column < 0 || row < 0 || column >= level.width || row >= level.height) continue;
        level.codes[row * level.width + column] = state.chosen;
      }
    }
  }
  level.shown = level.codes.slice();
  tell("codes");
  // What a code says of its neighborhood reaches a few cells farther.
  const { downsample } = levelInfo();
  const reach = Math.ceil(radius) + 4;
  repaint({
    x0: (Math.min(from.x, to.x) - reach) * downsample, y0: (Math.min(from.y, to.y) - reach) * downsample,
    x1: (Math.max(from.x, to.x) + reach + 1) * downsample, y1: (Math.max(from.y, to.y) + reach + 1) * downsample,
  });
}

// A code to paint with, if none was chosen: the one that the picture uses most.
function needCode() {
  if (state.chosen !== null) return;
  const found = new Map();
  for (const code of current().shown) found.set(code, (found.get(code) ?? 0) + 1);
  state.chosen = [...found].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}

function frame(from, to) {
  const region = { level: state.level, x0: Math.min(from.x, to.x), y0: Math.min(from.y, to.y), x1: Math.max(from.x, to.x) + 1, y1: Math.max(from.y, to.y) + 1 };
  Object.assign(state, { region, hovered: null, place: null });
  tell("pointing");
}

// Follows a pointer that went down on an element, until it is lifted.
function drag(element, event, follow, end = () => {}) {
  element.setPointerCapture(event.pointerId);
  const move = (moved) => moved.pointerId === event.pointerId && follow(moved);
  const done = () => {
    element.removeEventListener("pointermove", move);
    element.removeEventListener("lostpointercapture", done);
    end();
  };
  element.addEventListener("pointermove", move);
  element.addEventListener("lostpointercapture", done);
}

function beginPictures(element, cells) {
  element.addEventListener("pointermove", (event) => {
    if (current() && state.picture && !event.buttons && event.pointerType !== "touch") pointAt(placeOf(element, event));
  });
  element.addEventListener("pointerleave", leave);
  element.addEventListener("pointerdown", (event) => {
    if (!current() || event.button !== 0) return;
    const from = placeOf(element, event);
    cells?.place(from.x, from.y);
    if (state.tool === "paint") {
      event.preventDefault();
      needCode();
      beginEdit();
      let last = from;
      stroke(from, from);
      drag(element, event, (moved) => {
        const to = placeOf(element, moved);
        stroke(last, to);
        last = to;
      }, endPainting);
    } else if (state.tool === "move") {
      event.preventDefault();
      frame(from, from);
      drag(element, event, (moved) => frame(from, placeOf(element, moved)), saidRegion);
    }
  });
  element.addEventListener("click", (event) => {
    if (!current() || state.tool !== "look" || event.target.id === "split") return;
    const { x, y } = placeOf(element, event);
    choose(current().shown[y * current().width + x]);
  });
}

function saidRegion() {
  const { x0, y0, x1, y1 } = state.region;
  tell("status", `${x1 - x0} by ${y1 - y0} codes in the frame, ${new Set(codesIn(state.region)).size} different ones: drag them along the map.`);
}

// Moves the codes of the frame along the map by so many cells across and down.
function moveRegion(by) {
  state.move = layout().grid.map((_, axis) => by[axis] ?? 0);
  redecode();
}

function beginMap(element, cells) {
  const codeAt = (event) => (state.map && layout() ? layout().at(...pointed(element, event), state.map) : null);
  element.addEventListener("pointermove", (event) => {
    if (!event.buttons && current() && !state.region && event.pointerType !== "touch") pointAtCode(codeAt(event));
  });
  element.addEventListener("pointerleave", leave);
  element.addEventListener("pointerdown", (event) => {
    const code = codeAt(event);
    if (code === null || event.button !== 0 || !current()) return;
    cells.place(...layout().cell(code));
    if (state.tool !== "move" || !state.region) return;
    event.preventDefault();
    const [column, row] = layout().cell(code);
    beginEdit();
    drag(element, event, (moved) => {
      const to = codeAt(moved);
      if (to === null) return;
      const [x, y] = layout().cell(to);
      moveRegion([x - column, y - row]);
    }, finishMove);
  });
  element.addEventListener("click", (event) => {
    const code = codeAt(event);
    if (code !== null && current() && !(state.tool === "move" && state.region)) choose(code);
  });
}

// What was moved stays so once it is decoded.
async function finishMove() {
  await redecode();
  endMove();
  tell("edited");
}

// Arrow keys on the map move the codes of the frame.
function moveByKey(event) {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!by || state.tool !== "move" || !state.region || state.move) return false;
  event.preventDefault();
  beginEdit();
  moveRegion(by);
  finishMove();
  return true;
}

// Enter on a code of the picture: looks, paints there, or begins and ends a frame.
function pressCode(x, y) {
  const place = { x, y };
  if (state.tool === "look") return choose(current().shown[y * current().width + x]);
  if (state.tool === "paint") {
    needCode();
    beginEdit();
    stroke(place, place);
    return endPainting();
  }
  const { region } = state;
  const begun = region && region.x1 - region.x0 === 1 && region.y1 - region.y0 === 1;
  frame(begun ? { x: region.x0, y: region.y0 } : place, place);
  return saidRegion();
}

export function begin() {
  const [codes, map] = [get("codes"), get("map")];
  const codeLabel = (code) => (code === null || code === undefined ? "no code" : describe(code).join(", "));
  const codeCells = new Cells(codes, {
    size: () => (current() ? [current().width, current().height] : [0, 0]),
    label: (x, y) => codeLabel(current().shown[y * current().width + x]),
    point: (x, y) => pointAt({ x, y }),
    press: pressCode,
    leave,
  });
  const mapCells = new Cells(map, {
    size: () => (current() && layout() ? [layout().columns, layout().rows] : [0, 0]),
    label: (x, y) => codeLabel(layout().code(x, y)),
    point: (x, y) => pointAtCode(layout().code(x, y)),
    press: (x, y) => { const code = layout().code(x, y); if (code !== null) choose(code); },
    key: moveByKey,
    leave,
  });
  beginPictures(get("picture"), codeCells);
  beginPictures(codes, codeCells);
  beginMap(map, mapCells);

  const showTool = segments(get("tool"), TOOLS, setTool);
  on("tool", () => {
    showTool(state.tool);
    document.documentElement.dataset.tool = state.tool;
    get("tool-hint").textContent = HINTS[state.tool];
    get("brush").disabled = state.tool !== "paint";
  });
  tell("tool");
  const brush = get("brush");
  const showBrush = () => { get("brush-out").textContent = `${state.brush} ${state.brush === 1 ? "code" : "codes"} wide`; };
  brush.addEventListener("input", () => { state.brush = Number(brush.value); showBrush(); });
  showBrush();

  let grid = "";
  on("codes", () => {
    const shape = state.model.info.levels[0].grid;
    if (shape.join() !== grid) {
      sliders = axisSliders(get("shifts"), shape, (shift) => {
        Object.assign(state, { shift, region: null });
        tell("edited");
        redecode();
      });
      grid = shape.join();
    }
    sliders(state.shift);
  });
  on("edited", () => {
    sliders(state.shift);
    const can = canUndo();
    get("undo").disabled = !can.undo;
    get("reset").disabled = !can.reset;
  });
  get("undo").addEventListener("click", undo);
  get("reset").addEventListener("click", reset);
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      undo();
    }
    if (event.key === "Escape" && !document.querySelector("dialog[open]") && (state.chosen !== null || state.region)) {
      Object.assign(state, { chosen: null, region: null });
      tell("pointing");
    }
  });
}
