"""The command that the wheel installs: the same program, which starts quickly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import virpack

ROOT = Path(__file__).parents[2]
TINY = ROOT / "examples" / "esm2_tiny"

SCRIPT = shutil.which("virpack", path=sysconfig.get_path("scripts")) or "virpack"


def run(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False, **options)


def test_version_help_and_exit_codes() -> None:
    # The commit follows if the wheel was built in a repository.
    assert run("--version").stdout.split()[:2] == ["virpack", virpack.__version__]
    assert run("embed", "--help").stdout.startswith("Embed proteins or nucleotides")
    assert run("embed", "nowhere.fa", "-o", "x.npy").returncode == 1
    wrong = run("embed", "--no-such-option")
    assert wrong.returncode == 1 and "unexpected argument '--no-such-option'" in wrong.stderr
    module = subprocess.run([sys.executable, "-m", "virpack", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == run("--version").stdout


def test_a_pipe_is_written_to_its_end_and_may_be_closed(tmp_path: Path) -> None:
    path = tmp_path / "in.fasta"
    path.write_text("".join(f">r{i}\n{'MKTLLV' * 20}\n" for i in range(2_000)))
    whole = run("frames", ROOT / "examples" / "contigs.fasta", "--kind", "protein", "-o", "-")
    assert whole.returncode == 0 and whole.stdout.startswith(">")
    line = [SCRIPT, "embed", str(path), "-m", str(TINY), "--device", "cpu", "--format", "arrow", "-o", "-"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(100)
        process.stdout.close()
        assert process.wait(60) == 141


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "in.fasta"
    path.write_text("".join(f">r{i}\n{'MKTLLVAGST' * 90}\n" for i in range(20_000)))
    line = [SCRIPT, "embed", str(path), "-m", str(TINY), "--device", "cpu", "-o", str(tmp_path / "out.npy")]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        # The line shows that the run is in progress and has its handlers.
        assert "tokens a batch" in process.stderr.readline()
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130, said
    assert "resume with:" in said and "--resume" in said and str(tmp_path / "out.npy") in said
    assert "Traceback" not in said


def test_import_is_quick_and_loads_no_numpy() -> None:
    code = "import sys, virpack; assert 'numpy' not in sys.modules, 'numpy'"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, virpack._cli; sys.argv = ['virpack', '--version']; virpack._cli.main(); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

    def took(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    # The minimum of a few, because other programs also run here.
    assert min(took("import virpack") for _ in range(5)) - min(took("pass") for _ in range(5)) < 0.15


def test_every_name_is_documented_and_there() -> None:
    for name in dir(virpack):
        if not name.startswith("_") and name[0].isalpha():
            value = getattr(virpack, name)
            if getattr(value, "__module__", "").startswith("virpack"):
                assert value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        virpack.nothing  # noqa: B018
    assert os.path.exists(os.path.join(os.path.dirname(virpack.__file__), "py.typed"))
