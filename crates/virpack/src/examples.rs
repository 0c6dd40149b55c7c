//! The examples below the help of each command.

pub(crate) const PREDICT: &str = "Examples:
  virpack predict contigs.fasta -o verdicts --min-length 1000
  virpack predict genome.fasta -o proviruses --strict --plot
  virpack predict contigs.fasta -o verdicts --preset virnucpro-500 --resume";

pub(crate) const REPORT: &str = "Examples:
  virpack report verdicts --strict --plot
  virpack report monday tuesday --comparison both.html";

pub(crate) const EMBED: &str = "Examples:
  virpack embed proteins.fasta -o embeddings.parquet
  virpack embed proteins.fasta -m 650M -o embeddings.npy --resume
  virpack embed genomes/*.fna.gz -m dnabert-s --long-records window -o genomes.h5";

pub(crate) const PLAN: &str = "Examples:
  virpack plan proteins.fasta -m 650M -o plan
  virpack plan s3://bucket/contigs.fna --predict -o s3://bucket/plan --part-tokens 200M";

pub(crate) const COMMIT: &str = "Examples:
  virpack commit plan
  virpack commit s3://bucket/plan -o embeddings.parquet";

pub(crate) const MERGE: &str = "Examples:
  virpack merge part1.shard part2.shard -o embeddings.npy";

pub(crate) const FRAMES: &str = "Examples:
  virpack frames contigs.fasta -o contigs
  virpack frames contigs.fasta --kind protein -o - | head";

pub(crate) const PACK: &str = "Examples:
  virpack pack proteins.fasta --token-budget 16384
  virpack pack proteins.fasta --plot packing.svg";

pub(crate) const VALIDATE: &str = "Examples:
  virpack validate proteins.fasta -m 650M
  virpack validate proteins.fasta -m 3B --device cuda:0 --dtype bf16 --json";

pub(crate) const BENCH: &str = "Examples:
  virpack bench --shape 650M
  virpack bench --shape 3B --load orf --device cuda:0 --dtype int8 --json";

pub(crate) const DEVICES: &str = "Examples:
  virpack devices
  virpack devices --json";

pub(crate) const COMPLETIONS: &str = "Examples:
  virpack completions bash > ~/.local/share/bash-completion/completions/virpack
  virpack completions zsh > ~/.zfunc/_virpack";

pub(crate) const MODELS_LIST: &str = "Examples:
  virpack models list
  virpack models list --json";

pub(crate) const MODELS_INFO: &str = "Examples:
  virpack models info 650M
  virpack models info models/mine --json";

pub(crate) const MODELS_FETCH: &str = "Examples:
  virpack models fetch 650M
  HF_HOME=/scratch/hub virpack models fetch 3B dnabert-s";

pub(crate) const MODELS_CONVERT: &str = "Examples:
  virpack models convert 500_model.pth 500_model.safetensors";
