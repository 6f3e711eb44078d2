"""modelc verify against golden folders that were changed on purpose: it must fail, and say where."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conftest import BINARY, modelc

GOLDENS = Path("tests/golden")
MODEL = "models/v3.2.mlir"
MODELS = {"deepseek_v32": MODEL, "deepseek_v3": "models/v3.1.mlir", "glm_moe_dsa": "models/glm-5.mlir"}


def verify(golden, *flags):
    model = MODELS[json.loads((golden / "config.json").read_text())["model_type"]]
    return modelc("verify", model, "--backend", "cpu", "--golden", str(golden), *flags)


def copy_golden(name, tmp_path):
    return Path(shutil.copytree(GOLDENS / name, tmp_path / name))


def change(path, edit):
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize("name", sorted(p.parent.name for p in GOLDENS.glob("*/config.json")))
def test_json_report(name):
    result = verify(GOLDENS / name, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["passed"] and report["numerics"] == "reference" and report["first_failure"] is None
    values = {(v["name"], v.get("layer")): v for v in report["values"]}
    layers = json.loads((GOLDENS / name / "config.json").read_text())["num_hidden_layers"] + 1
    assert values["logits", None]["max_error"] <= 2e-4
    assert values["mtp_logits", None]["max_error"] <= 2e-4
    for layer in range(layers):
        assert values["hidden", layer]["rows"] > 0


@pytest.mark.parametrize("name,numerics", [("tiny-fp8", "reference"), ("tiny-fp8", "deepseek"), ("tiny-fp8", "fast"),
                                           ("tiny-sparse", "reference"), ("tiny-dense-topk", "reference")])
def test_generated_code_keeps_the_goldens(name, numerics):
    """Every op there is generated code for, chains among them, in place of the plugin's kernels."""
    result = verify(GOLDENS / name, "--json", "--numerics", numerics, "--generate", "*")
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout)["passed"]


@pytest.mark.parametrize("name", ["tiny-fp8", "tiny-sparse", "tiny-dense-topk"])
@pytest.mark.parametrize("schedule", ["code = library, form = expanded", "code = generated, split = 3, order = keys",
                                      "code = generated, gather = page, rows = 5, keys = 40",
                                      "code = generated, split = 2, gather = page"])
def test_schedules_keep_the_goldens(name, schedule, tmp_path):
    """Rows with and without a selection, in chunks and one by one."""
    text = Path(MODEL).read_text()
    model = tmp_path / "model.mlir"
    model.write_text(text.replace('value @v_head_dim rope @rope', f'value @v_head_dim rope @rope schedule #lm.mla<{schedule}>'))
    assert model.read_text() != text
    for rows in (1, 50):
        result = modelc("verify", model, "--backend", "cpu", "--golden", str(GOLDENS / name), "--json", "--max-rows", rows)
        assert result.returncode == 0, result.stdout + result.stderr
        assert json.loads(result.stdout)["passed"]


def test_wrong_hidden_state_is_the_first_failure(tmp_path):
    golden = copy_golden("tiny-sparse", tmp_path)

    def edit(tensors):
        tensors["hidden.1"][50, 3] += 0.01 * np.abs(tensors["hidden.1"]).max()

    change(golden / "golden.safetensors", edit)
    result = verify(golden)
    assert result.returncode == 1
    assert "first outside: hidden of layer 1" in result.stdout
    assert "v3.2.mlir" in result.stdout


def test_wrong_expert_is_a_failure_where_the_margin_is_wide(tmp_path):
    golden = copy_golden("tiny-sparse", tmp_path)

    def edit(tensors):
        row = int(np.argmax(tensors["expert_margin.1"]))
        taken = set(tensors["experts.1"][row])
        tensors["experts.1"][row, 0] = min(set(range(16)) - taken)
        tensors["experts.1"][row].sort()

    change(golden / "golden.safetensors", edit)
    result = verify(golden)
    assert result.returncode == 1
    assert "first outside: experts of layer 1" in result.stdout


def test_weights_that_are_not_the_goldens(tmp_path):
    golden = copy_golden("tiny-sparse", tmp_path)

    def edit(tensors):
        tensors["lm_head.weight"] *= 1.001

    change(golden / "model.safetensors", edit)
    result = verify(golden)
    assert result.returncode == 1
    assert "first outside: logits" in result.stdout


def test_nan_scale_names_the_tensor(tmp_path):
    path = copy_golden("tiny-fp8", tmp_path) / "model.safetensors"
    # e4m3 is no numpy type: the scale's bytes are found by the header.
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    begin = json.loads(data[8 : 8 + length])["model.layers.1.self_attn.o_proj.weight_scale_inv"]["data_offsets"][0]
    data[8 + length + begin : 8 + length + begin + 4] = np.float32(np.nan).tobytes()
    path.write_bytes(data)
    result = verify(path.parent)
    assert result.returncode == 2
    assert "model.layers.1.self_attn.o_proj.weight_scale_inv" in result.stderr and "finite" in result.stderr


def test_truncated_checkpoint(tmp_path):
    golden = copy_golden("tiny-sparse", tmp_path)
    path = golden / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    result = verify(golden)
    assert result.returncode == 2
    assert "truncated" in result.stderr and len(result.stderr.splitlines()) == 1


def against(name, *flags):
    plugin = BINARY.parents[1] / f"tests/plugins/{name}/libmodelc_test_{name}.so"
    return modelc("verify", MODEL, "--backend", "cpu", "--against", name, "--plugin", plugin, *flags)


@pytest.mark.parametrize("numerics", ["reference", "deepseek", "fast"])
def test_against_another_backend(numerics):
    result = against("portable_cpu", "--numerics", numerics, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["passed"] and report["backend"] == "cpu" and report["against"] == "backend portable_cpu"
    assert report["tokens"] == 200
    compared = {v["name"] for v in report["values"] if v["rows"] > 0}
    assert {"logits", "mtp_logits", "hidden", "topk_indices", "experts"} <= compared


def test_against_a_backend_that_is_wrong():
    result = against("wrong_cpu", "--numerics", "reference")
    assert result.returncode == 1, result.stdout + result.stderr
    # The first value that is compared behind the wrong norm.
    assert "failed; first outside: index_scores of layer 0, computed by dsa.logits" in result.stdout


def test_against_itself():
    result = modelc("verify", MODEL, "--backend", "cpu", "--against", "cpu")
    assert result.returncode == 2
    assert "--against cpu is the backend under test" in result.stderr


@pytest.mark.parametrize(
    "flags,message",
    [
        ([], "--golden DIR or --against BACKEND"),
        (["--golden", "tests/golden/none"], "cannot read"),
        (["--golden", "tests/golden/tiny-sparse", "--numerics", "exact"], "none of reference, deepseek, fast"),
        (["--golden", "tests/golden/tiny-sparse", "--numerics", "deepseek"], "golden_deepseek.safetensors"),
        (["--golden", "tests/golden/tiny-sparse", "--weights", "models/nano/checkpoint"], "drop --weights"),
        (["--against", "abacus"], "abacus"),
    ],
)
def test_wrong_use(flags, message):
    result = modelc("verify", MODEL, *flags)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
