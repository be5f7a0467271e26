//! Quantizers amid feature maps.

use candle_core::{DType, Tensor, Var};
use candle_nn::VarBuilder;
use ksom_kernels::Backend;
use ksom_quantizers::{Estimator, Quantizer, QuantizerConfig, QuantizerKind, Residual, Similarity};

use crate::error::Result;
use crate::model::network::LevelOutput;
use crate::model::network::layout::Layout;
use crate::model::network::operations::Operations;
use crate::model::network::tape::Maps;
use crate::system::compute::Compute;

/// The stages that quantize feature maps; in most models there is one.
pub(crate) struct QuantizeLayer {
    residual: Residual,
    backend: Backend,
}

impl QuantizeLayer {
    /// Takes the codebooks' state from under `vb`, in f32 whatever the model's type.
    pub(crate) fn new(config: &QuantizerConfig, stages: usize, compute: &Compute, vb: VarBuilder) -> Result<Self> {
        let mut residual = Residual::new(config, stages, vb)?;
        residual.set_backend(compute.backend)?;
        Ok(Self { residual, backend: compute.backend })
    }

    /// One per stage.
    pub(crate) fn quantizers(&self) -> impl Iterator<Item = &dyn Quantizer> {
        self.residual.stages().iter().map(|stage| stage.as_ref())
    }

    /// One per stage.
    pub(crate) fn quantizers_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Quantizer>> {
        self.residual.stages_mut().iter_mut()
    }

    fn config(&self) -> &QuantizerConfig {
        self.residual.stages()[0].config()
    }

    /// Feature maps → codes [N, h, w] of each stage.
    pub(crate) fn encode(&self, x: &Maps) -> Result<Vec<Tensor>> {
        let (rows, positions) = self.backend.to_rows(&x.values)?;
        self.count(x, &rows);
        self.residual.assign(&rows)?.into_iter().map(|codes| Ok(codes.reshape(positions)?)).collect()
    }

    /// Counts the search for the nearest codes; FSQ does without one.
    fn count(&self, x: &Maps, rows: &Tensor) {
        if let Some(tape) = x.tape()
            && self.config().kind != QuantizerKind::Fsq
        {
            tape.count(rows.elem_count() * self.config().num_codes * self.residual.stages().len(), 0);
        }
    }

    /// Codes [N, h, w] of each stage → feature maps of type `dtype`.
    pub(crate) fn decode(&self, codes: &[Tensor], dtype: DType) -> Result<Maps> {
        let positions = codes[0].dims3()?;
        let rows = self.residual.lookup(&flat(codes)?)?.to_dtype(dtype)?;
        Ok(Maps::untaped(self.backend.to_maps(&rows, positions)?))
    }

    /// Feature maps → quantized feature maps with the gradient that the quantizer gives them, the loss, and what each stage
    /// saw.
    pub(crate) fn forward(&self, x: &Maps, codes: Option<&[Tensor]>) -> Result<(Maps, Tensor, Vec<LevelOutput>)> {
        let (rows, positions) = self.backend.to_rows(&x.values)?;
        self.count(x, &rows);
        let codes = codes.map(flat).transpose()?;
        // Where the way back is not one operation, candle's graph leads over the quantizer, from here on.
        let by_graph = x.tape().is_some() && !self.goes_straight_through();
        let ends = match by_graph {
            true => Some(Var::from_tensor(&rows)?),
            false => None,
        };
        let input = ends.as_ref().map_or(&rows, Var::as_tensor);
        let quantized = self.residual.forward(input, codes.as_deref())?;
        let (output, loss) = (quantized.output, quantized.loss);
        let values = self.backend.to_maps(&if by_graph { output.detach() } else { output.clone() }, positions)?;
        let level = |stage: ksom_quantizers::StageOutput| {
            let codes = stage.codes.reshape(positions)?;
            Ok(LevelOutput { inputs: stage.inputs, codes, perplexity: stage.perplexity })
        };
        let levels = quantized.stages.into_iter().map(level).collect::<Result<_>>()?;
        let Some(tape) = x.tape() else { return Ok((Maps::untaped(values), loss, levels)) };

        let (input, own_loss) = (x.clone(), loss.clone());
        let vars: Vec<Var> = self.quantizers().flat_map(|stage| stage.vars()).map(|(_, var)| var).collect();
        let (backend, commitment) = (self.backend, self.config().commitment);
        let maps = tape.record(&[x], values, false, move |grad, gradients| {
            let share = gradients.share();
            let (grad, _) = backend.to_rows(&grad)?;
            let store = match (&ends, &vars[..]) {
                (Some(_), _) => Some(((own_loss * share)? + (&output * &grad)?.sum_all()?)?.backward()?),
                (None, [_, ..]) => Some((own_loss * share)?.backward()?),
                (None, []) => None,
            };
            for var in &vars {
                if let Some(grad) = store.as_ref().and_then(|store| store.get(var.as_tensor())) {
                    gradients.set_parameter(var.as_tensor(), grad.clone());
                }
            }
            let by_graph = |end: &Var| match store.as_ref().and_then(|store| store.get(end.as_tensor())) {
                // candle leaves a graph behind a gradient, which must not be led back again from another level.
                Some(grad) => Ok(grad.detach()),
                None => end.zeros_like(),
            };
            let grad = match &ends {
                Some(end) => by_graph(end)?,
                None => backend.straight_through_grad(&grad, &rows, &output, share * commitment)?,
            };
            input.add_grad(gradients, backend.to_maps(&grad, positions)?)
        });
        Ok((maps, loss, levels))
    }

    /// Whether the gradient by the input is that of the output, and besides only that of the commitment loss.
    fn goes_straight_through(&self) -> bool {
        let config = self.config();
        self.residual.stages().len() == 1
            && config.kind != QuantizerKind::Fsq
            && config.similarity == Similarity::Euclidean
            && config.estimator == Estimator::StraightThrough
    }
}

/// Codes in rows.
fn flat(codes: &[Tensor]) -> Result<Vec<Tensor>> {
    codes.iter().map(|codes| Ok(codes.flatten_all()?)).collect()
}
