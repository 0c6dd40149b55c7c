//! Hints with the names of options, for cases in which the libraries' neutral hints help less. All others
//! are the libraries'.

use crate::failure::Failure;
use crate::text::megabytes;
use std::borrow::Cow;
use std::io::ErrorKind;
use virpack_core::MergeError;
use virpack_core::device::{DeviceError, Remedy, Unavailable};
use virpack_core::model::hub::HubError;
use virpack_core::model::{ModelError, mini};
use virpack_core::output::{OutputError, OutputErrorKind};
use virpack_core::plan::PlanError;
use virpack_core::{DeviceChoiceError, Error, Hint, ResumeError, ResumeErrorKind, SettingError};
use virpack_seq::{InputError, SeqError, shown_path};

type Words<'a> = Option<Cow<'a, str>>;

/// Returns what to do about an error of a run.
pub(super) fn of(error: &Error) -> Words<'_> {
    let words: Cow<'_, str> = match error {
        Error::Model(error) => return of_model(error),
        Error::Device(error) => return of_device(error),
        Error::DeviceChoice(error) => return of_device_choice(error),
        Error::Seq(error) => return of_seq(error),
        Error::Setting(error) => return of_setting(error),
        Error::Output(error) => return of_output(error),
        Error::Resume(error) => return of_resume(error),
        Error::Merge(error) => return of_merge(error),
        Error::Plan(error) => return of_plan(error),
        Error::Bundle(error) if error.is_nucleotide_width() => {
            "--nucleotide-classifier scores chunks without an open frame, by the nucleotide model alone".into()
        }
        Error::Bundle(error) if error.is_joint() => {
            "--model names a directory of models and classifiers that were trained together".into()
        }
        Error::Bundle(error) if error.is_beside_joint() => "leave --nucleotide-classifier out".into(),
        Error::Bundle(error) if error.is_incomplete() => {
            "--model names a directory with the models peptide/ and nucleotide/ and their classifiers, \
             classifier_500.safetensors and nucleotide_classifier_500.safetensors; single models are named by \
             --protein-model and --nucleotide-model, with --classifier"
                .into()
        }
        Error::Report(error) if error.is_input() => {
            "put the input back and run this where `virpack predict` was run, or leave the FASTA files out \
             with --no-fasta"
                .into()
        }
        Error::Report(error) if error.is_page() => "give the page another name with --comparison".into(),
        Error::Hung { .. } => "see `nvidia-smi` and the system's log; --device-timeout sets the seconds".into(),
        neutral => return neutral.hint(),
    };
    Some(words)
}

fn of_model(error: &ModelError) -> Words<'_> {
    match error {
        ModelError::Device(error) => of_device(error),
        ModelError::Seq(error) => of_seq(error),
        ModelError::Hub(HubError::NotCached { offline: false, .. }) => {
            Some("check the name; `virpack models fetch` downloads a model".into())
        }
        ModelError::Modules { .. } => {
            Some("name the weights file itself for the transformer alone, pooled by --pool".into())
        }
        ModelError::AlphabetOfPipe { .. } | ModelError::AlphabetUnclear { .. } => {
            let [peptides, nucleotides] = mini::MODELS;
            Some(format!("name the model, --model {peptides} or --model {nucleotides}").into())
        }
        neutral => neutral.hint(),
    }
}

fn of_device(error: &DeviceError) -> Words<'_> {
    match error {
        DeviceError::Threads { threads: 2.., .. } => Some(
            "ask for fewer with --threads, or raise the limit on processes or memory (ulimit -u, ulimit -v, the \
             container's)"
                .into(),
        ),
        DeviceError::OutOfMemory { .. } => Some(smaller_batches().into()),
        DeviceError::NotFinite { .. } => Some("try --dtype bf16 or f32".into()),
        neutral => neutral.hint(),
    }
}

/// Returns what to do about a device without enough memory.
pub(super) fn smaller_batches() -> &'static str {
    "ask for smaller batches with --token-budget"
}

fn of_device_choice(error: &DeviceChoiceError) -> Words<'_> {
    match (error.unavailable(), error.is_dtype_of_auto()) {
        (Some(why), _) => of_unavailable(why),
        (None, Some(true)) => {
            Some("give --dtype bf16, or leave it out; `virpack devices` says why no GPU was taken".into())
        }
        (None, Some(false)) => Some("give --dtype bf16, leave it out, or name a GPU with --device".into()),
        (None, None) => error.hint(),
    }
}

/// Returns what to do about a device that cannot be used.
pub(super) fn of_unavailable(why: &Unavailable) -> Words<'_> {
    match why.remedy {
        Remedy::InstallDriver => Some("install the NVIDIA driver, or run with --device cpu".into()),
        Remedy::UseCpu => Some("run with --device cpu".into()),
        Remedy::ChangeDtype => Some("compute with --dtype f16 or f32".into()),
        _ => why.hint(),
    }
}

fn of_setting(error: &SettingError) -> Words<'_> {
    Some(Cow::Borrowed(match error.setting() {
        "long_records" => "raise --max-length instead, or use --long-records truncate, skip or error",
        "nucleotide_model" | "protein_model" => {
            "--nucleotide-model reads the bases, --protein-model the peptides"
        }
        "min_score" => "the default is 0.7; --relaxed is 0.5, --strict 0.9",
        _ => return error.hint(),
    }))
}

fn of_seq(error: &SeqError) -> Words<'_> {
    let words: Cow<'_, str> = match error {
        SeqError::Input(error) => return of_input(error),
        SeqError::NotNucleotides { .. } => {
            "this takes DNA or RNA; proteins are for `virpack embed` with a model of proteins, in a run of their own".into()
        }
        SeqError::NotProtein { .. } => {
            "this model reads proteins; nucleotides are for --model virpack-mini/nucleotide or zhihan1996/DNABERT-S, in a \
             run of their own"
                .into()
        }
        SeqError::TooLong { .. } => {
            "raise --max-length, or let --long-records truncate, window or skip it".into()
        }
        SeqError::WindowOverlap { most, .. } => format!("the most is half of --max-length, {most}").into(),
        SeqError::MaxLengthZero => "give --max-length at least 1".into(),
        SeqError::BudgetTooSmall { longest, .. } => format!(
            "the smallest budget that works is {longest}: --max-length (of chunks, --length) and the special tokens"
        )
        .into(),
        SeqError::NotEnoughMemory { needed, limit, .. } => format!(
            "{} are needed; {}, lower --max-length (of chunks, --length) or take a smaller model",
            megabytes(*needed),
            more_memory(*limit)
        )
        .into(),
        neutral => return neutral.hint(),
    };
    Some(words)
}

/// Returns what gives a run more memory.
pub(crate) fn more_memory(limit: Option<&str>) -> &'static str {
    if limit.is_some() { "raise the limit" } else { "free some" }
}

fn of_input(error: &InputError) -> Words<'_> {
    let words: Cow<'_, str> = match error {
        InputError::DecoderMemory { .. } => format!("{} | virpack ... -", error.decompress_command()?).into(),
        InputError::RecordTooLarge { compressed: Some(_), .. } => {
            "--max-record-size reads it all the same, up to that size".into()
        }
        InputError::RecordTooLarge { compressed: None, .. } => {
            "--max-record-size reads larger ones, where the memory holds four copies of them; a line that begins with `>` \
             or `@` begins a record"
                .into()
        }
        InputError::HeaderTooLong { .. } => {
            "a line end is missing, or this is not a file of sequences; --max-header-size reads longer ones".into()
        }
        InputError::Foreign { format, .. } if format.holds_tensors() => {
            "name the file of sequences; a model is named by --model".into()
        }
        neutral => return neutral.hint(),
    };
    Some(words)
}

/// Returns what to do about an output.
pub(super) fn of_output(error: &OutputError) -> Words<'_> {
    Some(Cow::Borrowed(match error.kind() {
        OutputErrorKind::Scratch => {
            "set TMPDIR to a directory with room for all of them, or name a file with -o"
        }
        OutputErrorKind::NoResidues(_) => "use .parquet, .arrows, .safetensors or .h5, or another --pool",
        OutputErrorKind::NoStream => "--format npy or --format arrow, or name a file with -o",
        OutputErrorKind::NoDtype => "use --dtype-out f16 or f32, or .safetensors, which has it",
        OutputErrorKind::NoShard => {
            "`virpack embed --shard I/N` writes shards, `virpack merge` any other format"
        }
        OutputErrorKind::ShardName => "name it NAME.shard; `virpack merge` joins all shards to any format",
        OutputErrorKind::ShardDtype => "give --dtype-out to `virpack merge`",
        OutputErrorKind::Overflow => "write float32 (leave --dtype-out out), or bfloat16 to .safetensors",
        OutputErrorKind::Exists => REPLACE,
        OutputErrorKind::NotToStdout(..) => "leave it out, or name a file or directory with -o",
        OutputErrorKind::NotToStore(..) => {
            "`virpack plan INPUT... -o s3://BUCKET/DIR` keeps each part that is complete"
        }
        OutputErrorKind::NoReport => "leave --report out",
        OutputErrorKind::WhichFrames => "add --kind nucleotide or --kind protein",
        OutputErrorKind::KindOfFiles(_) => "leave it out, or use -o -",
        OutputErrorKind::Part => "run again with --resume, which checks every part",
        OutputErrorKind::Stdout(kind) => match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "the disk that it goes to is full: free some space, or name a file elsewhere with -o"
            }
            _ => "look at what reads it, or name a file with -o",
        },
        OutputErrorKind::StdoutClosed => {
            "send it to a file or a program (> FILE, | PROGRAM), or name a file with -o"
        }
        _ => return error.hint(),
    }))
}

const REPLACE: &str = "choose another name, or replace it with --force";

fn of_resume(error: &ResumeError) -> Words<'_> {
    Some(Cow::Borrowed(match error.kind() {
        ResumeErrorKind::Unfinished => "continue with --resume, or start again with --force",
        ResumeErrorKind::AnotherRun => {
            "with the same inputs, model and options --resume resumes it; --force without it starts again"
        }
        ResumeErrorKind::ChangedOutput | ResumeErrorKind::AnotherOutput => REPLACE,
        ResumeErrorKind::OtherCalls => "`virpack report` makes its files again, without computing",
        ResumeErrorKind::Manifest => "what is finished cannot be known without it: start again with --force",
        ResumeErrorKind::Version => "resume with the version that made them, or start again with --force",
        ResumeErrorKind::Pipe(_) => "give files, or leave --resume out and start again",
        _ => return error.hint(),
    }))
}

fn of_plan(error: &PlanError) -> Words<'_> {
    if error.is_no_plan() {
        return Some("`virpack plan INPUT... -o DIR` makes one".into());
    }
    match (error.directory(), error.command(), error.parts()) {
        (Some(directory), Some(command), Some(parts)) => {
            let directory = shown_path(directory);
            Some(format!("`virpack {command} --plan {directory} --part {parts}` makes them again").into())
        }
        (Some(directory), Some(command), None) => {
            Some(format!("`virpack {command} --plan {}` makes its parts", shown_path(directory)).into())
        }
        _ => error.hint(),
    }
}

fn of_merge(error: &MergeError) -> Words<'_> {
    if error.is_no_shard() {
        return Some("a shard is what `virpack embed --shard I/N -o NAME.shard` writes".into());
    }
    match error.missing_of() {
        Some(of) => Some(format!("name all of them; `virpack embed --shard I/{of}` makes one").into()),
        None => error.hint(),
    }
}

/// Returns what to do about a failure that only the program has.
pub(super) fn of_own(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::OverlapWithoutWindows => "add --long-records window",
        Failure::NotOfPlan { .. } => "leave it out",
        Failure::WithoutOutput { .. } => "name a directory with -o, or leave it out",
        Failure::NothingToCompare => "leave it out, or name several directories",
        Failure::RunTwice { .. } => "name each run once",
        Failure::PartWithoutPlan => "name the plan with --plan",
        Failure::WithoutClassifier { .. } => "name it with --classifier",
        Failure::NoPublishedClassifier { .. } => {
            "it comes with VirNucPro (github.com/Li-Jing-1997/VirNucPro): put it here, or name it with --classifier"
        }
        Failure::NoSuchBundle { .. } => {
            "give a directory, or leave out --model for virpack-mini; published models run with --preset, or \
             with --protein-model, --nucleotide-model and --classifier"
        }
        Failure::OutputLooksLikeFile { .. } => {
            "name a directory, as in -o verdicts, or send sequences.tsv to standard output (-o - > FILE); if \
             the directory shall have this name, make it first"
        }
        Failure::Differs { .. } => "--dtype bf16 has a wider range than f16, and f32 is the reference",
        Failure::NothingCompared { .. } => "give records with letters, within --min-length and --max-length",
        Failure::NoShape { .. } => "8M, 35M, 150M, 650M, 3B or 15B",
        Failure::BenchModel { .. } => "name an ESM-2 model, or a --shape of one",
        Failure::ManualPages { .. } => "name a directory that can be written to",
        Failure::Contacts => "fair-esm's esm-extract --include contacts computes them",
        Failure::StdoutClosed => "send it to a file or a program (> FILE, | PROGRAM)",
        Failure::BinaryToTerminal => {
            "send them to a program or a file (virpack embed ... -o - | program), or name a file with -o"
        }
        Failure::Virpack(_)
        | Failure::Resumable { .. }
        | Failure::Reworded { .. }
        | Failure::Plot(_)
        | Failure::Stdout(_) => {
            return None;
        }
    })
}
