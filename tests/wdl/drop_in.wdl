version 1.0

# A workflow of VirNucPro's tasks whose import line alone was changed: every input that those tasks have is given.

import "../../examples/clusters/wdl/virpack.wdl" as metagenomics

workflow drop_in {
  input {
    File reads_input
  }

  call metagenomics.classify_virnucpro {
    input:
      reads_input = reads_input,
      expected_length = 500,
      parallel = true,
      persist_model = true,
      use_gpu = false,
      batch_size = 128,
      esm_batch_size = 2048,
      dnabert_batch_size = 2048,
      resume = true,
      accelerator_type = "nvidia-tesla-t4",
      accelerator_count = 1,
      gpu_type = "nvidia-tesla-t4",
      gpu_count = 1,
      vm_size = "Standard_NC6",
      docker = "virpack:0.1.0"
  }
  call metagenomics.classify_virnucpro_contigs as classify_contigs {
    input:
      virnucpro_tgz = classify_virnucpro.virnuc_pro_scores,
      min_viral_prop = 0.2,
      min_nonviral_prop = 0.2,
      min_chunks = 2,
      id_col = "Modified_ID",
      id_pattern = "(\\S+)",
      machine_mem_gb = 1,
      docker = "virpack:0.1.0"
  }

  output {
    File virnuc_pro_scores = classify_virnucpro.virnuc_pro_scores
    File virnucpro_contigs_classified = classify_contigs.contig_classifications
  }
}
