"""Problems with numbers, and the traces of thought that solve them.

Like all that makes problems, deterministic given the `random.Random` passed in.
"""
from splits import pick
from words import a_name, a_thing, casual


def t_add(a, b):
    x, y = str(a), str(b)
    n = max(len(x), len(y))
    x, y = x.zfill(n), y.zfill(n)
    c, st = 0, []
    for i in range(n - 1, -1, -1):
        s = int(x[i]) + int(y[i]) + c
        st.append(f"{x[i]}+{y[i]}" + ("+1" if c else "") + f"={s}")
        c = s // 10
    return f"{a} + {b}: " + ", ".join(st) + f" -> {a + b}"


def t_sub(a, b):
    """Digit by digit; "<" instead of "=" says that one is borrowed.  One borrowed at the end: the other way round."""
    x, y = str(a), str(b)
    n = max(len(x), len(y))
    x, y = x.zfill(n), y.zfill(n)
    c, st = 0, []
    for i in range(n - 1, -1, -1):
        d = int(x[i]) - int(y[i]) - c
        st.append(f"{x[i]}-{y[i]}" + ("-1" if c else "") + f"{'<' if d < 0 else '='}{d % 10}")
        c = int(d < 0)
    head = f"{a} - {b}: " + ", ".join(st)
    return head + "; " + t_sub(b, a) + f" -> -{b - a}" if c else head + f" -> {a - b}"


def t_mul1(a, b):
    """The factors as they stand, one of them a digit."""
    c, st = 0, []
    for ch in reversed(str(max(a, b))):
        s = int(ch) * min(a, b) + c
        st.append((f"{a}*{ch}" if a < b else f"{ch}*{b}") + (f"+{c}" if c else "") + f"={s}")
        c = s // 10
    return f"{a} * {b}: " + ", ".join(st) + f" -> {a * b}"


def t_mul(a, b):
    if a < 10 or b < 10:
        return t_mul1(a, b)
    u, t = b % 10, b // 10
    return (f"{a} * {b}; " + t_mul1(a, u) + "; " + t_mul1(a, t) + "; " + t_add(a * t * 10, a * u))


def t_div(a, b):
    r, st = 0, []
    for ch in str(a):
        v = r * 10 + int(ch)
        st.append(f"{v}/{b}={v // b} r{v % b}")
        r = v % b
    return f"{a} / {b}: " + ", ".join(st) + f" -> {a // b}" + (f" remainder {r}" if r else "")


def calc(a, op, b):
    return {"+": (a + b, t_add), "-": (a - b, t_sub), "*": (a * b, t_mul)}[op]


def num(rng, digits):
    return rng.randint(10 ** (digits - 1) if digits > 1 else 0, 10 ** digits - 1)


PHRASE = {
    "+": ["What is {a} + {b}?", "{a} + {b}", "{a}+{b}", "Compute {a} + {b}.", "Calculate {a} + {b}", "{a} + {b} = ?",
          "How much is {a} plus {b}?", "Add {a} and {b}.", "What is {a} plus {b}?", "what's {a} + {b}?",
          "What is the sum of {a} and {b}?", "Please compute {a} + {b}."],
    "-": ["What is {a} - {b}?", "{a} - {b}", "{a}-{b}", "Compute {a} - {b}.", "Calculate {a} - {b}", "{a} - {b} = ?",
          "How much is {a} minus {b}?", "Subtract {b} from {a}.", "What is {a} minus {b}?", "what's {a} - {b}?",
          "Please compute {a} - {b}."],
    "*": ["What is {a} * {b}?", "{a} * {b}", "{a}*{b}", "Compute {a} * {b}.", "Calculate {a} * {b}", "{a} * {b} = ?",
          "How much is {a} times {b}?", "Multiply {a} by {b}.", "What is {a} times {b}?", "what's {a} * {b}?",
          "What is {a} x {b}?", "Please compute {a} * {b}."],
}
KINDS = {  # kind -> (op, digits of a, digits of b)
    "add": [("+", 1, 1), ("+", 2, 1), ("+", 2, 2), ("+", 3, 2), ("+", 3, 3), ("+", 4, 3), ("+", 4, 4), ("+", 4, 4)],
    "sub": [("-", 1, 1), ("-", 2, 1), ("-", 2, 2), ("-", 3, 2), ("-", 3, 3), ("-", 4, 3), ("-", 4, 4), ("-", 4, 4)],
    "mul": [("*", 1, 1), ("*", 2, 1), ("*", 2, 1), ("*", 3, 1), ("*", 2, 2), ("*", 2, 2)],
}


def p_arith(rng, split, kind=None, spec=None, signed=0.25):
    """One sum.  `signed` is the share of the subtractions whose result is negative."""
    def make():
        op, da, db = spec or rng.choice(KINDS[kind])
        a, b = num(rng, da), num(rng, db)
        if op != "-" and rng.random() < 0.3:
            a, b = b, a
        if op == "-" and (a < b) != (rng.random() < signed):
            a, b = b, a
        return f"{a}{op}{b}", (a, op, b)
    a, op, b = pick(rng, split, make)
    r, tr = calc(a, op, b)
    q = casual(rng, rng.choice(PHRASE[op]).format(a=a, b=b))
    return dict(q=q, think=tr(a, b), a=f"{a} {op} {b} = {r}.", score=dict(rule="last_number", value=r), value=r)


def p_div(rng, split):
    def make():
        b = rng.randint(2, 9)
        a = rng.randint(1, rng.choice([99, 99, 999, 999, 999, 9999]))
        if rng.random() < 0.45:
            a = max(b, a - a % b)
        return f"{a}/{b}", (a, b)
    a, b = pick(rng, split, make)
    q, r = divmod(a, b)
    ans = f"{a} / {b} = {q}." if not r else f"{a} / {b} = {q} remainder {r}."
    ask = rng.choice(["What is {a} / {b}?", "{a} / {b}", "{a}/{b}", "Compute {a} / {b}.", "Divide {a} by {b}.", "{a} / {b} = ?",
                      "What is {a} divided by {b}?", "How much is {a} divided by {b}?"]).format(a=a, b=b)
    return dict(q=casual(rng, ask), think=t_div(a, b), a=ans, score=dict(rule="equals", value=ans))


def p_chain(rng, split):
    def make():
        a, b, c = (rng.randint(1, 99) for _ in range(3))
        o1, o2 = rng.choice("+-"), rng.choice("+-")
        if o1 == "-" and b > a:
            a, b = b, a
        s = calc(a, o1, b)[0]
        if o2 == "-" and c > s:
            o2 = "+"
        return f"{a}{o1}{b}{o2}{c}", (a, o1, b, o2, c)
    a, o1, b, o2, c = pick(rng, split, make)
    s, f1 = calc(a, o1, b)
    r, f2 = calc(s, o2, c)
    e = f"{a} {o1} {b} {o2} {c}"
    q = rng.choice(["What is {e}?", "{e}", "Compute {e}.", "Calculate {e}", "{e} = ?", "How much is {e}?"]).format(e=e)
    return dict(q=casual(rng, q), think=f1(a, b) + "; " + f2(s, c), a=f"{e} = {r}.", score=dict(rule="last_number", value=r), value=r)


def p_word(rng, split):
    def make():
        n = a_name(rng, 0.3)
        n2 = a_name(rng, 0.3)
        while n2 == n:
            n2 = a_name(rng)
        th = a_thing(rng)
        k = rng.randrange(8)
        a, b, c = rng.randint(5, 99), rng.randint(2, 60), rng.randint(2, 60)
        if k == 0:
            c = rng.randint(1, a + b - 1)
            q = f"{n} has {a} {th}. {n} buys {b} more and gives away {c}. How many {th} does {n} have?"
            s, ans = [(a, "+", b), (None, "-", c)], "{n} has {r} {th}."
        elif k == 1:
            b = rng.randint(1, a - 1)
            q = f"{n} had {a} {th} and lost {b}. Then {n} found {c}. How many {th} does {n} have now?"
            s, ans = [(a, "-", b), (None, "+", c)], "{n} has {r} {th}."
        elif k == 2:
            b = rng.randint(2, 9)
            c = rng.randint(1, a * b - 1) if a * b < 60 else c
            q = f"A box holds {a} {th}. There are {b} boxes, and {c} {th} are lost. How many {th} are left?"
            s, ans = [(a, "*", b), (None, "-", c)], "{r} {th} are left."
        elif k == 3:
            q = f"{n} has {a} {th}. {n2} has {b} more than {n}. How many {th} do they have in all?"
            s, ans = [(a, "+", b), (None, "+", a)], "They have {r} {th} in all."
        elif k == 4:
            b = rng.randint(1, a - 1)
            q = f"{n} has {a} {th}. {n2} has {b} fewer than {n}. How many {th} do they have in all?"
            s, ans = [(a, "-", b), (None, "+", a)], "They have {r} {th} in all."
        elif k == 5:
            b = rng.randint(2, 9)
            q = f"{n} buys {b} bags with {a} {th} each and already has {c}. How many {th} does {n} have?"
            s, ans = [(a, "*", b), (None, "+", c)], "{n} has {r} {th}."
        elif k == 6:
            b = rng.randint(1, a - 1)
            q = f"{n} had {a} {th}. {n} gave {b} to {n2}. How many {th} are left?"
            s, ans = [(a, "-", b)], "{r} {th} are left."
        else:
            q = f"{n} has {a} {th} and {n2} has {b}. How many {th} do they have in all?"
            s, ans = [(a, "+", b)], "They have {r} {th} in all."
        return f"word{k}:{a},{b},{c if len(s) > 1 else ''}", (q, s, ans, n, th)
    q, steps, ans, n, th = pick(rng, split, make)
    r, tr = None, []
    for a, op, b in steps:
        a = r if a is None else a
        r, f = calc(a, op, b)
        tr.append(f(a, b))
    return dict(q=q, think="; ".join(tr), a=ans.format(n=n, r=r, th=th), score=dict(rule="last_number", value=r), value=r)


def order_of(a, b):
    return "<" if a < b else ">" if a > b else "="


def t_cmp(a, b):
    """Lengths, then digits until two differ."""
    x, y = str(a), str(b)
    st = [f"{len(x)}{order_of(len(x), len(y))}{len(y)} digits"]
    if len(x) == len(y):
        for i, j in zip(x, y):
            st.append(f"{i}{order_of(i, j)}{j}")
            if i != j:
                break
    return f"{a}, {b}: " + ", ".join(st) + f" -> {a} {order_of(a, b)} {b}"


def p_compare(rng, split):
    def make():
        d = rng.randint(1, 4)
        a, b = num(rng, d), num(rng, d if rng.random() < 0.8 else rng.randint(1, 4))
        if d > 1 and rng.random() < 0.3:
            b = int(str(a)[:-1] + str(rng.randrange(10)))
        while a == b:
            b = num(rng, d)
        return f"cmp{a},{b}", (a, b, rng.randrange(4))
    a, b, k = pick(rng, split, make)
    if k == 0:
        q, ans = rng.choice(["Which is larger, {a} or {b}?", "Which is bigger: {a} or {b}?"]), f"{max(a, b)} is larger."
    elif k == 1:
        q, ans = rng.choice(["Which is smaller, {a} or {b}?", "Which is less: {a} or {b}?"]), f"{min(a, b)} is smaller."
    elif k == 2:
        q, ans = "Is {a} greater than {b}?", f"Yes, {a} > {b}." if a > b else f"No, {a} < {b}."
    else:
        q, ans = "Is {a} less than {b}?", f"Yes, {a} < {b}." if a < b else f"No, {a} > {b}."
    said = (f"larger {max(a, b)}, smaller {min(a, b)}" if k < 2 else "greater yes, less no" if a > b else "greater no, less yes")
    return dict(q=q.format(a=a, b=b), think=t_cmp(a, b) + "; " + said, a=ans, score=dict(rule="equals", value=ans))


def p_sort(rng, split):
    def make():
        n = rng.randint(3, 5)
        d = rng.choice([1, 2, 2, 3])
        xs = rng.sample(range(0 if d == 1 else 10 if rng.random() < 0.5 else 1, 10 ** d), n)
        return "sort" + ",".join(map(str, xs)), xs
    xs = pick(rng, split, make)
    k = rng.randrange(4)
    L = ", ".join(map(str, xs))
    if k == 3:
        up = rng.random() < 0.5
        q = f"What is the {'smallest' if up else 'largest'} of {L}?"
        r = (min if up else max)(xs)
        cur, st = xs[0], [str(xs[0])]
        for v in xs[1:]:
            sign = order_of(v, cur)
            cur = min(cur, v) if up else max(cur, v)
            st.append(f"{v}{sign}: {cur}")
        return dict(q=q, think=", ".join(st) + f" -> {r}", a=f"The {'smallest' if up else 'largest'} is {r}.",
                    score=dict(rule="last_number", value=r))
    desc = k == 2
    q = rng.choice(["Sort {L} in {o} order.", "Sort these numbers in {o} order: {L}"]).format(
        L=L, o="descending" if desc else "ascending")
    done, st = [xs[0]], [str(xs[0])]
    for v in xs[1:]:    # insertion, in ascending order whatever is asked: walk along the sorted part until v's place is found
        walk, at = [], 0
        while at < len(done):
            walk.append(f"{done[at]}{order_of(done[at], v)}")
            if done[at] > v:
                break
            at += 1
        done.insert(at, v)
        st.append(f"{v}: {' '.join(walk)}: {', '.join(map(str, done))}")
    ans = ", ".join(map(str, sorted(xs, reverse=desc)))
    return dict(q=q, think="; ".join(st) + (f" -> {ans}" if desc else ""), a=ans, score=dict(rule="equals", value=ans))


def p_drill(rng, split):
    """The single steps of the traces above, many at once."""
    def fact():
        k = rng.randrange(8)
        if k == 0:
            x, y, c = rng.randrange(10), rng.randrange(10), rng.randrange(2)
            return f"{x}+{y}" + ("+1" if c else ""), f"={x + y + c}"
        if k <= 2:
            x, y, c = rng.randrange(10), rng.randrange(10), rng.randrange(2)
            return f"{x}-{y}" + ("-1" if c else ""), f"{'<' if x - y < c else '='}{(x - y - c) % 10}"
        if k <= 4:
            x, y = rng.randrange(10), rng.randrange(2, 10)
            c = rng.randrange(y)
            return f"{x}*{y}" + (f"+{c}" if c else ""), f"={x * y + c}"
        y = rng.randrange(2, 10)
        v = rng.randrange(10 * y)
        return f"{v}/{y}", f"={v // y} r{v % y}"
    fs = [fact() for _ in range(rng.randint(4, 10))]
    q = rng.choice(["Work out ", "Steps: ", "Do these: ", ""]) + ", ".join(x for x, _ in fs)
    a = ", ".join(x + r for x, r in fs)
    return dict(q=q, think="one by one", a=a, score=dict(rule="equals", value=a))
