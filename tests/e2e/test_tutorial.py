"""Every command of the tutorial, in its order, in one shell."""
import os
import re
import subprocess
from pathlib import Path

from conftest import BINARY, ROOT

PAGE = ROOT / "docs/tutorial-sparse-attention.md"


def commands():
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_every_command_runs(tmp_path):
    for folder in ("models", "examples", "docs", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/release").symlink_to(Path(BINARY).resolve().parents[1])
    blocks = commands()
    assert len(blocks) >= 10
    script = "".join(f"echo '@@ {i}'\n{block}" for i, block in enumerate(blocks))
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True,
                            timeout=900, env=os.environ | {"LC_ALL": "C.UTF-8"})
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    # What the page says one sees.
    said = dict(zip(blocks, re.split(r"^@@ \d+\n", result.stdout, flags=re.MULTILINE)[1:]))
    output = lambda part: next(text for block, text in said.items() if part in block)
    assert len(output("grep -n 'lm.dsa").splitlines()) == 4
    assert "window 8" in output("--until lm-vary-attention")
    assert "933" in output("--attention 'top=32 window=8' --prompt")
    assert "index-format=bf16" in output("modelc study")
    assert (tmp_path / "first-study.svg").read_text().startswith("<svg")
    assert "dsa.block_scores" in output("blocks.mlir")
    assert "refused, as it should be" in output("wrong.mlir") and "wrong.mlir:" in result.stderr
    passed, failed = output("modelc verify").splitlines()
    assert passed == "passed" and failed.startswith("failed")
    assert "lm.dsa.window_scores" in output("lower-research") and "933" in output("lower-research")
