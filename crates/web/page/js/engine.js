// The worker as promises: requests and answers, a new worker where one has died, and the memory that it holds.

// Beyond this WebAssembly's memory, which never shrinks, a new worker begins with the next picture.
const MUCH_MEMORY = 192 << 20;

export class EngineDied extends Error {}

export class Engine {
  #module = null;
  #worker = null;
  #spare = null;
  #ready = null;
  #pending = new Map();
  #loaded = new Map();
  #last = 0;
  memory = 0;
  starts = 0; // How many workers there were: a new one knows nothing.
  onProgress = () => {};

  // `module` is a promise of the compiled module; the workers' own scripts load meanwhile.
  constructor(module) {
    this.#module = module;
    module.catch(() => {});
    this.#start(spawn());
  }

  #start(worker) {
    this.#worker = worker;
    this.starts++;
    this.#loaded.clear();
    this.memory = 0;
    let isAlive = worker.isReady;
    worker.onmessage = ({ data }) => {
      isAlive = true;
      this.#answer(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (isAlive) return this.#die(event.message || "the worker has died");
      // Its script did not load: another one would fare no better, until something is asked again.
      this.#worker = null;
      this.#reject(new Error("the page's worker could not be started: check the network"));
    };
    this.#ready = this.#module.then((module) => this.ask("init", { module }));
    this.#ready.catch(() => {});
  }

  // Kept once the module runs.
  get ready() {
    if (!this.#worker) this.#start(spawn());
    return this.#ready;
  }

  // Keeps a second worker at hand, whose script is loaded: without a network no other could be had.
  prepareSpare() {
    if (this.#spare) return;
    const spare = spawn();
    this.#spare = spare;
    spare.onmessage = () => { spare.isReady = true; };
    spare.onerror = (event) => {
      event.preventDefault();
      if (this.#spare === spare) this.#spare = null;
    };
  }

  #answer({ id, result, error, fatal, done, total, memory }) {
    const asked = this.#pending.get(id);
    if (memory) this.memory = memory;
    if (!asked) return;
    if (total !== undefined) {
      this.onProgress(asked.op, done, total);
      return;
    }
    this.#pending.delete(id);
    if (fatal) {
      asked.reject(new EngineDied(error));
      this.#die(error);
    } else if (error !== undefined) {
      asked.reject(new Error(error));
    } else {
      asked.resolve(result);
    }
  }

  #die(message) {
    this.#reject(new EngineDied(message));
    this.restart();
  }

  #reject(error) {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(error);
  }

  // Ends whatever is computed, and begins anew without models and pictures.
  restart() {
    this.#worker?.terminate();
    this.#reject(new EngineDied("interrupted"));
    const next = this.#spare ?? spawn();
    this.#spare = null;
    this.#start(next);
    this.prepareSpare();
  }

  get canRestart() { return Boolean(this.#spare?.isReady); }
  get busy() { return this.#pending.size > 0; }
  get isLarge() { return this.memory > MUCH_MEMORY; }

  ask(op, args, transfer = []) {
    if (!this.#worker) return Promise.reject(new EngineDied("the page's worker is gone"));
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { op, resolve, reject });
      this.#worker.postMessage({ id, op, args }, transfer);
    });
  }

  // Loads a model from its two files, unless this worker has it.
  model(name, { config, weights }) {
    if (!this.#loaded.has(name)) {
      const loading = this.ready.then(() => this.ask("model", { name, config, weights }));
      this.#loaded.set(name, loading);
      const loaded = this.#loaded;
      loading.catch(() => loaded.delete(name));
    }
    return this.#loaded.get(name);
  }
}

function spawn() {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}
