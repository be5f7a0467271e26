// Maps: every code of a level decoded. That takes a while, so a worker of its own does it, and each map is made once.

import { Engine } from "./engine.js";

let engine = null;

// Which module the worker is to run, a promise.
export function begin(module) {
  engine = { module, started: null };
}

// The map of a model's level: { width, height, cell, distances, shown }.
export async function mapOf(model, level) {
  model.maps ??= [];
  model.maps[level] ??= draw(model, level);
  try {
    return await model.maps[level];
  } catch (error) {
    model.maps[level] = null;
    throw error;
  }
}

async function draw(model, level) {
  engine.started ??= new Engine(engine.module);
  await engine.started.model(model.name, await model.files);
  return engine.started.ask("map", { model: model.name, level });
}

// What stands for a map until it is drawn: its size, and no picture.
export function outline(layout, cell = 8) {
  const gap = Math.ceil(cell / 2);
  const side = (cells, slices) => cells * cell + (slices - 1) * gap;
  return { cell, width: side(layout.columns, layout.slices[0]), height: side(layout.rows, layout.slices[1]), distances: null, shown: null };
}
