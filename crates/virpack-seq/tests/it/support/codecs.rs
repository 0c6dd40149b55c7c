//! All compressions that are read.

use std::io::Write;

/// Compresses a text.
pub(crate) type Compress = fn(&[u8]) -> Vec<u8>;

/// Returns each compression, with its name in errors.
pub(crate) const CODECS: [(&str, Compress); 4] =
    [("gzip", gzip), ("bzip2", bzip2), ("xz", xz), ("zstd", zstd)];

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Returns BGZF, as bgzip and samtools write it: gzip in blocks that have their size, here of `block`
/// bytes, and an empty one at the end.
pub(crate) fn bgzf(bytes: &[u8], block: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for part in bytes.chunks(block).chain([&[][..]]) {
        let mut crc = flate2::Crc::new();
        crc.update(part);
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        let packed = encoder.finish().unwrap();
        let size = u16::try_from(18 + packed.len() + 8 - 1).unwrap();
        all.extend([0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 6, 0, b'B', b'C', 2, 0]);
        all.extend(size.to_le_bytes());
        all.extend(packed);
        all.extend(crc.sum().to_le_bytes());
        all.extend((part.len() as u32).to_le_bytes());
    }
    all
}
