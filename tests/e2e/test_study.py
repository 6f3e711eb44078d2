"""modelc study on nano: what must hold whatever the numbers are, and wrong use."""
import json

import pytest

from conftest import modelc

MODEL = "models/v3.2.mlir"
PROBLEMS = "models/nano/eval_lookup256_direct.jsonl"


def study(*flags):
    return modelc("study", MODEL, "--problems", PROBLEMS, "--limit", 2, "--decode-at", 200, "--repeat", 1, *flags)


def test_variants(tmp_path):
    variants = ["dense", "top=8", "top=64", "top=8 window=8", "block=8", "reuse=2", "index-format=i8", "index-format=f32", "latent-format=i8"]
    result = study("--variants", ";".join(variants), "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads((tmp_path / "out.json").read_text())
    assert [v["variant"] for v in report["variants"]] == ["model file"] + variants
    by_name = {v["variant"]: v for v in report["variants"]}
    model, dense = by_name["model file"], by_name["dense"]
    for v in by_name.values():
        assert v["answers"] == 2 and 0 < v["recall"] <= 1 and v["perplexity"] >= 1 and 0 <= v["accuracy"] <= 1
        assert v["tokens_per_second"] > 0 and v["cache_bytes_per_token_read"] > 0
    assert dense["recall"] == 1
    same = ("recall", "perplexity", "accuracy", "cache_bytes_per_token_read")
    assert [by_name["top=64"][key] for key in same] == [model[key] for key in same]  # nano's own k
    assert by_name["top=8"]["recall"] < model["recall"] < 1
    assert by_name["top=8 window=8"]["recall"] != by_name["top=8"]["recall"]
    assert by_name["top=8"]["cache_bytes_per_token_read"] < model["cache_bytes_per_token_read"]
    # Layers that share a selection score no keys, keep none, and read fewer weights; dense attention has no indexer at all.
    assert by_name["reuse=2"]["cache_bytes_per_token_read"] < model["cache_bytes_per_token_read"]
    assert dense["weight_bytes_per_token_read"] < by_name["reuse=2"]["weight_bytes_per_token_read"] < model["weight_bytes_per_token_read"]
    assert dense["cache_bytes_per_token_held"] < model["cache_bytes_per_token_held"] < by_name["index-format=f32"]["cache_bytes_per_token_held"]
    # Int8 keys are as many bytes as f8 ones, and other numbers; they select nearly the same.
    int8 = by_name["index-format=i8"]
    assert int8["cache_bytes_per_token_read"] == model["cache_bytes_per_token_read"]
    assert int8["recall"] != model["recall"] and int8["recall"] == pytest.approx(model["recall"], abs=0.01)
    # Int8 latents have one scale where f8 ones have four.
    latent = by_name["latent-format=i8"]
    layers = 6  # with the MTP head's
    assert model["cache_bytes_per_token_held"] - latent["cache_bytes_per_token_held"] == 12 * layers
    assert latent["recall"] == pytest.approx(model["recall"], abs=0.01) and latent["accuracy"] == model["accuracy"]
    svg = (tmp_path / "out.svg").read_text()
    assert svg.startswith("<svg") and all(variant in svg for variant in variants)


def test_table():
    result = study("--variants", "dense")
    assert result.returncode == 0, result.stderr
    header, _, *rows = result.stdout.splitlines()
    assert header.split()[:3] == ["variant", "mass", "kept"] and [row.split()[0] for row in rows] == ["model", "dense"]


@pytest.mark.parametrize("flags,message", [
    (["--variants", "sparse=2"], "variant 'sparse=2'"),
    (["--variants", "dense reuse=2"], "dense attention selects nothing"),
    (["--attention", "dense"], "use --variants"),
    (["--out", "no/such/folder/x"], "no such folder"),
    (["--problems", "models/nano/eval_add2_think.jsonl"], "without thinking"),
    (["--decode-at", "-1"], "--decode-at"),
])
def test_wrong_use(flags, message):
    result = study(*flags)
    assert result.returncode == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_no_problems():
    result = modelc("study", MODEL)
    assert result.returncode == 2 and "--problems" in result.stderr
