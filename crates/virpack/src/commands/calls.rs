//! What `virpack predict` and `virpack report` call viral, and the files that list it.

use super::choice::choice;
use crate::failure::Failure;
use crate::plot;
use crate::values::{parse_prevalence, parse_whole};
use clap::Args;
use virpack_core::calls::{CallOptions, Compat};
use virpack_core::verdict::{CallThresholds, ContigRule, Prevalence};

/// What is called viral.
#[derive(Debug, Args)]
pub(crate) struct CallArguments {
    /// Minimum virus_score (0 to 1) of a viral record; a record below 0.3 is cellular, one between is
    /// uncertain [default: 0.7]
    #[arg(long, value_name = "S", conflicts_with_all = ["strict", "relaxed"])]
    min_score: Option<f64>,

    /// Make few false calls: the same as --min-score 0.9
    #[arg(long, conflicts_with = "relaxed")]
    strict: bool,

    /// Find most viruses: the same as --min-score 0.5
    #[arg(long)]
    relaxed: bool,

    /// Share of viral records that you expect in the input; the column fdr (expected share of false calls)
    /// follows from it [default: 0.1]
    #[arg(long, value_name = "P", value_parser = parse_prevalence)]
    prevalence: Option<Prevalence>,

    /// Minimum score_virus (0 to 1) of a viral chunk, which must exceed its score_other in any case; does not
    /// change the calls of records [default: none, as in VirNucPro]
    #[arg(long, value_name = "S")]
    min_chunk_score: Option<f32>,
}

/// Files beside the tables.
#[derive(Debug, Args)]
pub(crate) struct CallFileArguments {
    /// Plot the score along viral and uncertain records of several chunks, in DIR/plots
    #[arg(long)]
    pub(crate) plot: bool,

    /// Maximum number of plots: viral records first, then uncertain ones, by score [default: 100]
    #[arg(long, value_name = "N", value_parser = parse_whole, requires = "plot")]
    pub(crate) max_plots: Option<usize>,

    /// Also write VirNucPro's two files, with the columns of this version [default: virnucpro with --preset,
    /// otherwise neither file]
    #[arg(long, value_enum, value_name = "WHOSE", num_args = 0..=1, default_missing_value = "virnucpro")]
    compat: Option<Columns>,

    /// Also write contigs.tsv: the calls and tiers of the task classify_virnucpro_contigs of viral-pipelines
    #[arg(long)]
    contigs: bool,

    /// With --contigs: a contig of fewer chunks falls by one tier [default: 5]
    #[arg(long, value_name = "N", requires = "contigs")]
    contig_min_chunks: Option<u64>,

    /// With --contigs: minimum share of confident viral chunks in a viral contig of more than low confidence
    /// [default: 0.1]
    #[arg(long, value_name = "P", requires = "contigs")]
    contig_min_viral: Option<f64>,

    /// With --contigs: the same for confident chunks that are not viral [default: 0.1]
    #[arg(long, value_name = "P", requires = "contigs")]
    contig_min_nonviral: Option<f64>,
}

choice! {
    /// The layouts of VirNucPro's second file.
    enum Columns for Compat {
        /// Modified_ID, Is_Virus
        Virnucpro => Compat::VirNucPro,
        /// As virnucpro-broad writes it: max_score_0 and max_score_1, too
        Broad => Compat::Broad,
    }
}

impl CallArguments {
    /// Returns the options, and whether each was given.
    pub(super) fn given(&self) -> [(&'static str, bool); 5] {
        [
            ("--min-score", self.min_score.is_some()),
            ("--strict", self.strict),
            ("--relaxed", self.relaxed),
            ("--prevalence", self.prevalence.is_some()),
            ("--min-chunk-score", self.min_chunk_score.is_some()),
        ]
    }

    /// Returns the given options; the others are those of `base`.
    pub(crate) fn options(&self, base: CallOptions) -> Result<CallOptions, Failure> {
        let thresholds = match self.min_score {
            Some(given) => Some(CallThresholds::at(given)?),
            None if self.strict => Some(CallThresholds::STRICT),
            None if self.relaxed => Some(CallThresholds::RELAXED),
            None => None,
        };
        let mut options = base;
        if let Some(thresholds) = thresholds {
            options = options.thresholds(thresholds);
        }
        if let Some(prevalence) = self.prevalence {
            options = options.prevalence(prevalence);
        }
        if let Some(least) = self.min_chunk_score {
            options = options.min_chunk_score(least);
        }
        Ok(options)
    }
}

impl CallFileArguments {
    /// Returns the options that need others, and whether each was given.
    pub(super) fn given(&self) -> [(&'static str, bool); 3] {
        [("--plot", self.plot), ("--compat", self.compat.is_some()), ("--contigs", self.contigs)]
    }

    /// Returns the columns of VirNucPro's files, if the files are requested.
    pub(crate) fn compat(&self) -> Option<Compat> {
        self.compat.map(Compat::from)
    }

    /// Returns the requested files; the others are those of `base`.
    pub(crate) fn options(&self, base: CallOptions) -> CallOptions {
        let mut options = base;
        if let Some(compat) = self.compat() {
            options = options.compat(compat);
        }
        if let Some(rule) = self.contig_rule() {
            options = options.contigs(rule);
        }
        if let Some(most) = self.max_plots {
            options = options.max_plots(most);
        }
        if self.plot { options.plot(plot::track::DRAW) } else { options }
    }

    /// Returns the rule by which contigs are called, if that is requested.
    fn contig_rule(&self) -> Option<ContigRule> {
        let default = ContigRule::default();
        self.contigs.then(|| {
            let rule = self.contig_min_chunks.map_or(default, |least| default.min_chunks(least));
            let rule = self.contig_min_viral.map_or(rule, |least| rule.min_viral(least));
            self.contig_min_nonviral.map_or(rule, |least| rule.min_nonviral(least))
        })
    }
}
