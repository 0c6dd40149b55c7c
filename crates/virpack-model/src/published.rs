//! The published models: names, shapes and where to get them.

use crate::config::Esm2Config;

/// One published ESM-2 model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its name, as fair-esm has it: `esm2_t33_650M_UR50D`.
    pub name: &'static str,
    /// How many layers it has.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
    /// Attention heads in a layer.
    pub heads: usize,
}

/// All published ESM-2 models, smallest first [<https://github.com/facebookresearch/esm>, table of models].
pub const PUBLISHED: [Published; 6] = [
    Published { name: "esm2_t6_8M_UR50D", layers: 6, hidden: 320, heads: 20 },
    Published { name: "esm2_t12_35M_UR50D", layers: 12, hidden: 480, heads: 20 },
    Published { name: "esm2_t30_150M_UR50D", layers: 30, hidden: 640, heads: 20 },
    Published { name: "esm2_t33_650M_UR50D", layers: 33, hidden: 1280, heads: 20 },
    Published { name: "esm2_t36_3B_UR50D", layers: 36, hidden: 2560, heads: 40 },
    Published { name: "esm2_t48_15B_UR50D", layers: 48, hidden: 5120, heads: 40 },
];

/// The published models of nucleotides, repositories on the Hugging Face Hub; all of the settings in
/// [`DnabertConfig::published`](crate::DnabertConfig::published).
pub const NUCLEOTIDE: [&str; 2] = ["zhihan1996/DNABERT-S", "zhihan1996/DNABERT-2-117M"];

/// Short names of the published models of nucleotides, in the order of [`NUCLEOTIDE`].
const NUCLEOTIDE_SHORT: [&str; 2] = ["DNABERT-S", "DNABERT-2"];

/// Returns the full name of a published model by a short one: `650M` or `esm2-650M` for ESM-2, `dnabert-s`
/// or `dnabert-2`; case does not matter. None for any other name, full ones included.
///
/// ```
/// use virpack_model::published::full_name;
///
/// assert_eq!(full_name("650M"), Some("esm2_t33_650M_UR50D"));
/// assert_eq!(full_name("esm2-3b"), Some("esm2_t36_3B_UR50D"));
/// assert_eq!(full_name("dnabert-s"), Some("zhihan1996/DNABERT-S"));
/// assert_eq!(full_name("5M"), None);
/// ```
#[must_use]
pub fn full_name(short: &str) -> Option<&'static str> {
    let is = |name: &str| name.eq_ignore_ascii_case(short);
    let protein = PUBLISHED.iter().find(|model| is(model.size()) || is(&model.short_name()));
    let nucleotide = || NUCLEOTIDE.into_iter().zip(NUCLEOTIDE_SHORT).find(|(_, own)| is(own));
    protein.map(|model| model.name).or_else(|| nucleotide().map(|(name, _)| name))
}

/// Returns the short name of a published model: `esm2-650M` for `esm2_t33_650M_UR50D`.
///
/// ```
/// use virpack_model::published::{full_name, short_name};
///
/// assert_eq!(short_name("zhihan1996/DNABERT-S").as_deref(), Some("dnabert-s"));
/// assert_eq!(short_name("esm2_t6_8M_UR50D").as_deref(), Some("esm2-8M"));
/// assert_eq!(short_name("me/mine"), None);
/// ```
#[must_use]
pub fn short_name(name: &str) -> Option<String> {
    let nucleotide = || NUCLEOTIDE.into_iter().position(|own| own == name);
    Published::find(name)
        .map(Published::short_name)
        .or_else(|| nucleotide().map(|i| NUCLEOTIDE_SHORT[i].to_ascii_lowercase()))
}

impl Published {
    /// Returns its size, as its name has it: `650M`.
    ///
    /// ```
    /// assert_eq!(virpack_model::published::PUBLISHED[3].size(), "650M");
    /// ```
    #[must_use]
    pub fn size(&self) -> &'static str {
        self.name.split('_').nth(2).unwrap_or(self.name)
    }

    fn short_name(&self) -> String {
        format!("esm2-{}", self.size())
    }

    /// Returns the model of that name, with or without `facebook/` before it.
    ///
    /// ```
    /// use virpack_model::published::Published;
    /// assert_eq!(Published::find("esm2_t36_3B_UR50D").unwrap().hidden, 2560);
    /// assert_eq!(Published::find("facebook/esm2_t6_8M_UR50D").unwrap().layers, 6);
    /// assert_eq!(Published::find("esm2_t7_9M"), None);
    /// ```
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = name.strip_prefix("facebook/").unwrap_or(name);
        PUBLISHED.iter().find(|model| model.name == name)
    }

    /// Its repository on the Hugging Face Hub: `facebook/esm2_t33_650M_UR50D`.
    ///
    /// ```
    /// use virpack_model::published::PUBLISHED;
    ///
    /// assert_eq!(PUBLISHED[0].repository(), "facebook/esm2_t6_8M_UR50D");
    /// ```
    #[must_use]
    pub fn repository(&self) -> String {
        format!("facebook/{}", self.name)
    }

    /// Its settings.
    ///
    /// ```
    /// use virpack_model::published::Published;
    ///
    /// let model = Published::find("esm2_t48_15B_UR50D").unwrap();
    /// assert_eq!(model.config().parameters(), 15_102_868_480);
    /// ```
    #[must_use]
    pub fn config(&self) -> Esm2Config {
        Esm2Config::published(self.layers, self.hidden, self.heads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_names() {
        // `sum(p.numel())` over transformers' EsmModel of these sizes, without pooler, contact head and the
        // position embeddings that rotary models carry unused.
        let counted = [7_408_960, 33_269_280, 147_728_000, 649_400_320, 2_832_442_880, 15_102_868_480];
        assert_eq!(PUBLISHED.map(|model| model.config().parameters()), counted);
    }
}
