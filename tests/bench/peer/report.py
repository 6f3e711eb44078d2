"""The results of peers.py as a table and as a plot.

Results: {"machine", "model", "engines", "cases": {NAME: {ENGINE: [round, …]}}}, a round being {"tok_s", "peak_bytes",
"weight_bytes"} and for modelc also {"read_gb_s"}: what the machine read at that time.
"""

import statistics

OURS, PEER = "modelc", "llama.cpp"


def median(rounds, key):
    values = [r[key] for r in rounds if r.get(key)]
    return statistics.median(values) if values else None


def ratio(case):
    """modelc's speed over the peer's: the median over rounds, each of which ran both engines one after the other."""
    pairs = [(a["tok_s"], b["tok_s"]) for a, b in zip(case.get(OURS, []), case.get(PEER, []))]
    return statistics.median(a / b for a, b in pairs) if pairs else None


def speed(results, case, engine):
    return median(results["cases"].get(case, {}).get(engine, []), "tok_s")


def depths(results):
    """The depths at which one sequence was decoded."""
    return [int(name.split()[-1]) for name in results["cases"] if name.startswith("decode at") and "," not in name]


def over(a, b):
    return a / b if a and b else None


def limit_share(results, engine):
    """Decoding at depth 0 against reading every active weight as one byte."""
    tok_s = speed(results, "decode at 0", engine)
    read = median(results["cases"].get("decode at 0", {}).get(OURS, []), "read_gb_s")
    return over(tok_s and tok_s * results["model"]["active_weights"], read and read * 1e9)


def memory_share(results, engine):
    rounds = results["cases"].get("decode at 8192", {}).get(engine, [])
    return over(median(rounds, "peak_bytes"), median(rounds, "weight_bytes"))


def rows(results):
    """The table's rows: what, one text an engine, modelc over the peer."""
    show = lambda value, form: "—" if value is None else form.format(value)
    for name, case in results["cases"].items():
        speeds = [speed(results, name, engine) for engine in (OURS, PEER)]
        yield [f"{name}, tok/s", *(show(s, "{:.1f}") for s in speeds), show(ratio(case), "{:.2f}")]
    derived = [("decode at 0, of the read limit at one byte a weight", "{:.0%}", lambda e: limit_share(results, e))]
    derived += [
        (
            f"decode at {depth} over at 2048",
            "{:.2f}",
            lambda e, depth=depth: over(speed(results, f"decode at {depth}", e), speed(results, "decode at 2048", e)),
        )
        for depth in depths(results)
        if depth > 2048
    ]
    derived += [
        (
            "decode at 0, batch 8 over batch 1",
            "{:.2f}",
            lambda e: over(speed(results, "decode at 0, batch 8", e), speed(results, "decode at 0", e)),
        ),
        ("peak memory over weights, 8192 tokens", "{:.2f}", lambda e: memory_share(results, e)),
    ]
    for name, form, value in derived:
        values = [value(engine) for engine in (OURS, PEER)]
        if any(v is not None for v in values):
            yield [name, *(show(v, form) for v in values), ""]


def table(results):
    """Markdown."""
    lines = [["", *(results["engines"].get(e, e) for e in (OURS, PEER)), "ratio"]] + list(rows(results))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    text = [
        "| "
        + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths)))
        + " |"
        for line in lines
    ]
    text.insert(1, "| " + "-" * widths[0] + " | " + " | ".join("-" * (w - 1) + ":" for w in widths[1:]) + " |")
    return "\n".join(text)


def plot(results, file):
    """Decode speed against depth, batch 1, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "peers", "svg.fonttype": "none", "font.size": 11})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    for engine, color in ((OURS, "#2563eb"), (PEER, "#d97706")):
        points = [(depth, speed(results, f"decode at {depth}", engine)) for depth in depths(results)]
        points = sorted(p for p in points if p[1])
        if points:
            axes.plot(*zip(*points), marker="o", color=color, label=results["engines"].get(engine, engine))
    axes.set(xlabel="tokens before the one decoded", ylabel="tokens a second, one sequence", ylim=(0, None))
    axes.set_title(f"{results['model']['name']}, {results['machine']['threads']} threads")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
