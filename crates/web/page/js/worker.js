// All computing: the models, pictures and codes of the WebAssembly module live here. A request is { id, op, args }, its
// answer { id, result } or { id, error, fatal }, with { id, done, total } before it where it takes long.

import init, { Model, Picture } from "../pkg/ksom_web.js";

// The longest side of what is shown, in pixels; files hold the whole picture.
const SHOWN = 1600;

// The kinds of errors after which the module is as it was.
const HARMLESS = ["Config", "Weights", "Picture", "Codes", "WrongModel", "Memory", "Invalid"];

const models = new Map();
const pictures = new Map();
const codes = new Map(); // As encoded, by "slot/model".
const edited = new Map(); // As last decoded, the same.
const decoded = new Map();
let memory = null;

const key = (slot, model) => `${slot}/${model}`;

function put(map, name, value) {
  map.get(name)?.free();
  map.set(name, value);
}

function wanted(map, name, what) {
  const found = map.get(name);
  if (!found) throw Object.assign(new Error(`there is no ${what} here yet`), { name: "Invalid" });
  return found;
}

// A picture as something to draw, at most SHOWN pixels long.
function bitmap(picture) {
  const pixels = new ImageData(picture.rgba(), picture.width, picture.height);
  const scale = Math.min(1, SHOWN / Math.max(picture.width, picture.height));
  if (scale === 1) return createImageBitmap(pixels);
  const size = { resizeWidth: Math.ceil(picture.width * scale), resizeHeight: Math.ceil(picture.height * scale), resizeQuality: "medium" };
  return createImageBitmap(pixels, size);
}

function levelsOf(it) {
  return it.levels().map((name, level) => ({ name, codes: it.get(level), width: it.width(level), height: it.height(level) }));
}

// Every code of every level moved along the axes, then those of a region.
function moved(it, shift, region) {
  let now = it.clone();
  const replace = (next) => { now.free(); now = next; };
  const count = now.levels().length;
  for (let level = 0; level < count; level++) {
    shift.forEach((by, axis) => by && replace(now.shift(level, axis, by)));
  }
  region?.by.forEach((by, axis) => by && now.shiftRegion(region.level, region.x0, region.y0, region.x1, region.y1, axis, by));
  return now;
}

const operations = {
  async init({ module }) {
    memory = (await init({ module_or_path: module })).memory;
    return {};
  },

  model({ name, config, weights }) {
    const model = Model.load(config, weights, name);
    put(models, name, model);
    return { name, fingerprint: model.fingerprint, levels: Array.from(model.levels, (level) => ({ ...level, grid: Array.from(level.grid) })) };
  },

  async picture({ slot, name, bytes, data, width, height }) {
    const picture = bytes ? Picture.decode(bytes, name) : Picture.fromRgba(data, width, height);
    put(pictures, slot, picture);
    for (const map of [codes, edited, decoded]) {
      for (const name of [...map.keys()].filter((name) => name.startsWith(`${slot}/`))) {
        map.get(name).free();
        map.delete(name);
      }
    }
    return { width: picture.width, height: picture.height, shown: await bitmap(picture) };
  },

  // A smaller copy of a picture, for what has to be quick.
  reduce({ from, slot, longest }) {
    const picture = wanted(pictures, from, "picture");
    const scale = Math.min(1, longest / Math.max(picture.width, picture.height));
    const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
    const large = new OffscreenCanvas(picture.width, picture.height);
    large.getContext("2d").putImageData(new ImageData(picture.rgba(), picture.width, picture.height), 0, 0);
    const small = new OffscreenCanvas(width, height).getContext("2d");
    small.imageSmoothingQuality = "high";
    small.drawImage(large, 0, 0, width, height);
    put(pictures, slot, Picture.fromRgba(small.getImageData(0, 0, width, height).data, width, height));
    return { width, height };
  },

  encode({ slot, model }, told) {
    const start = performance.now();
    const it = wanted(models, model, "model");
    const found = it.encode(wanted(pictures, slot, "picture"), told);
    put(codes, key(slot, model), found);
    return { levels: levelsOf(found), bits: it.bitsPerPixel(found), ms: performance.now() - start };
  },

  async decode({ slot, model, levels, shift = [], region }, told) {
    const it = wanted(models, model, "model");
    const own = wanted(codes, key(slot, model), "code").clone();
    levels?.forEach((level, number) => level && own.set(number, level));
    const now = moved(own, shift, region);
    own.free();
    const start = performance.now();
    const picture = it.decode(now, told);
    const ms = performance.now() - start;
    put(edited, key(slot, model), now);
    put(decoded, key(slot, model), picture);
    const psnr = wanted(pictures, slot, "picture").psnr(picture);
    return { levels: levelsOf(now), sha256: now.sha256(), psnr, ms, shown: await bitmap(picture) };
  },

  // A part of the picture from codes that were just painted; x, y, width and height in pixels.
  async part({ slot, model, levels, part }) {
    const it = wanted(models, model, "model");
    const own = wanted(codes, key(slot, model), "code").clone();
    levels.forEach((level, number) => level && own.set(number, level));
    const picture = it.decodeRegion(own, part.x, part.y, part.width, part.height);
    const shown = await createImageBitmap(new ImageData(picture.rgba(), picture.width, picture.height));
    own.free();
    picture.free();
    return { shown };
  },

  async map({ model, level }) {
    const it = wanted(models, model, "model");
    const picture = it.codePicture(level);
    const result = { width: picture.width, height: picture.height, cell: it.cellSize(level), distances: it.distances(level), shown: await bitmap(picture) };
    picture.free();
    return result;
  },

  file({ slot, model, what, level }) {
    const found = (map, what) => wanted(map, key(slot, model), what);
    if (what === "npy") return found(edited, "code").npy(level);
    if (what === "safetensors") return found(edited, "code").safetensors();
    if (what === "png") return found(decoded, "reconstruction").png();
    const map = wanted(models, model, "model").codePicture(level);
    const bytes = map.png();
    map.free();
    return bytes;
  },

  // For tests: as if the module had met a bug, which no file is known to do.
  fail() {
    throw Object.assign(new Error("this is a bug in ksom: on demand"), { name: "Panic" });
  },
};

// What can be handed over instead of being copied.
function transferable(result) {
  const found = [];
  for (const value of [result, ...Object.values(result)]) {
    if (value instanceof ImageBitmap) found.push(value);
    else if (ArrayBuffer.isView(value)) found.push(value.buffer);
    else if (Array.isArray(value)) found.push(...value.map((part) => part?.codes?.buffer).filter(Boolean));
  }
  return [...new Set(found)];
}

async function handle({ id, op, args }) {
  let last = 0;
  const told = (done, total) => {
    const now = performance.now();
    if (now - last > 60 || done === total) postMessage({ id, done: Number(done), total: Number(total) });
    last = now;
  };
  try {
    const result = await operations[op](args, told);
    postMessage({ id, result, memory: memory?.buffer.byteLength ?? 0 }, transferable(result));
  } catch (error) {
    // What a panic or a lack of memory leaves behind cannot be used again.
    postMessage({ id, error: error?.message || String(error), fatal: !HARMLESS.includes(error?.name) });
  }
}

// One after the other, as they come.
let line = Promise.resolve();
addEventListener("message", ({ data }) => { line = line.then(() => handle(data)); });
postMessage({ ready: true });
