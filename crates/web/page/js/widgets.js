// Small widgets: a choice of one among a few, cells that arrow keys walk, a line between two pictures.

// Fills `element`, a radiogroup, with [value, label] and gives a function that shows what is chosen.
export function segments(element, options, onChoose) {
  const buttons = options.map(([value, label]) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: label, value });
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => onChoose(value));
    return button;
  });
  element.replaceChildren(...buttons);
  const show = (chosen) => {
    for (const button of buttons) {
      const is = button.value === String(chosen);
      button.setAttribute("aria-checked", is);
      button.tabIndex = is ? 0 : -1;
    }
  };
  element.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  };
  return show;
}

// A slider for each axis of a grid. `onInput(shift)` hears of changes; gives a function that shows a shift.
export function axisSliders(element, grid, onInput) {
  const names = grid.length === 2 ? ["across", "down"] : grid.map((_, axis) => `axis ${axis + 1}`);
  const rows = grid.map((side, axis) => {
    const label = document.createElement("label");
    const most = Math.min(8, side - 1);
    label.innerHTML = "<span></span><input type=\"range\" step=\"1\"><output></output>";
    const [name, input, output] = label.children;
    name.textContent = names[axis];
    Object.assign(input, { min: -most, max: most, value: 0, disabled: most < 1 });
    input.setAttribute("aria-label", `Shift ${names[axis]}, in cells of the map`);
    input.addEventListener("input", () => onInput(rows.map((row) => Number(row.input.value))));
    return { label, input, output };
  });
  element.replaceChildren(...rows.map((row) => row.label));
  const show = (shift) => rows.forEach(({ input, output }, axis) => {
    const by = shift[axis] ?? 0;
    input.value = by;
    output.textContent = by > 0 ? `+${by}` : by < 0 ? `−${-by}` : "0";
  });
  show([]);
  return show;
}

// Cells that arrow keys walk. One hidden cell stands for the one that is walked on, so that a screen reader hears it and a
// grid of a million cells costs nothing. `on` has size() → [columns, rows], label(x, y), point(x, y), press(x, y, event),
// leave(), and key(event), which may take a key for itself.
export class Cells {
  constructor(element, on) {
    Object.assign(this, { element, on, x: 0, y: 0 });
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    row.className = "spoken";
    this.cell = document.createElement("div");
    this.cell.setAttribute("role", "gridcell");
    this.cell.id = `${element.id}-cell`;
    row.append(this.cell);
    element.append(row);
    element.setAttribute("aria-activedescendant", this.cell.id);
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("focus", () => element.matches(":focus-visible") && this.go(this.x, this.y));
    element.addEventListener("blur", () => on.leave());
  }

  // Where the next key begins; nothing is told.
  place(x, y) {
    Object.assign(this, { x, y });
  }

  go(x, y) {
    const [columns, rows] = this.on.size();
    if (!columns) return;
    this.x = Math.min(Math.max(x, 0), columns - 1);
    this.y = Math.min(Math.max(y, 0), rows - 1);
    this.element.setAttribute("aria-colcount", columns);
    this.element.setAttribute("aria-rowcount", rows);
    this.cell.setAttribute("aria-colindex", this.x + 1);
    this.cell.parentElement.setAttribute("aria-rowindex", this.y + 1);
    this.on.point(this.x, this.y);
    this.cell.textContent = this.on.label(this.x, this.y);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.on.key?.(event)) return;
    const far = event.shiftKey ? 8 : 1;
    const [columns, rows] = this.on.size();
    const to = {
      ArrowLeft: [this.x - far, this.y], ArrowRight: [this.x + far, this.y],
      ArrowUp: [this.x, this.y - far], ArrowDown: [this.x, this.y + far],
      Home: [0, this.y], End: [columns - 1, this.y], PageUp: [this.x, this.y - 8], PageDown: [this.x, this.y + 8],
    }[event.key];
    if (to) this.go(...to);
    else if (event.key === "Enter" || event.key === " ") this.on.press(this.x, this.y, event);
    else if (event.key === "Escape") this.on.leave();
    else return;
    event.preventDefault();
  }
}

// The line between two pictures: a slider for the pointer and the keyboard.
export function splitter(handle, frame) {
  let at = 50;
  const set = (percent) => {
    at = Math.min(100, Math.max(0, percent));
    frame.style.setProperty("--split", `${at}%`);
    handle.setAttribute("aria-valuenow", Math.round(at));
    handle.setAttribute("aria-valuetext", `${Math.round(at)} percent original`);
  };
  const follow = (event) => {
    const { left, width } = frame.getBoundingClientRect();
    set(((event.clientX - left) / width) * 100);
  };
  handle.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    handle.setPointerCapture(event.pointerId);
    handle.onpointermove = follow;
  });
  handle.addEventListener("lostpointercapture", () => { handle.onpointermove = null; });
  handle.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 2, ArrowRight: at + 2, PageUp: at + 10, PageDown: at - 10, Home: 0, End: 100 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    set(to);
  });
  set(50);
}
