// Colors: of a code by its place on the map, of how often it is used, of how far its neighbors are.

// The corners of the map in OKLab: upper left, upper right, lower left, lower right.
const CORNERS = [[0.80, -0.10, 0.02], [0.86, 0.02, 0.14], [0.42, 0.02, -0.16], [0.60, 0.19, 0.06]];

const RAMPS = {
  use: [[26, 22, 48], [98, 32, 102], [190, 52, 84], [240, 120, 50], [252, 222, 140]],
  distances: [[244, 240, 230], [190, 208, 208], [104, 142, 162], [48, 72, 118], [22, 22, 54]],
};

function rgb([l, a, b]) {
  const cube = (x) => x * x * x;
  const [long, middle, short] = [l + 0.3963377774 * a + 0.2158037573 * b, l - 0.1055613458 * a - 0.0638541728 * b, l - 0.0894841775 * a - 1.291485548 * b].map(cube);
  const linear = [
    4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
  ];
  return linear.map((x) => {
    const light = Math.min(1, Math.max(0, x));
    return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
  });
}

// The color of each code as 0xAABBGGRR, for pixels in a Uint32Array.
export function placeColors(layout) {
  const colors = new Uint32Array(layout.length);
  const at = (count, of) => (of > 1 ? count / (of - 1) : 0.5);
  for (let code = 0; code < layout.length; code++) {
    const [column, row] = layout.cell(code);
    const [u, v] = [at(column, layout.columns), at(row, layout.rows)];
    const lab = [0, 1, 2].map((i) => (1 - v) * ((1 - u) * CORNERS[0][i] + u * CORNERS[1][i]) + v * ((1 - u) * CORNERS[2][i] + u * CORNERS[3][i]));
    colors[code] = pack(rgb(lab));
  }
  return colors;
}

export const pack = ([r, g, b], alpha = 255) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;

// The color of a number from 0 to 1.
export function ramp(name, value) {
  const stops = RAMPS[name];
  const at = Math.min(1, Math.max(0, value)) * (stops.length - 1);
  const left = Math.min(Math.floor(at), stops.length - 2);
  return stops[left].map((low, i) => Math.round(low + (stops[left + 1][i] - low) * (at - left)));
}
