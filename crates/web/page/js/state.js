// What the page shows, and who is told when it changes.

export const state = {
  hub: "https://huggingface.co",
  models: [],        // { name, group, files(): Promise<{ config, weights }>, info }
  model: null,       // one of them
  isModelChosen: false,
  picture: null,     // { name, example, width, height, source }
  levels: [],        // { name, width, height, base, codes, shown }: as encoded; as painted; as shifted and decoded
  level: 0,
  maps: [],          // by level: { layout, cell, width, height, distances, shown }
  hovered: null,     // a code that is pointed at
  place: null,       // { x, y }: a place in the picture's codes that is pointed at
  chosen: null,      // a code that was chosen
  view: "looks",
  tool: "look",
  brush: 5,
  shift: [],
  region: null,      // { level, x0, y0, x1, y1 }, the ends not included
  move: null,        // how far the region is dragged, by axis
  figures: {},
};

const listeners = new Map();

export function on(names, listener) {
  for (const name of names.split(" ")) {
    if (!listeners.has(name)) listeners.set(name, []);
    listeners.get(name).push(listener);
  }
}

export function tell(name, data) {
  for (const listener of listeners.get(name) ?? []) listener(data);
}

export const current = () => state.levels[state.level];
export const levelInfo = (level = state.level) => state.model?.info?.levels[level];
