// Times a model in WebAssembly under Node: encoding and decoding a picture, in a module built by scripts/build_web.sh, beside
// the same model in onnxruntime-web (its WebAssembly, one thread).
//
//   node scripts/bench_web.mjs [--onnx DIR] [--side N] [--rounds N] [FOLDER…]
//
// Each FOLDER holds ksom_web.js and ksom_web_bg.wasm, by default the one that build_web.sh leaves, target/web/pkg. DIR is what `ksom export photos-ksom --onnx DIR` writes; onnxruntime-web is looked for in target/web/node_modules
// (`npm install --prefix target/web onnxruntime-web`). Programs take turns; told are the median and the least milliseconds
// of computing.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({
  options: { onnx: { type: "string" }, side: { type: "string", default: "256" }, rounds: { type: "string", default: "15" } },
  allowPositionals: true,
});
const root = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..");
const side = Number(options.side);
const folders = positionals.length ? positionals : [join(root, "target/web/pkg")];
const model = join(root, "models/photos-ksom");
const config = readFileSync(join(model, "config.json"));

// The middle of a photograph.
function cut(picture, Picture) {
  const whole = picture.rgba();
  const [left, top] = [(picture.width - side) >> 1, (picture.height - side) >> 1];
  const rgba = new Uint8Array(4 * side * side);
  for (let y = 0; y < side; y++) {
    const from = 4 * ((top + y) * picture.width + left);
    rgba.set(whole.subarray(from, from + 4 * side), 4 * side * y);
  }
  return { rgba, picture: Picture.fromRgba(rgba, side, side) };
}

const programs = [];
let rgba;
for (const folder of folders) {
  const ksom = await import(pathToFileURL(join(resolve(folder), "ksom_web.js")));
  await ksom.default({ module_or_path: readFileSync(join(folder, "ksom_web_bg.wasm")) });
  const example = ksom.Picture.decode(readFileSync(join(root, "examples/images/astronaut.jpg")), "astronaut.jpg");
  const part = cut(example, ksom.Picture);
  rgba = part.rgba;
  const network = ksom.Model.load(config, readFileSync(join(model, "model.safetensors")), "photos-ksom");
  let codes;
  programs.push({
    name: `ksom ${ksom.instructionSet()}`,
    encode: async () => (codes?.free(), (codes = network.encode(part.picture))),
    decode: async () => network.decode(codes).free(),
    codes: () => codes.get(0),
  });
}

if (options.onnx) {
  const ort = await import(pathToFileURL(onnxruntime()));
  ort.env.wasm.numThreads = 1;
  const files = readdirSync(options.onnx).filter((file) => file.endsWith(".onnx"));
  const session = (part) => {
    const file = files.find((file) => file.includes(part)) ?? fail(`${options.onnx} holds no ${part} in ONNX: ${files}`);
    return ort.InferenceSession.create(readFileSync(join(options.onnx, file)), { executionProviders: ["wasm"] });
  };
  const [encoder, decoder] = [await session("encoder"), await session("decoder")];
  const pixels = new Float32Array(3 * side * side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) pixels[c * side * side + i] = rgba[4 * i + c] / 255;
  }
  const input = new ort.Tensor("float32", pixels, [1, 3, side, side]);
  let codes;
  programs.push({
    name: `onnxruntime-web ${ort.env.versions?.web ?? ""}`,
    encode: async () => (codes = (await encoder.run({ [encoder.inputNames[0]]: input }))[encoder.outputNames[0]]),
    decode: async () => await decoder.run({ [decoder.inputNames[0]]: codes }),
    codes: () => Array.from(codes.data, Number),
  });
}

function onnxruntime() {
  const folder = join(root, "target/web/node_modules/onnxruntime-web");
  if (!existsSync(folder)) fail("no onnxruntime-web: npm install --prefix target/web onnxruntime-web");
  const { node } = JSON.parse(readFileSync(join(folder, "package.json"))).exports["."];
  return join(folder, typeof node === "string" ? node : node.import?.default ?? node.import);
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

// Of the process, so that what else the machine does counts less.
function milliseconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const times = programs.map(() => ({ encode: [], decode: [] }));
for (let round = -2; round < Number(options.rounds); round++) {
  for (const [i, program] of programs.entries()) {
    for (const what of ["encode", "decode"]) {
      const started = milliseconds();
      await program[what]();
      if (round >= 0) times[i][what].push(milliseconds() - started);
    }
  }
}
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const told = (list) => `${median(list).toFixed(1)} (${Math.min(...list).toFixed(1)})`;
console.log(`${side}×${side}, ${options.rounds} rounds: median (least) ms of computing`);
const first = programs[0].codes();
for (const [i, program] of programs.entries()) {
  const differ = program.codes().reduce((count, code, at) => count + (code !== first[at]), 0);
  console.log(
    `${program.name.padEnd(24)} encode ${told(times[i].encode)}, decode ${told(times[i].decode)}, ` +
      `${differ} of ${first.length} codes are not those of ${programs[0].name}`,
  );
}
