"""modelc tune on nano: the search, its record, who takes it up, and wrong use."""
import json
import os

import pytest

from conftest import modelc

MODEL = "models/v3.2.mlir"


def tune(record, *flags):
    return modelc("tune", MODEL, "--tuning", record, "--threads", 1, "--contexts", 200, "--rows", "1,4", "--repeat", 1, *flags)


def explained(*flags, env=None):
    """op -> (kernel, attributes) of the entry step."""
    result = modelc("explain", MODEL, "--threads", 1, "--json", *flags, env=env)
    assert result.returncode == 0, result.stderr
    return {l["op"]: (l["kernel"], l["attributes"]) for l in json.loads(result.stdout)["entries"]["step"]["launches"]}


def entry(op, shape, schedule, device, compiler="3"):
    return {"device": device, "compiler": compiler, "op": op, "shape": shape, "schedule": schedule}


@pytest.fixture(scope="module")
def device():
    return json.loads(modelc("explain", MODEL, "--threads", 1, "--json").stdout)["device"]


def test_search_and_record(tmp_path):
    record = tmp_path / "new" / "record.json"
    result = tune(record, "--op", "moe.*", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads((tmp_path / "out.json").read_text()) and list(report) == ["moe"]
    trials = report["moe"]["trials"]
    assert [t["schedule"] for t in trials[:2]] == ["default", "moe.route generated"]
    assert all(len(t["seconds"]) == 2 and min(t["seconds"]) > 0 and t["ratio"] > 0 for t in trials)
    assert (tmp_path / "out.svg").read_text().startswith("<svg")
    kept = json.loads(record.read_text())["schedules"]
    won = "of the default's time" in report["moe"]["verdict"]
    assert [k["schedule"] for k in kept] == (["#lm.moe<code = generated>"] if won else [])
    # A generated kernel is used where it won, and only there.
    assert explained("--tuning", record)["moe.route"][0] == ("generated" if won else "moe.route")


def test_other_entries_stay(tmp_path, device):
    record = tmp_path / "record.json"
    others = [entry("moe.route", "?x16 top=4 groups=4 pick=2", "#lm.moe<code = generated>", "another device"),
              entry("dsa.select", "?x? top=64", "#lm.dsa<code = library, fuse = false>", device)]
    mine = entry("moe.route", "?x16 top=4 groups=4 pick=2", "#lm.moe<code = library>", device)
    record.write_text(json.dumps({"schedules": others + [mine]}))
    assert tune(record, "--op", "moe.route").returncode == 0
    kept = [{k: v for k, v in e.items() if k != "ratio"} for e in json.loads(record.read_text())["schedules"]]
    assert kept[:2] == others and mine not in kept


def test_record_decides(tmp_path, device):
    record = tmp_path / "modelc" / "tuning.json"
    record.parent.mkdir()
    logits = ("dsa.logits", "?x4x128 ?x4 format=f8", "#lm.dsa<code = generated, rows = 4>")
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    record.write_text(json.dumps({"schedules": [entry(*logits, device)]}))
    for found in (explained("--tuning", record), explained(env=env)):
        assert found["dsa.logits"] == ("generated", {**found["dsa.logits"][1], "rows": 4, "pages": 4})
        assert found["dsa.select"][0] == "dsa.select"
    assert "dsa.logits_select" in explained("--tuning", "none", env=env)
    for other in (entry(*logits, "another device"), entry(*logits, device, compiler="0"), entry("dsa.logits", "?x9", logits[2], device)):
        record.write_text(json.dumps({"schedules": [other]}))
        assert "dsa.logits_select" in explained("--tuning", record)
    record.write_text(json.dumps({"schedules": [entry(*logits, device)]}))
    answer = modelc("run", MODEL, "--threads", 1, "--tuning", record, "--prompt", "What is 347 + 586?")
    assert "933" in answer.stdout
    built = tmp_path / "nano.mcx"
    assert modelc("build", MODEL, "--threads", 1, "--tuning", record, "-o", built).returncode == 0
    refused = modelc("run", built, "--tuning", record, "--prompt", "x")
    assert refused.returncode == 2 and "--tuning was fixed" in refused.stderr


def test_table(tmp_path):
    result = tune(tmp_path / "record.json", "--op", "mla.*")
    assert result.returncode == 0, result.stderr
    assert "1 at 200" in result.stdout and "mla.attend_latent generated" in result.stdout and "mla: " in result.stdout


@pytest.mark.parametrize("flags, message", [
    (("--op", "nothing"), "matches no op with a schedule; this model has"),
    (("--contexts", "0"), "--contexts: '0' is no number from 1 on"),
    (("--contexts", "100000"), "is beyond --max-rows or the model's context"),
    (("--rows", "1000", "--contexts", "2000"), "is beyond --max-rows or the model's context"),
    (("--contexts", "10", "--rows", "20"), "--rows are all above --contexts"),
    (("--tuning", "none"), "name the record to write"),
    (("--out", "no/such/folder/x"), "no such folder"),
])
def test_wrong_use(tmp_path, flags, message):
    before = ["--tuning", tmp_path / "r.json"] if "--tuning" not in flags else []
    result = modelc("tune", MODEL, "--threads", 1, *before, *flags)
    assert result.returncode == 2 and message in result.stderr
    assert not (tmp_path / "r.json").exists()


def test_broken_records(tmp_path):
    record = tmp_path / "record.json"
    for text in ("", "[]", '{"schedules": 3}', '{"schedules": [{"op": 3}]}'):
        record.write_text(text)
        result = modelc("run", MODEL, "--tuning", record, "--prompt", "x")
        assert result.returncode == 2 and "record.json" in result.stderr and "modelc tune" in result.stderr
    result = modelc("run", MODEL, "--tuning", tmp_path / "absent.json", "--prompt", "x")
    assert result.returncode == 2 and "absent.json" in result.stderr
