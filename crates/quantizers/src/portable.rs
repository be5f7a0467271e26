//! Nearest codes and sums per code from candle's own operations, which CUDA and Metal have too.

use candle_core::{DType, Device, Result, Tensor};

/// How many numbers a tile of distances, or of rows to be summed, may hold.
fn tile_elements(device: &Device) -> usize {
    // 16 MiB on a CPU; 256 MiB on an accelerator, which needs long tiles to be busy.
    if device.is_cpu() { 1 << 22 } else { 1 << 26 }
}

/// The nearest row of `w` [K, D] for each row of `x` [N, D] → u32 `[N]`.
pub(crate) fn nearest(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    in_tiles(x, w, |_, scores| scores.argmin(1))
}

/// The two nearest rows of `w` [K, D] for each row of `x` [N, D] → u32 [N, 2]; both are 0 if K = 1.
///
/// The distances of the two candidates are computed again from the differences, which loses nothing to cancellation.
pub(crate) fn nearest_two(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if w.dim(0)? == 1 {
        return Tensor::zeros((x.dim(0)?, 2), DType::U32, x.device());
    }
    in_tiles(x, w, |tile, scores| {
        let first = scores.argmin(1)?;
        // The tile is ours alone: the best score is overwritten in place to find the second best.
        let never = Tensor::full(f32::MAX, (first.elem_count(), 1), x.device())?;
        scores.scatter_set(&first.unsqueeze(1)?, &never, 1)?;
        let second = scores.argmin(1)?;
        let first_distance = squared_distances(tile, w, &first)?;
        let second_distance = squared_distances(tile, w, &second)?;
        let closer = second_distance.lt(&first_distance)?;
        let as_near = second_distance.eq(&first_distance)?;
        let swap = (closer + (as_near * second.lt(&first)?)?)?;
        let nearest = swap.where_cond(&second, &first)?;
        let other = swap.where_cond(&first, &second)?;
        Tensor::stack(&[nearest, other], 1)
    })
}

/// What `choose` makes of tiles of rows of `x` and of their scores |w|² − 2 x·w, one below the other.
fn in_tiles(x: &Tensor, w: &Tensor, choose: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (n, k) = (x.dim(0)?, w.dim(0)?);
    let squared_norms = w.sqr()?.sum_keepdim(1)?.t()?.contiguous()?;
    let minus_2w = w.affine(-2.0, 0.0)?.t()?.contiguous()?;
    let rows = (tile_elements(x.device()) / k).max(1);
    let mut tiles = Vec::with_capacity(n.div_ceil(rows));
    for start in (0..n).step_by(rows) {
        let tile = x.narrow(0, start, rows.min(n - start))?.contiguous()?;
        let scores = tile.matmul(&minus_2w)?.broadcast_add(&squared_norms)?;
        tiles.push(choose(&tile, &scores)?);
    }
    Tensor::cat(&tiles, 0)
}

/// |x_n − w_code(n)|² → `[N]`.
fn squared_distances(x: &Tensor, w: &Tensor, codes: &Tensor) -> Result<Tensor> {
    (x - w.index_select(codes, 0)?)?.sqr()?.sum(1)
}

/// Sums of the rows of `x` [N, C] by `codes` u32 `[N]` → [K, C].
///
/// candle's scatter kernels give one thread to each pair of left and right index and walk the scattered axis serially.
/// So the rows are dealt into groups, which are summed side by side and then added: fast, and the same bits each time.
pub(crate) fn sums_by_code(x: &Tensor, codes: &Tensor, num_codes: usize) -> Result<Tensor> {
    let (n, c) = x.dims2()?;
    let device = x.device();
    let limit = tile_elements(device);
    let groups = (limit / (num_codes * c)).clamp(1, 1024).min(n.div_ceil(64));
    let rows_per_group = (limit / (groups * c)).max(1);
    let zeros = Tensor::zeros((groups, num_codes, c), DType::F32, device)?;
    let mut sums = Tensor::zeros((num_codes, c), DType::F32, device)?;
    let mut start = 0;
    while start < n {
        let len = (groups * rows_per_group).min(n - start);
        let per_group = len.div_ceil(groups);
        // Rows of padding are zero and may count for any code.
        let padding = per_group * groups - len;
        let source = x.narrow(0, start, len)?.pad_with_zeros(0, 0, padding)?.contiguous()?;
        let source = source.reshape((groups, per_group, c))?;
        let index = codes.narrow(0, start, len)?.pad_with_zeros(0, 0, padding)?.reshape((groups, per_group, 1))?;
        let index = index.broadcast_as((groups, per_group, c))?.contiguous()?;
        sums = (sums + zeros.scatter_add(&index, &source, 1)?.sum(0)?)?;
        start += len;
    }
    Ok(sums)
}

/// How often each code occurs in `codes` u32 `[N]` → f32 `[K]`.
pub(crate) fn code_counts(codes: &Tensor, num_codes: usize) -> Result<Tensor> {
    let ones = Tensor::ones((codes.elem_count(), 1), DType::F32, codes.device())?;
    sums_by_code(&ones, codes, num_codes)?.squeeze(1)
}
