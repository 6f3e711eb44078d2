"""The commands that compile ahead of time, explain a program and measure it."""
import json
import os
import shutil
import subprocess

import pytest

from conftest import BINARY, ROOT, modelc

MODEL = "models/v3.2.mlir"


def test_a_built_file_stands_for_the_model(tmp_path):
    built = tmp_path / "tiny.modelc"
    result = modelc("build", MODEL, "--weights", "tests/golden/tiny-sparse", "-o", str(built), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["backend"] == "cpu"
    explained = modelc("explain", str(built), "--json", "--context", "64")
    assert explained.returncode == 0, explained.stderr
    assert json.loads(explained.stdout)["entries"]["step"]["total"]["flops"] > 0
    refused = modelc("explain", str(built), "--numerics", "reference")
    assert refused.returncode == 2 and "was fixed when" in refused.stderr


def test_a_built_file_needs_no_compiler(tmp_path):
    built = tmp_path / "nano.mcx"
    assert modelc("build", MODEL, "-o", built).returncode == 0
    for path in ("bin/modelc", "lib/modelc/libmodelc_cpu.so"):
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copy(BINARY.parent.parent / path, tmp_path / path)

    def alone(*args):
        return subprocess.run([tmp_path / "bin/modelc", *args], cwd=ROOT, capture_output=True, text=True, timeout=120)

    answer = alone("run", built, "--prompt", "What is 12 + 30?")
    assert answer.returncode == 0 and "42" in answer.stdout
    for refused in (alone("run", MODEL, "--prompt", "Hi"), alone("opt", MODEL)):
        assert refused.returncode == 2
        assert f"cannot load the compiler '{tmp_path}/lib/modelc/libmodelc-compiler.so'" in refused.stderr
        assert "install or build modelc again" in refused.stderr


def test_a_built_file_from_a_better_machine(tmp_path):
    built = tmp_path / "nano.mcx"
    assert modelc("build", MODEL, "-o", built).returncode == 0
    cpu = json.loads(modelc("explain", built, "--json").stdout)["device"]
    if "portable" in cpu:
        pytest.skip("there is no lesser machine")
    refused = modelc("run", built, "--prompt", "Hi", env={**os.environ, "MODELC_CPU_ISA": "portable"})
    assert refused.returncode == 2
    assert "code was generated for x86-64-v" in refused.stderr
    assert "this processor is x86-64; build the model again on this machine" in refused.stderr


def test_build_leaves_no_partial_file(tmp_path):
    result = modelc("build", MODEL, "--weights", "tests/golden/tiny-sparse", "-o", str(tmp_path / "no" / "x"))
    assert result.returncode == 2 and "cannot write" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_built_file(tmp_path):
    built = tmp_path / "tiny.modelc"
    assert modelc("build", MODEL, "--weights", "tests/golden/tiny-sparse", "-o", str(built)).returncode == 0
    text = built.read_text()
    built.write_text(text[: len(text) // 2])
    result = modelc("explain", str(built))
    assert result.returncode == 2 and "tiny.modelc: not a program file" in result.stderr


def kernels(path, *flags):
    result = modelc("explain", str(path), "--context", "4096", "--json", *flags)
    assert result.returncode == 0, result.stderr
    return {l["op"]: l["kernel"] for l in json.loads(result.stdout)["entries"]["step"]["launches"]}


def test_generated_code_is_asked_for_by_name_and_built_in(tmp_path):
    """What is generated is in the file and runs from there; damaged code does not run."""
    weights = ("--weights", "models/nano/checkpoint")
    assert kernels(MODEL, *weights, "--generate", "")["moe.route"] == "moe.route"
    built = tmp_path / "nano.modelc"
    result = modelc("build", MODEL, *weights, "--generate", "dsa.*,moe.route", "-o", str(built))
    assert result.returncode == 0, result.stderr
    ran = kernels(built)
    assert ran["moe.route"] == ran["dsa.logits"] == ran["dsa.select"] == "generated"
    assert ran["mla.attend_latent"] != "generated"
    answer = modelc("run", str(built), "--prompt", "What is 12 + 30?", "--json")
    assert answer.returncode == 0, answer.stderr
    assert "42" in json.loads(answer.stdout)["choices"][0]["message"]["content"]

    program = json.loads(built.read_text())
    image = program["code"][0]["image"]
    program["code"][0]["image"] = image[:10] + ("A" if image[10] != "A" else "B") + image[11:]
    built.write_text(json.dumps(program))
    refused = modelc("explain", str(built))
    assert refused.returncode == 2 and "the code is damaged" in refused.stderr


def test_generate_names_what_there_is():
    result = modelc("explain", MODEL, "--generate", "dsa.think")
    assert result.returncode == 2 and "no op matches 'dsa.think'" in result.stderr and "dsa.logits" in result.stderr


def explain(context, rows=1):
    result = modelc("explain", MODEL, "--weights", "tests/fixtures/deepseek-v3.2", "--context", str(context),
                    "--rows", str(rows), "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_sparse_attention_bounds_the_bytes_of_a_long_context():
    """The published sizes, without weights: what attention reads does not grow beyond index_topk."""
    def attended(report):
        return sum(l["cache_bytes"] for l in report["entries"]["step"]["launches"] if l["op"] == "mla.attend_latent")

    short, middle, long = explain(1024), explain(4096), explain(131072)
    assert attended(short) == 61 * 1024 * 656
    assert attended(middle) == attended(long) == 61 * 2048 * 656
    assert not any(l["op"].startswith("dsa.logits") for l in short["entries"]["step"]["launches"])
    assert any(l["op"].startswith("dsa.logits") for l in middle["entries"]["step"]["launches"])


def test_published_sizes_add_up():
    """671 billion parameters, 37 billion of them at work for a token; attention to itself alone costs next to nothing."""
    total = explain(1)["entries"]["step"]["total"]
    assert 35e9 * 2 < total["flops"] < 40e9 * 2
    assert 34e9 < total["weight_bytes"] < 42e9
    many = explain(2048, rows=256)["entries"]["step"]["total"]
    assert 600e9 < many["weight_bytes"] < 690e9


def test_bench_report():
    result = modelc("bench", MODEL, "--weights", "tests/golden/tiny-sparse", "--prefill", "33", "--prefill-at",
                    "0,70", "--decode-at", "0,100", "--batch", "1,3", "--repeat", "2", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["load_seconds"] > 0 and report["peak_rss_bytes"] > 0 and report["limits"]["read_gb_s"] > 0
    assert [(p["depth"], p["tokens"]) for p in report["prefill"]] == [(0, 33), (70, 33)]
    assert [(d["depth"], d["batch"]) for d in report["decode"]] == [(0, 1), (0, 3), (100, 1), (100, 3)]
    for item in report["prefill"] + report["decode"]:
        assert 0 < item["min"] <= item["tok_s"] <= item["max"]
    assert all(d["weight_bytes_per_step"] > 0 for d in report["decode"])


@pytest.mark.parametrize("flags,message", [(["--prefill", "0"], "--prefill"), (["--decode-at", "x"], "--decode-at"),
                                           (["--prefill-at", "-1"], "--prefill-at"),
                                           (["--repeat", "0"], "--repeat"), (["--prefill", "100000"], "context")])
def test_wrong_bench_flags(flags, message):
    result = modelc("bench", MODEL, "--weights", "tests/golden/tiny-sparse", *flags)
    assert result.returncode == 2 and message in result.stderr
