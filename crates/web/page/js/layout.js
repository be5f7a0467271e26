// Where the codes of a grid lie on the flat map: the first axis to the right, the second downwards, slices along a third
// side by side and along those after it below each other; a grid of one axis is wrapped into lines.

export class Layout {
  constructor(grid) {
    this.grid = grid;
    this.length = grid.reduce((product, side) => product * side, 1);
    const axes = grid.filter((side) => side > 1);
    const columns = Math.ceil(Math.sqrt(this.length));
    const [x, y, z = 1, ...more] = axes.length < 2 ? [columns, Math.ceil(this.length / columns)] : axes;
    this.slice = [x, y];
    this.slices = [z, more.reduce((product, side) => product * side, 1)];
    this.columns = x * this.slices[0];
    this.rows = y * this.slices[1];
  }

  // Column and row of a code's cell, without the gaps between slices.
  cell(code) {
    const [x, y] = this.slice;
    const [within, slice] = [code % (x * y), Math.floor(code / (x * y))];
    return [(within % x) + (slice % this.slices[0]) * x, Math.floor(within / x) + Math.floor(slice / this.slices[0]) * y];
  }

  // The code in a cell, or null.
  code(column, row) {
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) return null;
    const [x, y] = this.slice;
    const slice = Math.floor(column / x) + Math.floor(row / y) * this.slices[0];
    const code = slice * x * y + (row % y) * x + (column % x);
    return code < this.length ? code : null;
  }

  // The place along each axis of the grid.
  coordinates(code) {
    return this.grid.map((side) => {
      const at = code % side;
      code = Math.floor(code / side);
      return at;
    });
  }

  // Left, top and side of a cell as parts of the map's width and height, of which cells are `cell` pixels.
  box(code, { cell, width, height }) {
    const [column, row] = this.cell(code);
    const gap = Math.ceil(cell / 2);
    const left = column * cell + Math.floor(column / this.slice[0]) * gap;
    const top = row * cell + Math.floor(row / this.slice[1]) * gap;
    return [left / width, top / height, cell / width, cell / height];
  }

  // The code at a place, given as parts of width and height; in a gap the nearer slice's.
  at(u, v, { cell, width, height }) {
    const gap = Math.ceil(cell / 2);
    const along = (pixels, cells, slices) => {
      const slice = Math.min(Math.floor(pixels / (cells * cell + gap)), slices - 1);
      return slice * cells + Math.min(Math.floor((pixels - slice * (cells * cell + gap)) / cell), cells - 1);
    };
    if (u < 0 || v < 0 || u >= 1 || v >= 1) return null;
    return this.code(along(u * width, this.slice[0], this.slices[0]), along(v * height, this.slice[1], this.slices[1]));
  }
}
