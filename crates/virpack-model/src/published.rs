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

impl Published {
    /// The model of that name, with or without `facebook/` before it.
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
