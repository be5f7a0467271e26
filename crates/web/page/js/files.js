// Files of the page's own server or of the Hub, in whole, with progress and bounds.

// The largest file that is taken, in bytes.
const LARGEST = 512 << 20;

const GZIP = [0x1f, 0x8b];

// The bytes of a file. `told(bytes)` hears of every part; `what` names it in messages.
export async function fetchBytes(url, what, told = () => {}) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch {
    throw new Error(`${what} cannot be fetched: check the network`);
  }
  if (!response.ok) throw Object.assign(new Error(`${what} cannot be fetched: the server answers ${response.status}`), { status: response.status });
  const parts = [];
  let length = 0;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
      told(value.length);
      if (length > LARGEST) {
        await reader.cancel();
        throw new RangeError(`${what} is larger than ${LARGEST >> 20} MiB`);
      }
    }
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new Error(`${what} broke off after ${length} bytes: check the network`);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export async function fetchJson(url, what) {
  const bytes = await fetchBytes(url, what);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error(`${what} is no JSON`);
  }
}

// What a .gz holds. A server may have inflated it already.
async function inflate(bytes) {
  if (bytes[0] !== GZIP[0] || bytes[1] !== GZIP[1]) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The compiled WebAssembly module.
export async function fetchModule(told) {
  const bytes = await inflate(await fetchBytes("pkg/ksom_web_bg.wasm.gz", "the WebAssembly module", told));
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    throw new Error(`this browser cannot run the page's WebAssembly, which needs SIMD: use a newer one (${error.message})`);
  }
}
