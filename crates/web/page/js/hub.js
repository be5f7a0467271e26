// Models on the Hugging Face Hub, fetched by the browser. Whoever serves the page says where the Hub is; a link cannot.

import { fetchBytes, fetchJson } from "./files.js";

const WORD = /^(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$/;
const REVISION = /^(?!.*\.\.)[A-Za-z0-9_+-][A-Za-z0-9_.+/-]{0,249}$/;

// { repository, revision } of owner/name[@revision], or null.
export function parseHubName(text) {
  const [repository, revision = "main", ...more] = text.trim().split("@");
  const words = repository.split("/");
  const right = more.length === 0 && words.length === 2 && words.every((word) => WORD.test(word)) && REVISION.test(revision);
  return right ? { repository, revision } : null;
}

// The two files of a model, both of one commit.
export async function fetchFromHub(hub, text, told) {
  const name = parseHubName(text);
  if (!name) throw new Error(`“${text}” is not a name on the Hub: expected owner/name or owner/name@revision`);
  const { repository, revision } = name;
  let found;
  try {
    found = await fetchJson(`${hub}/api/models/${repository}/revision/${encodeURIComponent(revision)}`, repository);
  } catch (error) {
    if (![401, 403, 404].includes(error.status)) throw error;
    throw new Error(`the Hub knows no public model ${repository} with a revision ${revision}: check the name. A private one can be explored by “ksom explore ${repository}”`);
  }
  const commit = /^[0-9a-f]{40}$/.test(found.sha) ? found.sha : revision;
  const file = (path) => fetchBytes(`${hub}/${repository}/resolve/${encodeURIComponent(commit)}/${path}`, `${path} of ${repository}`, told);
  const [config, weights] = await Promise.all([file("config.json"), file("model.safetensors")]);
  return { config, weights };
}
