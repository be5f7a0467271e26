// The page's address as a link: which model and example, how far codes are shifted, and what was painted.

import { current, state } from "./state.js";

// The longest list of painted codes that a link holds, in letters.
const MAX_PAINTED = 6000;

// What a link says: { model, image, shift, level, view, code, painted }.
export function read(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const numbers = (name) => said.get(name)?.split(",").map(Number).filter(Number.isInteger);
  const [level] = numbers("level") ?? [];
  const [code] = numbers("code") ?? [];
  return { model: said.get("model"), image: said.get("image"), shift: numbers("shift"), level, code, view: said.get("view"), painted: said.get("painted") };
}

// The link of what is shown, and whether it holds everything.
export async function write() {
  const { model, picture, shift, level, levels, chosen, view } = state;
  const said = new URLSearchParams({ model: model.name });
  let isWhole = !model.isOwn;
  if (picture?.example) said.set("image", picture.example.replace(/\..*/, ""));
  else isWhole = false;
  if (shift.some(Boolean)) said.set("shift", shift.join(","));
  if (level !== levels.length - 1) said.set("level", level);
  if (view !== "looks") said.set("view", view);
  if (chosen !== null) said.set("code", chosen);
  const painted = await pack(changes(levels));
  if (painted && painted.length <= MAX_PAINTED) said.set("painted", painted);
  else if (painted) isWhole = false;
  return { link: `${location.origin}${location.pathname}#${said}`, isWhole };
}

// The codes that differ from those that were encoded: level, steps from the one before, code, …
function changes(levels) {
  const found = [];
  levels.forEach(({ codes, base }, number) => {
    let last = 0;
    codes.forEach((code, at) => {
      if (code === base[at]) return;
      found.push(number, at - last, code);
      last = at;
    });
  });
  return found;
}

async function pack(numbers) {
  if (!numbers.length) return "";
  const bytes = [];
  for (let number of numbers) {
    for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
    bytes.push(number);
  }
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(String.fromCharCode(...packed.subarray(0, 3 * MAX_PAINTED))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

// Gives a function that paints what a link holds; what does not fit is left out.
export async function painter(text) {
  if (!text || text.length > MAX_PAINTED) return undefined;
  let bytes;
  try {
    const packed = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    bytes = await bounded(stream, 1 << 20);
  } catch {
    return undefined;
  }
  const numbers = [];
  let [number, scale] = [0, 1];
  for (const byte of bytes) {
    number += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      numbers.push(number);
      [number, scale] = [0, 1];
    }
  }
  return (levels) => {
    const at = levels.map(() => 0);
    for (let i = 0; i + 2 < numbers.length; i += 3) {
      const [level, step, code] = numbers.slice(i, i + 3);
      if (!levels[level]) return;
      at[level] += step;
      if (at[level] < levels[level].codes.length && code < state.layouts[level].length) levels[level].codes[at[level]] = code;
    }
  };
}

// What a stream holds, as long as that is little.
async function bounded(stream, most) {
  const bytes = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    if (bytes.length + value.length > most) throw new RangeError("too much");
    bytes.push(...value);
  }
}

// Keeps the address at what is shown, without a new step in the browser's history.
export async function follow() {
  if (!state.picture || !current()) return;
  const { link } = await write();
  history.replaceState(null, "", link);
}
