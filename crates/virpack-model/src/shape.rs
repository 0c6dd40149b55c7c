//! What a model holds, by its settings alone.

/// What a model holds, for a device to say what that takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// Values of each weight matrix as it is uploaded, the embedding table's included.
    pub matrices: Vec<u64>,
    /// Values of all vectors of parameters.
    pub vector_values: u64,
    /// Shapes of a layer's products, `[outputs, inputs]`.
    pub products: Vec<[usize; 2]>,
    /// Columns of the tensors that live at once.
    pub widths: Vec<usize>,
    /// Width of a hidden state.
    pub hidden: usize,
    /// Width of an attention head.
    pub head_width: usize,
}

/// A model's tensors by name and shape, for [`weights`].
pub(crate) type Tensors = [(String, Vec<usize>)];

/// Values of each weight matrix as it is uploaded (the embedding table, then every layer's products), and of all
/// vectors among `tensors`.
pub(crate) fn weights(
    tensors: &Tensors,
    table: [usize; 2],
    products: &[[usize; 2]],
    layers: usize,
) -> (Vec<u64>, u64) {
    let values = |[outputs, inputs]: [usize; 2]| (outputs * inputs) as u64;
    let layer = products.iter().copied().map(values);
    let matrices =
        std::iter::once(values(table)).chain(std::iter::repeat_n(layer, layers).flatten()).collect();
    let vectors = tensors.iter().filter(|(_, shape)| shape.len() == 1);
    (matrices, vectors.map(|(_, shape)| shape[0] as u64).sum())
}
