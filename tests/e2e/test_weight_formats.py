"""Weights in another format than the checkpoint's: every command that opens a model takes them."""
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conftest import modelc

MODEL = "models/v3.2.mlir"
NANO = "models/nano/checkpoint"
FORMATS = ["bf16", "int8", "int4"]
MODELS = {"tiny-sparse": MODEL, "v3.1-odd": "models/v3.1.mlir", "glm-5-odd": "models/glm-5.mlir"}


def report(*args):
    result = modelc(*args, "--json")
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)


def logits(verified):
    return next(v for v in verified["values"] if v["name"] == "logits")


@pytest.mark.parametrize("weights_format", FORMATS)
def test_nano_answers(weights_format):
    answer = report("run", MODEL, "--weights-format", weights_format, "--prompt", "What is 12 + 30?")
    assert "42" in answer["choices"][0]["message"]["content"]


def test_weights_are_as_small_as_their_format():
    def weight_bytes(weights_format):
        explained = report("explain", MODEL, "--weights", NANO, "--weights-format", weights_format)
        return sum(l["weight_bytes"] for l in explained["entries"]["step"]["launches"]
                   if l["op"] == "linear_silu_mul" or l["op"].startswith("grouped_"))

    published = weight_bytes("f8")
    assert weight_bytes("bf16") / published == pytest.approx(2, rel=0.001)
    assert weight_bytes("int8") / published == pytest.approx(132 / 128, rel=0.001)
    assert weight_bytes("int4") / published == pytest.approx(72 / 128, rel=0.001)


def test_verify_prints_the_error_against_published_weights():
    errors = {f: logits(report("verify", MODEL, "--weights", NANO, "--weights-format", f)) for f in FORMATS}
    assert errors["bf16"]["max_error"] < 1e-5  # nano's scales are powers of two: only sums differ
    assert 1e-4 < errors["int8"]["rms_error"] < 0.1
    assert errors["int8"]["rms_error"] < errors["int4"]["rms_error"] < 0.5
    text = modelc("verify", MODEL, "--weights", NANO, "--weights-format", "int8")
    assert text.returncode == 0 and "against weights as published" in text.stdout and "passed" in text.stdout


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weights_format", FORMATS)
def test_checkpoints_of_any_width(name, weights_format):
    """Rows that are no multiple of a group, and weights that the checkpoint has in bf16 or float32."""
    verified = report("verify", MODELS[name], "--weights", f"tests/golden/{name}", "--weights-format", weights_format)
    assert 0 < logits(verified)["rms_error"] < {"bf16": 0.01, "int8": 0.1, "int4": 0.5}[weights_format]


def test_a_golden_holds_with_bf16_and_int8():
    for weights_format, numerics in (("bf16", "reference"), ("int8", "fast")):
        result = modelc("verify", MODEL, "--golden", "tests/golden/tiny-fp8", "--numerics", numerics, "--weights-format",
                        weights_format)
        assert result.returncode == 0, result.stdout + result.stderr


def test_built_files_keep_the_format(tmp_path):
    built = tmp_path / "nano.modelc"
    result = modelc("build", MODEL, "--weights", NANO, "--weights-format", "int4", "-o", built)
    assert result.returncode == 0, result.stderr
    formats = {w["name"]: w.get("format") for w in json.loads(built.read_text())["weights"]}
    assert formats["model.layers.{layer}.self_attn.o_proj.weight"] == "int4"
    assert formats["model.layers.{layer}.mlp.experts.{expert}.down_proj.weight"] == "int4"
    assert formats["lm_head.weight"] == "int8"
    for kept in ("self_attn.kv_b_proj", "mlp.gate", "self_attn.indexer.weights_proj", "input_layernorm"):
        assert formats[f"model.layers.{{layer}}.{kept}.weight"] is None
    assert formats["model.embed_tokens.weight"] is None
    answer = report("run", built, "--prompt", "What is 12 + 30?")
    assert "42" in answer["choices"][0]["message"]["content"]
    refused = modelc("run", built, "--weights-format", "int8", "--prompt", "x")
    assert refused.returncode == 2 and "--weights-format was fixed when" in refused.stderr


def test_formats_are_in_the_program_people_read():
    shown = modelc("opt", MODEL, "--config", f"{NANO}/config.json", "--weights", NANO, "--weights-format", "int8",
                   "--until", "lm-quantize")
    assert shown.returncode == 0, shown.stderr
    assert 'tensor<256x512xf8E4M3FN>, "int8"> to [256] act "int8_1x128"' in shown.stdout


@pytest.mark.parametrize("flags,message", [
    (("--weights-format", "int2"), "weights-format 'int2' is not one of f8, bf16, int8, int4"),
    (("--weights-format", "int8", "--numerics", "deepseek"), "which numerics 'deepseek' does not; use fast"),
    (("--weights-format", "int4", "--numerics", "reference"), "which numerics 'reference' does not; use fast"),
])
def test_what_cannot_be_is_refused(flags, message):
    result = modelc("run", MODEL, *flags, "--prompt", "x")
    assert result.returncode == 2 and message in result.stderr
    assert result.stdout == ""


def test_a_damaged_weight_is_named(tmp_path):
    """What is not finite would spoil a whole group."""
    for file in Path("tests/golden/tiny-sparse").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.self_attn.o_proj.weight"
    assert tensors[name].dtype == np.float32
    tensors[name][3, 5] = np.inf
    save_file(tensors, tmp_path / "model.safetensors")
    result = modelc("verify", MODEL, "--weights", tmp_path, "--weights-format", "int8")
    assert result.returncode == 2 and name in result.stderr and "not finite" in result.stderr
