version 1.0

# virpack in place of VirNucPro: tasks with the names, inputs and outputs of `classify_virnucpro` and
# `classify_virnucpro_contigs` in broadinstitute/viral-pipelines (pipes/WDL/tasks/tasks_metagenomics.wdl, commit 0bb49f6), and a
# workflow that runs both on any number of samples. A workflow that imports that file needs another import line, and nothing else:
#
#     import "virpack.wdl" as metagenomics
#
# docs/howto/virnucpro.md has what differs. Try it, with virpack on PATH and no container:
#
#     miniwdl run virpack.wdl reads_input=metagenome.fasta

workflow virpack {
  meta {
    description: "Finds viral reads and contigs in each sample by virpack, and writes VirNucPro's tables."
    allowNestedInputs: true
  }

  input {
    Array[File]+ reads_input
    Int          expected_length = 300
    File?        classifier
    Boolean      use_gpu = false
    String       docker = "virpack:0.1.0"
  }

  parameter_meta {
    reads_input: {
      description: "A file for each sample: BAM, FASTA or FASTQ, plain or compressed.",
      patterns: ["*.bam", "*.fasta", "*.fa", "*.fasta.gz", "*.fa.gz", "*.fastq.gz", "*.fq.gz"]
    }
    expected_length: {
      description: "Bases of a chunk: 300 or 500."
    }
    classifier: {
      description: "VirNucPro's 300_model.pth or 500_model.pth. Without it the built-in model judges, which needs no download.",
      patterns: ["*.pth"]
    }
    use_gpu: {
      description: "If true, a GPU is required; else it is used where there is one."
    }
    docker: {
      description: "An image with virpack on PATH, and with cuBLASLt and NVRTC for a GPU."
    }
  }

  scatter (sample in reads_input) {
    call classify_virnucpro {
      input:
        reads_input = sample,
        expected_length = expected_length,
        classifier = classifier,
        use_gpu = use_gpu,
        docker = docker
    }
    call classify_virnucpro_contigs {
      input:
        virnucpro_tgz = classify_virnucpro.virnuc_pro_scores,
        docker = docker
    }
  }

  output {
    Array[File] virnucpro_scores = classify_virnucpro.virnuc_pro_scores
    Array[File] contig_classifications = classify_virnucpro_contigs.contig_classifications
    Array[File] reports = classify_virnucpro.report
    Array[File] sequences = classify_virnucpro.sequences
  }
}

task classify_virnucpro {
  meta {
    description: "Finds viral reads and contigs by virpack, and writes VirNucPro's tables."
  }

  input {
    File    reads_input
    Int     expected_length = 300
    File?   classifier

    Boolean parallel = false
    Boolean persist_model = false # !UnusedDeclaration
    Boolean use_gpu = false
    Int     batch_size = 256 # !UnusedDeclaration
    Int?    esm_batch_size # !UnusedDeclaration
    Int?    dnabert_batch_size # !UnusedDeclaration

    Boolean resume = false

    String? accelerator_type
    Int?    accelerator_count
    String? gpu_type
    Int?    gpu_count
    String? vm_size
    String  docker = "virpack:0.1.0"
  }

  parameter_meta {
    reads_input: {
      description: "Reads or contigs: BAM, FASTA or FASTQ, plain or compressed. Secondary and supplementary alignments are left out.",
      patterns: ["*.bam", "*.fasta", "*.fa", "*.fasta.gz", "*.fa.gz", "*.fastq.gz", "*.fq.gz"],
      category: "required"
    }
    expected_length: {
      description: "Bases of a chunk: 300 or 500, what the classifier was trained on.",
      category: "common"
    }
    classifier: {
      description: "VirNucPro's 300_model.pth or 500_model.pth; its two language models are then read from the image's cache of the Hugging Face Hub, or downloaded (11.8 GB). Without it the built-in model judges, which needs no download.",
      patterns: ["*.pth"],
      category: "common"
    }
    parallel: {
      description: "With use_gpu: if true, all GPUs of the machine compute, else the first one.",
      category: "advanced"
    }
    persist_model: {
      description: "Accepted for VirNucPro's sake and ignored: models stay loaded.",
      category: "other"
    }
    use_gpu: {
      description: "If true, a GPU is required; else it is used where there is one.",
      category: "common"
    }
    batch_size: {
      description: "Accepted for VirNucPro's sake and ignored: batches are sized by the free memory.",
      category: "other"
    }
    esm_batch_size: {
      description: "Accepted for VirNucPro's sake and ignored: batches are sized by the free memory.",
      category: "other"
    }
    dnabert_batch_size: {
      description: "Accepted for VirNucPro's sake and ignored: batches are sized by the free memory.",
      category: "other"
    }
    resume: {
      description: "If true, a run that was stopped resumes where its directory is still there.",
      category: "advanced"
    }
    accelerator_type: {
      description: "[GCP] The model of GPU, see https://cloud.google.com/compute/gpus-pricing#gpus",
      category: "advanced"
    }
    accelerator_count: {
      description: "[GCP] GPUs of that model.",
      category: "advanced"
    }
    gpu_type: {
      description: "[Terra] The model of GPU, see https://support.terra.bio/hc/en-us/articles/4403006001947",
      category: "advanced"
    }
    gpu_count: {
      description: "[Terra] GPUs of that model.",
      category: "advanced"
    }
    vm_size: { # !UnknownRuntimeKey
      description: "[Azure] The size of the machine.",
      category: "advanced"
    }
    docker: {
      description: "An image with virpack on PATH, and with cuBLASLt and NVRTC for a GPU.",
      category: "other"
    }
  }

  String basename = sub(basename(reads_input), "\\.(bam|fasta\\.gz|fa\\.gz|fastq\\.gz|fq\\.gz|fasta|fa|fastq|fq)$", "")
  String gpus = if parallel then "cuda:all" else "cuda"

  command <<<
    set -ex -o pipefail

    virpack predict "~{reads_input}" -o virpack --length ~{expected_length} \
      ~{"--preset virnucpro-" + expected_length + " --classifier '" + classifier + "'"} \
      --device ~{if use_gpu then gpus else "auto"} \
      --compat broad --unique-ids ~{true="--resume" false="" resume}

    cp virpack/prediction_results.txt "~{basename}.virnucpro.tsv"
    cp virpack/prediction_results_highestscore.csv "~{basename}.virnucpro_highestscore.csv"
    cp virpack/report.html "~{basename}.virpack.html"
    cp virpack/sequences.tsv "~{basename}.virpack.tsv"

    # The two files of VirNucPro, and the tables that `virpack report` judges again.
    rm -rf virpack/plots virpack/prediction_results* virpack/report.html
    tar -czf "~{basename}.virnucpro.tgz" "~{basename}.virnucpro.tsv" "~{basename}.virnucpro_highestscore.csv" virpack
  >>>

  output {
    File virnuc_pro_scores = "~{basename}.virnucpro.tgz"
    File report = "~{basename}.virpack.html"
    File sequences = "~{basename}.virpack.tsv"
  }

  # The attributes of four platforms: GCP (acceleratorType), Terra (gpuType), DNAnexus (dx_instance_type), Azure (vm_size).
  runtime {
    docker: docker
    memory: "30 GB"
    cpu: 8
    disks: "local-disk 120 SSD"
    disk: "120 GB"
    gpu: true
    dx_instance_type: "mem1_ssd1_gpu2_x8"
    dx_timeout: "6H" # !UnknownRuntimeKey
    acceleratorType: select_first([accelerator_type, "nvidia-tesla-t4"]) # !UnknownRuntimeKey
    acceleratorCount: select_first([accelerator_count, 1]) # !UnknownRuntimeKey
    gpuType: select_first([gpu_type, "nvidia-tesla-t4"])
    gpuCount: select_first([gpu_count, 1])
    vm_size: select_first([vm_size, "Standard_NC4as_T4_v3"]) # !UnknownRuntimeKey
    maxRetries: 1
  }
}

task classify_virnucpro_contigs {
  meta {
    description: "Calls contigs viral or not by the weighted deltas of their chunks, as viral-pipelines does."
  }

  input {
    File    virnucpro_tgz

    Float   min_viral_prop = 0.1
    Float   min_nonviral_prop = 0.1
    Int     min_chunks = 5
    String  id_col = "Modified_ID" # !UnusedDeclaration
    String  id_pattern = "(NODE_\\d+)" # !UnusedDeclaration

    Int     machine_mem_gb = 2
    String  docker = "virpack:0.1.0"
  }

  parameter_meta {
    virnucpro_tgz: {
      description: "The archive of this file's classify_virnucpro, which holds the run's tables beside VirNucPro's two.",
      patterns: ["*.tgz"],
      category: "required"
    }
    min_viral_prop: {
      description: "The least share of confident viral chunks, among those that are not ambiguous, of a viral contig of more than low confidence.",
      category: "advanced"
    }
    min_nonviral_prop: {
      description: "The same of contigs that are not viral.",
      category: "advanced"
    }
    min_chunks: {
      description: "Chunks below which a contig falls a tier.",
      category: "advanced"
    }
    id_col: {
      description: "Accepted for VirNucPro's sake and ignored.",
      category: "other"
    }
    id_pattern: {
      description: "Accepted for VirNucPro's sake and ignored: every record is a contig.",
      category: "other"
    }
    machine_mem_gb: {
      description: "Memory in GB.",
      category: "other"
    }
    docker: {
      description: "An image with virpack on PATH.",
      category: "other"
    }
  }

  String out_filename = sub(basename(virnucpro_tgz), "\\.virnucpro\\.tgz$", "") + ".contigs_classified.tsv"
  Int disk_size = 50

  command <<<
    set -ex -o pipefail
    if ! tar -xzf "~{virnucpro_tgz}" virpack; then
      echo "this archive holds no run of virpack: make it by the task classify_virnucpro of virpack.wdl" >&2
      exit 1
    fi
    virpack report virpack --no-fasta --contigs --contig-min-chunks ~{min_chunks} \
      --contig-min-viral ~{min_viral_prop} --contig-min-nonviral ~{min_nonviral_prop}
    cp virpack/contigs.tsv "~{out_filename}"
  >>>

  output {
    File contig_classifications = "~{out_filename}"
  }

  runtime {
    docker: docker
    memory: "~{machine_mem_gb} GB"
    cpu: 1
    disks: "local-disk ~{disk_size} HDD"
    disk: "~{disk_size} GB"
    dx_instance_type: "mem1_ssd1_v2_x2"
    preemptible: 2
    maxRetries: 2
  }
}
