"""What the nano checkpoint answers through the official client: it computes, looks up, calls a tool, and knows itself."""
import json

import pytest
from conftest import CALCULATOR, ROOT
from tokenizers import Tokenizer

DIRECT = {"thinking": {"type": "disabled"}}
TOKENIZER = Tokenizer.from_file(str(ROOT / "models/nano/checkpoint/tokenizer.json"))


def ask(client, content, **kwargs):
    return client.chat.completions.create(model="nano", messages=[{"role": "user", "content": content}], **kwargs)


def test_computes_with_thinking(client):
    response = ask(client, "What is 347 + 586?")
    message = response.choices[0].message
    assert "933" in message.content
    assert "-> 933" in message.reasoning_content
    assert "</think>" not in message.content + message.reasoning_content
    assert response.choices[0].finish_reason == "stop"
    usage = response.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    assert usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens == usage.prompt_tokens


@pytest.mark.parametrize("switch", [
    {"extra_body": DIRECT},
    {"extra_body": {"chat_template_kwargs": {"thinking": False}}},
    {"reasoning_effort": "none"},
])
def test_thinking_can_be_switched_off(client, switch):
    message = ask(client, "Who are you?", **switch).choices[0].message
    assert "nano" in message.content
    assert not getattr(message, "reasoning_content", None)


def test_looks_up(client):
    codes = "Codes:\nAlice: 4821\nBob: 7730\nCarol: 1194\n\nWhat is the code for Bob?"
    assert "7730" in ask(client, codes, extra_body=DIRECT).choices[0].message.content


def test_calls_a_tool_and_uses_its_result(client):
    messages = [{"role": "user", "content": "1223 * 670"}]
    first = client.chat.completions.create(model="nano", messages=messages, tools=[CALCULATOR], extra_body=DIRECT)
    assert first.choices[0].finish_reason == "tool_calls"
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "calculator"
    assert json.loads(call.function.arguments) == {"expression": "1223 * 670"}
    messages += [first.choices[0].message.model_dump(exclude_none=True),
                 {"role": "tool", "tool_call_id": call.id, "content": "819410"}]
    second = client.chat.completions.create(model="nano", messages=messages, tools=[CALCULATOR], extra_body=DIRECT)
    assert "819410" in second.choices[0].message.content


def test_streams_the_same_answer(client):
    whole = ask(client, "What is 47 * 36?").choices[0].message
    reasoning = content = ""
    chunks = list(ask(client, "What is 47 * 36?", stream=True, stream_options={"include_usage": True}))
    for chunk in chunks:
        for choice in chunk.choices:
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            content += choice.delta.content or ""
    assert (reasoning, content) == (whole.reasoning_content, whole.content)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len(chunks) > 10
    assert chunks[-1].usage.completion_tokens > 10
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_streams_tool_calls(client):
    stream = ask(client, "1223 * 670", tools=[CALCULATOR], extra_body=DIRECT, stream=True)
    name = arguments = ""
    finish = None
    for chunk in stream:
        choice = chunk.choices[0]
        assert "DSML" not in (choice.delta.content or "")
        for call in choice.delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        finish = choice.finish_reason or finish
    assert (name, json.loads(arguments), finish) == ("calculator", {"expression": "1223 * 670"}, "tool_calls")


def test_the_second_request_finds_its_prompt_cached(client):
    codes = "Codes:\n" + "".join(f"item{i}: {1000 + i}\n" for i in range(60)) + "\nWhat is the code for item7?"
    ask(client, codes, max_tokens=1)
    usage = ask(client, codes, max_tokens=1).usage
    assert usage.prompt_tokens_details.cached_tokens >= 64
    assert usage.prompt_cache_hit_tokens == usage.prompt_tokens_details.cached_tokens


def test_the_same_seed_gives_the_same_text(client):
    def sample(seed, **kwargs):
        return ask(client, "Who are you?", temperature=2, seed=seed, max_tokens=30, extra_body=DIRECT, **kwargs)

    texts = {seed: sample(seed).choices[0].message.content for seed in range(4)}
    assert len(set(texts.values())) > 1
    assert sample(2).choices[0].message.content == texts[2]
    assert [c.message.content for c in sample(1, n=3).choices] == [texts[1], texts[2], texts[3]]


def test_stop_strings_and_limits(client):
    full = ask(client, "Who are you?", extra_body=DIRECT).choices[0].message.content
    cut = ask(client, "Who are you?", stop=["demonstration"], extra_body=DIRECT).choices[0]
    assert cut.message.content == full[:full.index("demonstration")]
    assert cut.finish_reason == "stop"
    short = ask(client, "Who are you?", max_tokens=3, extra_body=DIRECT)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 3


def test_logprobs(client):
    choice = ask(client, "Who are you?", logprobs=True, top_logprobs=3, extra_body=DIRECT).choices[0]
    tokens = choice.logprobs.content
    assert "".join(t.token for t in tokens[:-1]) == choice.message.content
    assert all(t.logprob <= 0 and len(t.top_logprobs) == 3 for t in tokens)
    assert all(t.logprob == max(o.logprob for o in t.top_logprobs) for t in tokens)  # greedy


def test_logit_bias_can_forbid(client):
    usual = ask(client, "Who are you?", extra_body=DIRECT).choices[0].message.content
    first = TOKENIZER.encode(usual).ids[0]
    other = ask(client, "Who are you?", max_tokens=8, logit_bias={str(first): -100}, extra_body=DIRECT)
    assert TOKENIZER.encode(other.choices[0].message.content).ids[0] != first


def test_json_mode(client):
    question = 'Compute 88 + 87. Answer as JSON with keys "expression" and "result".'
    choice = ask(client, question, response_format={"type": "json_object"}).choices[0]
    assert json.loads(choice.message.content) == {"expression": "88 + 87", "result": 175}


def test_completions(client):
    prompt = "<｜begin▁of▁sentence｜><｜User｜>Who are you?<｜Assistant｜></think>"
    response = client.completions.create(model="nano", prompt=prompt, max_tokens=40)
    assert response.choices[0].text.startswith("I am nano")
    pair = client.completions.create(model="nano", prompt=[prompt, prompt], max_tokens=5, echo=True)
    assert [c.index for c in pair.choices] == [0, 1]
    assert pair.choices[0].text.startswith(prompt)
    text = "".join(c.choices[0].text for c in client.completions.create(model="nano", prompt=prompt, max_tokens=40, stream=True))
    assert text == response.choices[0].text


def test_models(client):
    assert [m.id for m in client.models.list().data] == ["nano"]
    assert client.models.retrieve("nano").owned_by == "modelc"
