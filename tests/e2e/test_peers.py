"""tests/bench/peers.py without the peer: conversion to GGUF, modelc's side, the table, wrong use."""

import subprocess
import sys
from argparse import Namespace

import gguf
import numpy as np
import pytest

from conftest import BINARY, ROOT

sys.path.insert(0, str(ROOT / "tests/bench"))
import peers  # noqa: E402
from peer import report, to_gguf  # noqa: E402

TINY = ROOT / "tests/golden/tiny-fp8"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The tiny checkpoint and its GGUF files by type."""
    out = {}
    for kind in ("f32", "q8_0"):
        file = tmp_path_factory.mktemp("gguf") / f"{kind}.gguf"
        to_gguf.convert(TINY, file, kind)
        out[kind] = gguf.GGUFReader(file)
    return to_gguf.Checkpoint(TINY), out


def values(reader):
    return {
        t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(*reversed(t.shape.tolist()))
        for t in reader.tensors
    }


def test_every_number_of_the_decoder_is_converted_once(converted):
    checkpoint, files = converted
    theirs = values(files["f32"])
    layers = range(checkpoint.config["num_hidden_layers"])
    decoder = [
        n
        for n in checkpoint.names()
        if not n.endswith("_scale_inv") and (not n.startswith("model.layers.") or int(n.split(".")[2]) in layers)
    ]
    assert sum(v.size for v in theirs.values()) == sum(int(np.prod(checkpoint.shape(n))) for n in decoder)
    assert sum(np.abs(v).sum(dtype=np.float64) for v in theirs.values()) == pytest.approx(
        sum(np.abs(checkpoint.read(n)).sum(dtype=np.float64) for n in decoder)
    )


def test_names_and_layouts(converted):
    checkpoint, files = converted
    read, theirs, c = checkpoint.read, values(files["f32"]), checkpoint.config
    for ours, name in (
        ("lm_head.weight", "output.weight"),
        ("model.layers.1.self_attn.indexer.wk.weight", "blk.1.indexer.attn_k.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.layers.2.mlp.gate.e_score_correction_bias", "blk.2.exp_probs_b.bias"),
        ("model.layers.2.mlp.shared_experts.up_proj.weight", "blk.2.ffn_up_shexp.weight"),
    ):
        assert np.array_equal(theirs[name], read(ours)), name
    assert np.array_equal(
        theirs["blk.1.ffn_gate_exps.weight"][5], read("model.layers.1.mlp.experts.5.gate_proj.weight")
    )
    heads, nope, rank = c["num_attention_heads"], c["qk_nope_head_dim"], c["kv_lora_rank"]
    up = read("model.layers.0.self_attn.kv_b_proj.weight").reshape(heads, -1, rank)
    assert np.array_equal(theirs["blk.0.attn_k_b.weight"].transpose(0, 2, 1), up[:, :nope])
    assert np.array_equal(theirs["blk.0.attn_v_b.weight"], up[:, nope:])


def test_keys(converted):
    checkpoint, files = converted
    key = lambda name: files["f32"].get_field(name).contents()
    assert key("general.architecture") == "deepseek32" and key("tokenizer.ggml.model") == "none"
    assert key("deepseek32.attention.indexer.top_k") == checkpoint.config["index_topk"]
    assert key("deepseek32.attention.key_length") == 128 + 32 and key("deepseek32.attention.key_length_mla") == 64 + 32
    assert key("deepseek32.expert_group_used_count") == 2 and key("deepseek32.block_count") == 3
    assert key("deepseek32.rope.scaling.factor") == 4 and key("deepseek32.expert_weights_norm") is True


def test_quantized_matrices(converted):
    _, files = converted
    exact, rounded = values(files["f32"]), values(files["q8_0"])
    kinds = {t.name: t.tensor_type.name for t in files["q8_0"].tensors}
    assert kinds["blk.1.ffn_down_exps.weight"] == kinds["blk.0.attn_k_b.weight"] == kinds["token_embd.weight"] == "Q8_0"
    assert (
        kinds["blk.1.ffn_gate_inp.weight"]
        == kinds["blk.0.indexer.proj.weight"]
        == kinds["blk.0.attn_norm.weight"]
        == "F32"
    )
    for name, kind in kinds.items():
        error = np.abs(rounded[name] - exact[name]).max()
        assert error == 0 if kind == "F32" else 0 < error <= np.abs(exact[name]).max() / 250, name


def test_active_weights():
    """Of 8 experts 3 are read; the embedding is a row."""
    checkpoint = to_gguf.Checkpoint(TINY)
    c, total = checkpoint.config, sum(np.prod(t.shape) for t in to_gguf.tensors(checkpoint))
    moe_layers = c["num_hidden_layers"] - c["first_k_dense_replace"]
    idle = moe_layers * (8 - 3) * 3 * c["moe_intermediate_size"] * c["hidden_size"]
    assert to_gguf.active_weights(checkpoint) == total - idle - c["vocab_size"] * c["hidden_size"]


def test_an_interrupted_conversion_leaves_no_file(tmp_path):
    def interrupt(text):
        if text.startswith("9/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_gguf.convert(TINY, tmp_path / "x.gguf", "q8_0", interrupt)
    assert not (tmp_path / "x.gguf").exists()


@pytest.mark.parametrize("case", [peers.Case("prefill", 40, 30, 1), peers.Case("decode", 1, 20, 2)])
def test_modelc_is_measured(case):
    engine = peers.Modelc(Namespace(modelc=BINARY, threads=1, flags=["--numerics", "reference"]), TINY)
    measured = engine.measure(case, repeat=1)
    assert engine.name.startswith("modelc ")
    assert all(measured[key] > 0 for key in ("tok_s", "peak_bytes", "weight_bytes", "read_gb_s"))


def test_a_failing_engine_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"(?s)modelc bench failed \(2\).*holds no"):
        peers.Modelc(Namespace(modelc=BINARY, threads=1, flags=[]), tmp_path).measure(peers.Case("decode", 1, 0, 1), 1)


def results():
    rounds = lambda *speeds, **more: [{"tok_s": s, **more} for s in speeds]
    return {
        "machine": {"threads": 2},
        "model": {"name": "m", "active_weights": 100e6},
        "engines": {"modelc": "modelc 1", "llama.cpp": "llama.cpp 2"},
        "cases": {
            "prefill 512": {"modelc": rounds(300, 100, 200), "llama.cpp": rounds(100, 100, 50)},
            "decode at 0": {"modelc": rounds(80, read_gb_s=10), "llama.cpp": rounds(60)},
            "decode at 2048": {"modelc": rounds(40), "llama.cpp": rounds(40)},
            "decode at 8192": {
                "modelc": rounds(36, peak_bytes=11, weight_bytes=10),
                "llama.cpp": rounds(10, peak_bytes=3, weight_bytes=2),
            },
            "decode at 0, batch 8": {"modelc": rounds(320), "llama.cpp": []},
        },
    }


def test_table():
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in report.table(results()).splitlines()]
    table = {line[0]: line[1:] for line in lines}
    assert table[""] == ["modelc 1", "llama.cpp 2", "ratio"]
    assert table["prefill 512, tok/s"] == ["200.0", "100.0", "3.00"]  # of rounds of turns: 3, 1, 4
    assert table["decode at 0, batch 8, tok/s"] == ["320.0", "—", "—"]
    assert table["decode at 0, of the read limit at one byte a weight"] == ["80%", "60%", ""]
    assert table["decode at 8192 over at 2048"] == ["0.90", "0.25", ""]
    assert table["decode at 0, batch 8 over batch 1"] == ["4.00", "—", ""]
    assert table["peak memory over weights, 8192 tokens"] == ["1.10", "1.50", ""]


def test_table_of_one_case():
    some = results()
    some["cases"] = {"prefill 512": some["cases"]["prefill 512"]}
    assert len(report.table(some).splitlines()) == 3


@pytest.mark.parametrize(
    "flags,message",
    [
        (["--threads", "0"], "'0' is no number above 0"),
        (["--modelc", "/none"], "/none is no program"),
        (["--only", "x"], "--only"),
        (["--check", "--llama-bench", sys.executable], "gives no logits"),
    ],
)
def test_wrong_use(flags, message):
    """Said before anything is installed."""
    result = subprocess.run([sys.executable, "tests/bench/peers.py", *flags], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and message in result.stderr
