"""miniwdl without containers: a task's command runs on this machine.

    python3 tests/wdl/bare.py run examples/clusters/wdl/virpack.wdl reads_input=examples/metagenome.fasta

It takes the arguments of `miniwdl`. Inputs are copied into the task's directory, whose path is the same inside and outside.
"""

import os
import sys

import WDL.CLI
from WDL.runtime import task_container
from WDL.runtime.backend.cli_subprocess import SubprocessBase


class Bare(SubprocessBase):
    def __init__(self, cfg, run_id, host_dir):
        super().__init__(cfg, run_id, host_dir)
        self.container_dir = host_dir

    @classmethod
    def global_init(cls, cfg, logger):
        pass

    @property
    def cli_name(self):
        return "bare"

    def _pull(self, logger, cleanup):
        return ""

    def _run_invocation(self, logger, cleanup, image):
        return ["env", "-C", self.host_work_dir()]


if __name__ == "__main__":
    task_container._backends["bare"] = Bare
    os.environ["MINIWDL__SCHEDULER__CONTAINER_BACKEND"] = "bare"
    os.environ["MINIWDL__FILE_IO__COPY_INPUT_FILES"] = "true"
    sys.exit(WDL.CLI.main(sys.argv[1:]))
