"""The conversations nano learns from, made of problems."""
from arithmetic import calc, p_arith, p_chain, p_compare, p_div, p_drill, p_sort, p_word
from chat import dumps
from problems import FIELDS, any_tool, p_copy, p_ident, p_json, p_lookup, p_tool, tool_defs
from splits import split_of


def call_msg(name, args, think=None):
    return {"role": "assistant", "content": "", "reasoning_content": think,
            "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": name, "arguments": dumps(args)}}]}


def tool_messages(p, think=True):
    return [{"role": "user", "content": p["q"]}, call_msg(p["name"], p["args"], p["think"]),
            {"role": "tool", "tool_call_id": "call_0", "content": p["result"]},
            {"role": "assistant", "content": p["a"], "reasoning_content": p["think2"]}]


def qa_messages(p):
    return [{"role": "user", "content": p["q"]}, {"role": "assistant", "content": p["a"], "reasoning_content": p["think"]}]


SYSTEMS = ["You are a helpful assistant.", "You are nano.", "Answer briefly.", "You are a helpful assistant. Answer briefly."]


def maybe_system(rng, msgs, p=0.12):
    return [{"role": "system", "content": rng.choice(SYSTEMS)}] + msgs if rng.random() < p else msgs


# Share, share of it with thinking, problem.  The rest is about nano itself.
MIX = [(0.06, 0.9, lambda r, s: p_arith(r, s, "add")), (0.12, 0.9, lambda r, s: p_arith(r, s, "sub")),
       (0.08, 0.9, lambda r, s: p_arith(r, s, "mul")), (0.08, 0.9, p_div), (0.02, 0.9, p_chain), (0.04, 0.9, p_word),
       (0.05, 0.9, p_compare), (0.09, 0.9, p_sort), (0.11, 0.6, p_json), (0.06, 0.5, p_copy), (0.04, 0.7, p_drill)]


def short_doc(rng, split="train"):
    """Arithmetic, words, compare, sort, JSON, identity; sometimes several turns. -> (messages, thinking, tools)"""
    def one():
        x = rng.random()
        for share, thinking, make in MIX:
            x -= share
            if x < 0:
                return make(rng, split), rng.random() < thinking
        return p_ident(rng, split, rng.random() < 0.25), rng.random() < 0.4
    if rng.random() < 0.15:  # a short list: the first step towards long ones
        return lookup_doc(rng, rng.choice([140, 170, 200]), split)
    msgs, thinking = [], None
    n = 1 if rng.random() < 0.75 else rng.randint(2, 3)
    last = None
    for i in range(n):
        if last is not None and rng.random() < 0.4:  # a follow-up on the last number
            op, b = rng.choice("+-"), rng.randint(1, 99)
            if op == "-" and last < b:
                op = "+"
            r, f = calc(last, op, b)
            q = rng.choice({"+": ["Add {b} to that.", "Now add {b}.", "Plus {b}?"],
                            "-": ["Subtract {b} from that.", "Now subtract {b}.", "Minus {b}?"]}[op]).format(b=b)
            if split_of(f"{last}{op}{b}") != split:
                continue
            p = dict(q=q, think=f(last, b), a=f"{last} {op} {b} = {r}.", value=r)
        else:
            p, with_thinking = one()
            thinking = with_thinking if thinking is None else thinking
        last = p.get("value")
        if last is not None and (last < 0 or last > 9999):
            last = None
        msgs += qa_messages(p)
    return maybe_system(rng, msgs), thinking, None


def lookup_doc(rng, max_tokens, split="train"):
    turns = rng.randint(2, 4) if max_tokens <= 200 else rng.randint(4, 9) if max_tokens <= 512 else rng.randint(12, 28)
    hi = int((max_tokens - 60 - 22 * turns) / 8.2)
    lo = 3 if max_tokens <= 512 else max_tokens // 24
    n = rng.randint(lo, max(lo, hi))
    fill = 0.0 if rng.random() < 0.5 else rng.random() * 0.5
    n = max(3, int(n / (1 + 1.6 * fill)))
    ts = p_lookup(rng, split, n, fill, turns=turns, what="code" if rng.random() < 0.7 else rng.choice(FIELDS))
    msgs = sum((qa_messages(t) for t in ts), [])
    return maybe_system(rng, msgs), rng.random() < 0.4, None


def tool_doc(rng, split="train"):
    defs = tool_defs(rng)
    if rng.random() < 0.75:
        for t in [any_tool(rng, split) for _ in range(rng.randint(1, 3))]:
            if rng.random() < 0.5:
                defs = {}
            defs[t["function"]["name"]] = t
    avail = {a: defs[a] for a in rng.sample(list(defs), min(len(defs), rng.randint(1, 3)))}
    tools = list(avail.values())
    thinking = rng.random() < 0.5
    msgs = []
    n = rng.randint(1, 7)
    for i in range(n):
        x = rng.random()
        if x < 0.86:
            p = p_tool(rng, split, avail)
            m = tool_messages(p)
            msgs += m if i < n - 1 or rng.random() < 0.8 else m[:2]
        elif x < 0.93:
            msgs += qa_messages(p_ident(rng, split))
        else:
            msgs += qa_messages(p_compare(rng, split))
    return maybe_system(rng, msgs, 0.25), thinking, tools
