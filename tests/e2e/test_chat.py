"""What the nano checkpoint answers through the official client: it computes, looks up, calls a tool, and knows itself."""
import json

import openai
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


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]},
    },
}
PLACE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["city", "kind", "people", "near"],
    "properties": {
        "city": {"type": "string"},
        "kind": {"enum": ["village", "town"]},
        "people": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}},
        "near": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    },
}


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("temperature", [0, 2])
def test_an_answer_keeps_to_its_schema(client, thinking, temperature):
    format_ = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": PLACE}}
    # nano knows no places: without a push, hot strings and thoughts go on for ever.
    push = {TOKENIZER.token_to_id(token): 10 for token in ('"', "</think>")}
    choices = ask(client, "Who are you?", response_format=format_, temperature=temperature, n=3, seed=1, max_tokens=900,
                  logit_bias=push, extra_body={"thinking": {"type": "enabled" if thinking else "disabled"}}).choices
    assert [c.finish_reason for c in choices] == ["stop"] * 3, [c.message for c in choices]
    for choice in choices:
        place = json.loads(choice.message.content)
        assert list(place) == ["city", "kind", "people", "near"]
        assert type(place["city"]) is str and place["kind"] in ("village", "town") and place["near"] in (None, True, False)
        assert 1 <= len(place["people"]) <= 2 and all(type(p) is int for p in place["people"])


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_can_be_forced(client, choice, stream):
    tools = [WEATHER] if choice == "required" else [CALCULATOR, WEATHER]
    question = "What is the weather in Paris?"
    asked = dict(tools=tools, tool_choice=choice, max_tokens=400, extra_body=DIRECT)
    if stream:
        deltas = [c.choices[0] for c in ask(client, question, stream=True, **asked) if c.choices]
        calls = [t for d in deltas for t in d.delta.tool_calls or []]
        name, arguments = calls[0].function.name, "".join(t.function.arguments or "" for t in calls if t.index == 0)
        reason = deltas[-1].finish_reason
    else:
        answer = ask(client, question, **asked).choices[0]
        assert not answer.message.content
        name, arguments = answer.message.tool_calls[0].function.name, answer.message.tool_calls[0].function.arguments
        reason = answer.finish_reason
    assert (name, reason) == ("get_weather", "tool_calls")
    arguments = json.loads(arguments)
    assert list(arguments) == ["city", "days"] and type(arguments["city"]) is str and type(arguments["days"]) is int


def test_a_strict_tool_is_called_as_it_says(client):
    tool = {"type": "function", "function": {**CALCULATOR["function"], "strict": True}}
    answer = ask(client, "1223 * 670", tools=[tool], extra_body=DIRECT).choices[0]
    assert json.loads(answer.message.tool_calls[0].function.arguments) == {"expression": "1223 * 670"}
    assert "nano" in ask(client, "Who are you?", tools=[tool], extra_body=DIRECT).choices[0].message.content, "text stays free"


def test_a_schema_that_cannot_be_enforced_is_refused(client):
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "a+"}}}
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "Who are you?", response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}})
    assert raised.value.param == "response_format.json_schema.schema" and "pattern" in raised.value.message


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
