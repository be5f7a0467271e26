// Pictures on canvases, and marks on top of them.

// Gives a frame the shape of width × height. It is not seen for a moment, so that nothing is seen to jump.
export function fit(element, width, height) {
  const shape = `${width / height}`;
  if (element.dataset.shape === shape) return;
  element.dataset.shape = shape;
  element.style.setProperty("--w", width);
  element.style.setProperty("--h", height);
  element.style.visibility = "hidden";
  requestAnimationFrame(() => requestAnimationFrame(() => { element.style.visibility = ""; }));
}

// Draws a bitmap, as large as it is.
export function drawBitmap(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

// Draws a color (0xAABBGGRR) for each of width × height cells.
export function drawCells(canvas, width, height, color) {
  const pixels = new Uint32Array(width * height);
  for (let at = 0; at < pixels.length; at++) pixels[at] = color(at);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
}

// Puts a mark over a part of a picture: left, top, width and height, all as parts of the whole.
export function mark(element, box) {
  element.hidden = !box;
  if (!box) return;
  const [left, top, width, height] = box;
  Object.assign(element.style, { left: `${left * 100}%`, top: `${top * 100}%`, width: `${width * 100}%`, height: `${height * 100}%` });
}

// Where the pointer is on an element, as parts of its width and height.
export function pointed(element, event) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}
