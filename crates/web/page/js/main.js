// The page: begins everything, in the order in which it is needed.

import * as address from "./address.js";
import * as compare from "./compare.js";
import { Engine } from "./engine.js";
import { fetchJson, fetchModule } from "./files.js";
import * as mapView from "./map_view.js";
import * as maps from "./maps.js";
import * as models from "./models.js";
import * as pictureView from "./picture_view.js";
import * as save from "./save.js";
import * as session from "./session.js";
import { EXAMPLES, exampleBytes, begin as beginSources, openExample } from "./sources.js";
import * as status from "./status.js";
import { on, state, tell } from "./state.js";
import * as tools from "./tools.js";

const STANDARD = "photos-ksom";
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

const module = fetchModule(status.fetched);
const engine = new Engine(module);
maps.begin(module);

async function begin() {
  session.begin(engine);
  status.begin(engine);
  const said = address.read(location.hash);
  const name = EXAMPLES.map(([name]) => name).find((name) => name.replace(/\..*/, "") === said.image || name === said.image) ?? EXAMPLES[0][0];
  exampleBytes(name, status.fetched).catch(() => {});
  const index = await fetchJson("models.json", "models.json");
  state.hub = index.hub;
  state.models = models.known(index, status.fetched);
  state.standard = index.first ?? STANDARD;
  state.isModelChosen = Boolean(index.first);
  state.model = state.models.find((model) => model.name === state.standard) ?? state.models[0];
  const asked = state.models.find((model) => model.name === said.model);
  if (asked) Object.assign(state, { model: asked, isModelChosen: true });
  if (mapView.VIEWS.some(([view]) => view === said.view)) state.view = said.view;
  state.model.files = state.model.fetch();
  state.model.files.catch(() => {});
  for (const part of [pictureView, mapView, tools, save, compare]) part.begin();
  models.begin(status.fetched);
  beginSources();

  const unknown = said.model && !asked;
  const edits = asked ? await address.painter(said.painted) : undefined;
  await openExample(name, { edits, shift: said.shift, level: said.level });
  if (unknown) tell("problem", `There is no model ${said.model} here: add it by its name on the Hub, or by its files.`);
  if (Number.isInteger(said.code) && state.layouts && said.code >= 0 && said.code < state.layouts[state.level].length) {
    state.chosen = said.code;
    tell("pointing");
  }
  engine.prepareSpare();
  on("reconstruction pointing view edited", later(address.follow));
  if (LOOPBACK.includes(location.hostname)) fetchRest();
}

// Nothing is slow or dear on this machine: with everything here, the network may go.
async function fetchRest() {
  for (const [name] of EXAMPLES) await exampleBytes(name).catch(() => {});
  for (const model of state.models) {
    model.files ??= model.fetch();
    await model.files.catch(() => { model.files = null; });
  }
  document.documentElement.dataset.rest = "done";
}

// Calls a function once nothing has happened for a moment.
function later(work) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, 400);
  };
}

addEventListener("hashchange", () => location.reload());
begin().catch(session.problem);
