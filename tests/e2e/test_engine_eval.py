"""modelc eval on nano's public problems, and its answers to wrong use."""
import json

import pytest

from conftest import ROOT, modelc

ADD3 = "models/nano/eval_add3_think.jsonl"
TOOLS = "models/nano/eval_toolcall_think.jsonl"
CARD = json.loads((ROOT / "models/nano/results.json").read_text())


def evaluate(*args):
    done = modelc("eval", *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_scores_and_counts():
    report = evaluate(ADD3, TOOLS, "--limit", 10)
    assert report["total"] == 20
    assert set(report["by_task"]) == {"add3_think", "toolcall_think"}
    assert report["passed"] == sum(task["passed"] for task in report["by_task"].values())
    assert report["accuracy"] == report["passed"] / 20
    assert report["by_task"]["add3_think"] == {"total": 10, "passed": 10, "accuracy": 1.0}
    assert report["tokens_per_second"] > 0
    # the tools' preamble is the same in all ten
    assert report["cached_tokens"] > 0
    assert report["accepted"] > 0.85 * report["drafted"] > 0


@pytest.mark.parametrize("task", ["add3_think", "word_think", "lookup256_direct", "toolcall_think"])
def test_accuracy_is_the_model_cards(task):
    """The card's figures for FP8 activations are of the first 50 public problems; one answer more or less is a near tie."""
    card = CARD["fp8_activations"][task]
    assert card["n"] == 50
    report = evaluate(f"models/nano/eval_{task}.jsonl", "--limit", 50, "--numerics", "deepseek")
    assert abs(report["passed"] - round(50 * card["accuracy"])) <= 1


def test_out_holds_every_answer_in_order(tmp_path):
    out = tmp_path / "answers.jsonl"
    report = evaluate(ADD3, "--limit", 5, "--out", out)
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    problems = [json.loads(line) for line in (ROOT / ADD3).read_text().splitlines()[:5]]
    assert [a["id"] for a in answers] == [p["id"] for p in problems]
    assert sum(a["passed"] for a in answers) == report["passed"]
    for answer in answers:
        assert answer["reasoning"] and answer["content"] and answer["finish_reason"] == "stop"
        assert answer["completion_tokens"] > 10
    assert list(tmp_path.iterdir()) == [out]


def test_thinking_may_be_switched(tmp_path):
    out = tmp_path / "answers.jsonl"
    on = evaluate(ADD3, "--limit", 10)
    off = evaluate(ADD3, "--limit", 10, "--thinking", "off", "--out", out)
    assert all(json.loads(line)["reasoning"] == "" for line in out.read_text().splitlines())
    assert off["accuracy"] < on["accuracy"]


def test_max_tokens_of_a_problem_counts(tmp_path):
    problem = json.loads((ROOT / ADD3).read_text().splitlines()[0]) | {"max_tokens": 3}
    file, out = tmp_path / "one.jsonl", tmp_path / "answers.jsonl"
    file.write_text(json.dumps(problem))
    assert evaluate(file, "--out", out)["passed"] == 0
    answer = json.loads(out.read_text())
    assert (answer["completion_tokens"], answer["finish_reason"]) == (3, "length")


def test_a_table_for_people():
    done = modelc("eval", ADD3, "--limit", 2)
    assert done.returncode == 0
    assert "add3_think" in done.stdout and "100.0 %" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("args, says", [
    ([], "name a problem file"),
    (["no/such.jsonl"], "cannot read 'no/such.jsonl'"),
    (["models/nano/results.json"], "models/nano/results.json:1: "),
    ([ADD3, "--limit", "-1"], "--limit"),
    ([ADD3, "--thinking", "perhaps"], "--thinking"),
    ([ADD3, "--limit", "1", "--out", "no/such/folder/out"], "cannot write"),
    ([ADD3, "--limit", "1", "--max-context", "8"], "add3_think-0"),
    ([ADD3, "--model", "no.mlir"], "no.mlir"),
])
def test_wrong_use_is_one_line_and_status_2(args, says):
    done = modelc("eval", *args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1
