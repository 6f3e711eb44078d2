"""The tables of the model card out of what was measured, which goes into results.json beside it.

    python card.py heldout=FILE thinking=FILE recall=FILE fp8_activations=FILE > tables.md

heldout, thinking: reports of `modelc eval --json` over all held-out files and over those with thinking, whose drafts are
counted; recall, fp8_activations: of evaluate.py.  What is not given stays as results.json has it.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results.json")


def share(task):
    return f"{100 * task['accuracy']:.1f} % (n={task.get('total', task.get('n'))})"


def row(*cells):
    print("| " + " | ".join(cells) + " |")


def tables(r):
    tasks = r["heldout"]["by_task"]
    names = list(dict.fromkeys(t.rsplit("_", 1)[0] for t in tasks))
    row("task", "thinking", "direct")
    row("---", "---", "---")
    for name in names:
        row(name, *(share(tasks[f"{name}_{mode}"]) if f"{name}_{mode}" in tasks else "" for mode in ("think", "direct")))
    t = r["thinking"]
    print(f"\nMTP acceptance with thinking: {100 * t['accepted'] / t['drafted']:.1f} % of {t['drafted']:,} drafted tokens.\n")
    row("prompts", "mean", "by layer, all queries", "by layer, last prompt token")
    row("---", "---", "---", "---")
    for task, v in r["recall"].items():
        row(task, f"{v['mean']:.3f}", *(", ".join(f"{x:.3f}" for x in v[k]) for k in ("all_queries", "last_query")))
    print()
    row("task", "FP8 activations")
    row("---", "---")
    for task, v in r["fp8_activations"].items():
        row(task, share(v))


def main():
    with open(RESULTS) as f:
        results = json.load(f)
    for arg in sys.argv[1:]:
        name, file = arg.split("=", 1)
        with open(file) as f:
            results[name] = json.load(f)
    with open(RESULTS, "w") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    tables(results)


if __name__ == "__main__":
    main()
