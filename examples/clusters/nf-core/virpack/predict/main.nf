process VIRPACK_PREDICT {
    tag "$meta.id"
    label 'process_medium'
    label 'process_gpu'

    // virpack is not on Bioconda yet: build packaging/Dockerfile or packaging/apptainer.def, and name the image here.
    conda "${moduleDir}/environment.yml"
    container "${params.virpack_container ?: 'virpack:0.1.0'}"

    input:
    tuple val(meta), path(fasta)

    output:
    tuple val(meta), path("${prefix}/sequences.tsv")     , emit: sequences
    tuple val(meta), path("${prefix}/chunks.tsv")        , emit: chunks
    tuple val(meta), path("${prefix}/regions.tsv")       , emit: regions
    tuple val(meta), path("${prefix}/viral.fna")         , emit: viral
    tuple val(meta), path("${prefix}/report.html")       , emit: report
    tuple val(meta), path("${prefix}/virpack_mqc.json")  , emit: multiqc
    tuple val("${task.process}"), val('virpack'), eval("virpack --version | sed 's/virpack //; s/ .*//'"), topic: versions, emit: versions_virpack

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def device = task.accelerator ? 'cuda:all' : "cpu --threads ${task.cpus}"
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    virpack predict \\
        ${fasta} \\
        --output ${prefix} \\
        --device ${device} \\
        --quiet \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir ${prefix}
    touch ${prefix}/sequences.tsv ${prefix}/chunks.tsv ${prefix}/regions.tsv
    touch ${prefix}/viral.fna ${prefix}/report.html ${prefix}/virpack_mqc.json
    """
}
