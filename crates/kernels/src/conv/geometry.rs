//! Which input positions an output position gathers from.

/// Shape of a channels-last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dims {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Dims {
    /// Elements in all.
    pub(crate) fn len(&self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    /// As candle's shape [N, H, W, C].
    pub(crate) fn shape(&self) -> (usize, usize, usize, usize) {
        (self.images, self.height, self.width, self.channels)
    }

    /// Elements of one line.
    pub(crate) fn line(&self) -> usize {
        self.width * self.channels
    }

    /// Elements of one image.
    pub(crate) fn image(&self) -> usize {
        self.height * self.line()
    }
}

/// The window that slides over the patches' image.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

/// Along one axis, outputs that all gather with the same taps: the j-th lies at `out_first + j · out_step` and its
/// u-th tap multiplies the input at `in_first + j · in_step + u` by the kernel at `taps[u]`. Input positions outside
/// the picture hold zero.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) taps: Vec<usize>,
    pub(crate) in_first: isize,
    pub(crate) in_step: usize,
    pub(crate) out_first: usize,
    pub(crate) out_step: usize,
    pub(crate) count: usize,
}

impl Axis {
    /// The one axis of a convolution with `out` outputs.
    pub(crate) fn convolution(kernel: usize, stride: usize, padding: usize, out: usize) -> Vec<Self> {
        vec![Self {
            taps: (0..kernel).collect(),
            in_first: -(padding as isize),
            in_step: stride,
            out_first: 0,
            out_step: 1,
            count: out,
        }]
    }

    /// The axes of a transposed convolution with `out` outputs: one for each residue of the output position, since
    /// output o gathers from input i with kernel position o + padding − i · stride.
    pub(crate) fn transposed(kernel: usize, stride: usize, padding: usize, out: usize) -> Vec<Self> {
        (0..stride)
            .filter_map(|residue| {
                let out_first = (residue + stride * padding - padding) % stride;
                let count = out.saturating_sub(out_first).div_ceil(stride);
                let taps: Vec<usize> = (residue..kernel).step_by(stride).rev().collect();
                let newest = ((out_first + padding) / stride) as isize;
                let in_first = newest + 1 - taps.len() as isize;
                let axis = Self { taps, in_first, in_step: 1, out_first, out_step: stride, count };
                (count > 0).then_some(axis)
            })
            .collect()
    }

    /// Input positions that outputs `from..to` gather from (never empty, so that there is a position to point at).
    pub(crate) fn reach(&self, from: usize, to: usize) -> (isize, isize) {
        let first = self.in_first + (from * self.in_step) as isize;
        let last = self.in_first + ((to - 1) * self.in_step) as isize;
        (first, last + self.taps.len().max(1) as isize)
    }
}

/// The input positions that any of `axes` reaches for its outputs `from..to`, as far as it has them.
pub(crate) fn reach(axes: &[Axis], from: usize, to: usize) -> (isize, isize) {
    axes.iter()
        .filter(|axis| from < axis.count)
        .map(|axis| axis.reach(from, to.min(axis.count)))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .unwrap_or((0, 1))
}

/// Every axis of rows with every axis of columns.
pub(crate) fn pairs<'a>(axes: (&'a [Axis], &'a [Axis])) -> impl Iterator<Item = (&'a Axis, &'a Axis)> {
    axes.0.iter().flat_map(move |y| axes.1.iter().map(move |x| (y, x)))
}
