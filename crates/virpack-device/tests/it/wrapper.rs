//! The wrapper of `examples/wrap_backend.rs`.

use std::num::NonZeroUsize;

use virpack_device::Cpu;

#[allow(dead_code, reason = "the example's `main` is not called")]
#[path = "../../examples/wrap_backend.rs"]
mod wrap_backend;

use wrap_backend::{Counting, Layer};

#[test]
fn a_wrapper_that_counts_products_changes_no_value_but_by_rounding() {
    let ids: Vec<u16> = (0..40).map(|i| i % 33).collect();
    let cu_seqlens = [0, 7, 40];
    let cpu = Cpu::new(NonZeroUsize::new(2)).unwrap();
    let expected = Layer::new(&cpu, 64).unwrap().run(&cpu, &ids, &cu_seqlens).unwrap();

    let counting = Counting::new(cpu);
    let found = Layer::new(&counting, 64).unwrap().run(&counting, &ids, &cu_seqlens).unwrap();

    assert_eq!(found.len(), 2 * 64);
    // The default bodies round between a product and what follows it, a fused product does not.
    let apart = |(a, b): (&f32, &f32)| (a - b).abs();
    let most = found.iter().zip(&expected).map(apart).fold(0.0, f32::max);
    assert!(most < 1e-5, "{most}");

    let products = counting.products();
    let counted: Vec<_> = products.iter().map(|(shape, product)| (*shape, product.calls)).collect();
    assert_eq!(counted, [([64, 64], 1), ([64, 256], 1), ([192, 64], 1), ([256, 64], 1)]);
    assert_eq!(products[&[256, 64]].operations, 2 * 40 * 256 * 64);
}
