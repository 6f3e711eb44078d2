"""DeepSeek-V3.2's chat encoding: messages to text and tokens, completions to messages."""
import json
import re

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT, THINK, END_THINK, DSML = "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "｜DSML｜"


_TOOLS = f"""## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<{DSML}function_calls>" block like the following as part of your reply to the user:
<{DSML}function_calls>
<{DSML}invoke name="$FUNCTION_NAME">
<{DSML}parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</{DSML}parameter>
...
</{DSML}invoke>
<{DSML}invoke name="$FUNCTION_NAME2">
...
</{DSML}invoke>
</{DSML}function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while lists and objects should use JSON format. The "string" attribute should be set to "true" for string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider outputting a thinking block. Here is an example:

<{DSML}function_calls>
...
</{DSML}function_calls>

<function_results>
...
</function_results>

{THINK}...thinking about results{END_THINK}

Here are the functions available in JSONSchema format:
<functions>
%s
</functions>
"""


def dumps(v):
    return json.dumps(v, ensure_ascii=False)


def render(messages, thinking, tools=None):
    """-> [(text, is_model_output)].  `tools` (OpenAI format) belong to the system message; one is made if absent."""
    msgs = list(messages)
    if tools and (not msgs or msgs[0]["role"] != "system"):
        msgs.insert(0, {"role": "system", "content": ""})
    last_user = max([i for i, m in enumerate(msgs) if m["role"] == "user"], default=-1)
    out = [(BOS, False)]
    for i, m in enumerate(msgs):
        role = m["role"]
        if role == "system":
            s = m.get("content") or ""
            if tools and i == 0:
                s += "\n\n" + _TOOLS % "\n".join(dumps(t["function"]) for t in tools)
            out.append((s, False))
        elif role == "user":
            tail = THINK if thinking and i == last_user else END_THINK
            out.append((USER + m["content"] + ASSISTANT + tail, False))
        elif role == "tool":
            j = i
            while msgs[j]["role"] == "tool":
                j -= 1
            order, n = i - j, len(msgs[j]["tool_calls"])
            s = ("\n\n<function_results>" if order == 1 else "") + "\n<result>" + m["content"] + "</result>"
            if order == n:
                s += "\n</function_results>\n\n" + (THINK if thinking and i >= last_user else END_THINK)
            out.append((s, False))
        else:
            s = ""
            if thinking and i > last_user:
                s += (m.get("reasoning_content") or "") + END_THINK
            s += m.get("content") or ""
            if m.get("tool_calls"):
                calls = []
                for c in m["tool_calls"]:
                    ps = [f'<{DSML}parameter name="{k}" string="{"true" if isinstance(v, str) else "false"}">'
                          f'{v if isinstance(v, str) else dumps(v)}</{DSML}parameter>'
                          for k, v in json.loads(c["function"]["arguments"]).items()]
                    calls.append(f'<{DSML}invoke name="{c["function"]["name"]}">\n' + "\n".join(ps) + f"\n</{DSML}invoke>")
                s += f"\n\n<{DSML}function_calls>\n" + "\n".join(calls) + f"\n</{DSML}function_calls>"
            out.append((s + EOS, True))
    return out


def encode_doc(tok, doc):
    """-> (ids, mask): mask marks the tokens which the model has to write."""
    ids, mask = [], []
    for text, own in render(*doc):
        e = tok.encode(text, add_special_tokens=False).ids
        ids += e
        mask += [own] * len(e)
    return ids, mask


def parse(text, thinking):
    """Completion text -> (content, [(tool, arguments)])"""
    text, calls, D = text.split(EOS)[0], [], DSML
    if thinking:
        if END_THINK not in text:
            return "", []
        text = text.split(END_THINK, 1)[1]
    content, _, rest = text.partition(f"\n\n<{D}function_calls>")
    for name, body in re.findall(rf'<{D}invoke name="(.*?)">\n(.*?)</{D}invoke>', rest, flags=re.S):
        args = {}
        for k, string, v in re.findall(rf'<{D}parameter name="(.*?)" string="(true|false)">(.*?)</{D}parameter>', body, flags=re.S):
            try:
                args[k] = v if string == "true" else json.loads(v)
            except ValueError:
                args[k] = None
        calls.append((name, args))
    return content, calls
