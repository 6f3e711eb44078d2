#!/usr/bin/env python3
"""Tokenizer speed beside Hugging Face `tokenizers`, one thread each, on the same texts; the ids must be equal.

    build/venv/bin/python tests/bench/tokenizer.py [--modelc PATH] [--tokenizer DIR] [FILE…]

Without files: the project's own sources and documents, and the recorded tokenizer texts (every script, odd white space).
Times are processor times. modelc's is that of `modelc tokenize` over all texts less that over none, so reading and
writing JSON counts against it.
"""
import argparse
import json
import os
import pathlib
import subprocess

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402  (reads the environment)

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests/fixtures/deepseek-v3-tokenizer"


def corpora(files):
    if files:
        return {pathlib.Path(f).name: [pathlib.Path(f).read_text(errors="replace")] for f in files}
    read = lambda pattern: [p.read_text(errors="replace") for p in sorted(ROOT.glob(pattern))]
    recorded = [json.loads(line)["text"] for line in (FIXTURE / "goldens.jsonl").open()]
    return {
        "C++ sources": read("core/**/*.cpp") + read("backends/**/*.cpp") + read("dialects/**/*.cpp"),
        "documents": read("*.md") + read("docs/*.md") + read("plugins/abi/*.md") + read("models/**/*.md"),
        "recorded texts": ["".join(recorded)],
    }


def chunks(texts, size=4000, total=4_000_000):
    """A request's worth of text each, repeated until there is enough to time."""
    once = [t[i : i + size] for t in texts for i in range(0, len(t), size)]
    return once * (total // sum(map(len, once)) + 1)


def best(times, run):
    """The least processor time of `times` runs, this process's and its children's, and the last result."""
    seconds = []
    for _ in range(times):
        start = os.times()
        result = run()
        seconds.append(sum(os.times()[:4]) - sum(start[:4]))
    return min(seconds), result


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--modelc", default=ROOT / "build/release/bin/modelc")
    args.add_argument("--tokenizer", default=FIXTURE, help="folder of a tokenizer.json")
    args.add_argument("--repeat", type=int, default=3)
    args.add_argument("files", nargs="*")
    args = args.parse_args()

    hf = Tokenizer.from_file(f"{args.tokenizer}/tokenizer.json")

    def modelc(lines):
        return subprocess.run([args.modelc, "tokenize", "--weights", args.tokenizer], input=lines,
                              stdout=subprocess.PIPE, check=True).stdout

    start_up, _ = best(args.repeat, lambda: modelc(b""))
    print(f"{'text':<16}{'MB':>8}{'ids':>10}{'modelc MB/s':>14}{'tokenizers MB/s':>18}{'ratio':>8}")
    for name, texts in corpora(args.files).items():
        texts = chunks(texts)
        megabytes = sum(len(t.encode()) for t in texts) / 1e6
        stdin = "".join(json.dumps(t, ensure_ascii=False) + "\n" for t in texts).encode()
        ours, lines = best(args.repeat, lambda: modelc(stdin))
        theirs, ids = best(args.repeat, lambda: [hf.encode(t, add_special_tokens=False).ids for t in texts])
        if [json.loads(line) for line in lines.splitlines()] != ids:
            raise SystemExit(f"{name}: the ids differ")
        ours = max(ours - start_up, 1e-9)
        print(f"{name:<16}{megabytes:>8.2f}{sum(map(len, ids)):>10}{megabytes / ours:>14.2f}{megabytes / theirs:>18.2f}"
              f"{theirs / ours:>7.1f}x")
    print(f"loading the tokenizer: {start_up:.2f} s")


if __name__ == "__main__":
    main()
