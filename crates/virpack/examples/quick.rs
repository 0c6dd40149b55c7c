//! Quick.
use std::time::Instant;
use virpack::device::{Backend, Cpu, Pool};
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let w = virpack::model::weights::Weights::open(dir.as_ref()).unwrap();
    let cpu = Cpu::new(None).unwrap();
    let m = virpack::model::esm2::Esm2::load(&cpu, &w).unwrap();
    println!("{} {}", cpu.instructions(), cpu.threads());
    let l = m.config().layers;
    for len in [52usize, 168, 342, 1024] {
        let n = 4096 / len; let t = n * len;
        let ids: Vec<u16> = (0..t).map(|i| 4 + ((i * 7919) % 20) as u16).collect();
        let cu: Vec<i32> = (0..=n).map(|i| (i * len) as i32).collect();
        let p = cpu.packed(&ids, &cu, len).unwrap();
        let mut best = f64::MAX;
        for _ in 0..5 { let s = Instant::now(); let x = m.forward(&cpu, &p, l).unwrap(); let e = cpu.pool(&x, &p, Pool::Mean, virpack::model::esm2::RESIDUES).unwrap(); std::hint::black_box(e); best = best.min(s.elapsed().as_secs_f64()); }
        println!("len {len}: {:.0} tok/s", t as f64 / best);
    }
}
