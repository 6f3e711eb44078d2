#!/usr/bin/env python3
"""modelc beside llama.cpp on the same weights: prefill, decoding at a depth, batches, memory; one table, a plot, JSON.

    tests/bench/peers.py [--quick]                     # everything by itself: environment, weights, conversion, runs
    tests/bench/peers.py --only 'decode at 2048'       # one case, put into the table of the runs before
    tests/bench/peers.py --check                       # is the conversion right? logits of both against a golden
    tests/bench/peers.py -- --tuning none              # what follows -- goes to modelc bench

Both engines get random weights of the DeepSeek-V3.2 architecture: modelc the checkpoint in FP8 as published, llama.cpp
its numbers as Q8_0 for its `deepseek32` architecture, which has the indexer too. llama.cpp comes as llama-cpp-python,
built by pip from its sources (some ten minutes on two idle cores), or is a llama-bench of yours (--llama-bench; it has
no batches). The engines take turns: each round of a case runs one, then the other, each in a process of its own; the
ratio is the median over rounds.

Everything is kept in build/peers: the Python environment, the weights, caches filled to a depth, the results.
"""

import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build/peers"
PACKAGES = ["gguf==0.19.0", "ml_dtypes", "safetensors", "numpy", "matplotlib"]
LLAMA = "llama-cpp-python==0.3.36"
MODEL = "models/v3.2.mlir"
TOLERANCE = 1e-5  # of logits, in --check
GOLDEN = ROOT / "tests/golden/tiny-fp8"

Case = collections.namedtuple("Case", "what tokens depth batch")
CASES = {
    "prefill 512": Case("prefill", 512, 0, 1),
    "prefill 2048": Case("prefill", 2048, 0, 1),
    "prefill 512 at 8192": Case("prefill", 512, 8192, 1),
    "prefill 2048 at 8192": Case("prefill", 2048, 8192, 1),
    "decode at 0": Case("decode", 1, 0, 1),
    "decode at 2048": Case("decode", 1, 2048, 1),
    "decode at 8192": Case("decode", 1, 8192, 1),
    "decode at 32768": Case("decode", 1, 32768, 1),
    "decode at 0, batch 8": Case("decode", 1, 0, 8),
}
QUICK = ["prefill 512", "decode at 0", "decode at 2048"]
DEEP = "decode at 32768"


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, what, **options):
    """A command's stdout and the most memory it held, in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, **options)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if process.returncode != 0:
        raise SystemExit(f"{what} failed ({process.returncode}): {' '.join(map(str, command))}\n{texts[1][-3000:]}")
    return texts[0], usage.ru_maxrss * 1024


def environment(with_llama):
    """Makes the environment if it is not there and goes on in it."""
    folder = FOLDER / "venv"
    python, stamp = folder / "bin/python", folder / "packages"
    wanted = PACKAGES + ([LLAMA] if with_llama else [])
    have = stamp.read_text().split("\n") if stamp.exists() else []
    if missing := [p for p in wanted if p not in have]:
        say(
            f"installing {', '.join(missing)} into {folder}"
            + (" (builds from source: minutes)" if LLAMA in missing else "")
        )
        if not python.exists():
            venv.create(folder, with_pip=True)
        # Only the language model's library is needed, not the one for images.
        flags = {"CMAKE_ARGS": "-DLLAVA_BUILD=OFF"} | os.environ
        run([python, "-m", "pip", "install", "--disable-pip-version-check", *missing], "pip", env=flags)
        stamp.write_text("\n".join(dict.fromkeys(have + missing)))
    if pathlib.Path(sys.prefix) != folder:
        os.execv(python, [python, *sys.argv])


class Modelc:
    def __init__(self, args, checkpoint):
        self.command = [
            args.modelc,
            "bench",
            MODEL,
            "--weights",
            checkpoint,
            "--threads",
            args.threads,
            "--json",
            *args.flags,
        ]
        self.name = run([args.modelc, "--version"], "modelc")[0].strip()

    def measure(self, case, repeat):
        prefill = ["--prefill", case.tokens, "--prefill-at", case.depth, "--decode-at", ""]
        decode = ["--prefill", "", "--decode-at", case.depth, "--batch", case.batch]
        out, _ = run(
            self.command + (prefill if case.what == "prefill" else decode) + ["--repeat", repeat],
            "modelc bench",
            cwd=ROOT,
        )
        report = json.loads(out)
        return {
            "tok_s": report[case.what][0]["tok_s"],
            "peak_bytes": report["peak_rss_bytes"],
            "weight_bytes": report["weight_bytes"],
            "read_gb_s": report["limits"]["read_gb_s"],
            "gflop_s": report["limits"]["gflop_s"],
        }


class LlamaCppPython:
    def __init__(self, args, gguf):
        self.gguf, self.kept = gguf, FOLDER / (gguf.stem + "-kept")
        self.command = [sys.executable, "-m", "peer.llama_engine", gguf]
        self.flags = ["--threads", args.threads, "--kept", self.kept]
        self.name = "llama.cpp"

    def measure(self, case, repeat):
        out, peak = run(
            [
                *self.command,
                case.what,
                "--tokens",
                case.tokens,
                "--depth",
                case.depth,
                "--batch",
                case.batch,
                "--repeat",
                repeat,
                *self.flags,
            ],
            "llama.cpp",
            cwd=HERE,
        )
        report = json.loads(out)
        self.name = f"llama.cpp (llama-cpp-python {report['version']})"
        return {
            "tok_s": statistics.median(report["tok_s"]),
            "peak_bytes": peak,
            "weight_bytes": self.gguf.stat().st_size,
        }


class LlamaBench:
    def __init__(self, args, gguf):
        self.gguf = gguf
        self.command = [args.llama_bench, "-m", gguf, "-t", args.threads, "-o", "json"]
        self.name = "llama.cpp (llama-bench)"

    def measure(self, case, repeat):
        if case.batch != 1:
            return None
        tokens = ["-p", case.tokens, "-n", 0] if case.what == "prefill" else ["-p", 0, "-n", 16]
        out, peak = run([*self.command, *tokens, "-d", case.depth, "-r", repeat], "llama-bench")
        report = json.loads(out)[0]
        self.name = f"llama.cpp (llama-bench {report['build_number']})"
        return {
            "tok_s": statistics.median(report["samples_ts"]),
            "peak_bytes": peak,
            "weight_bytes": self.gguf.stat().st_size,
        }


def weights(args):
    """The checkpoint and the same numbers as GGUF, made when they are not there."""
    from peer.to_gguf import convert

    checkpoint = args.weights or FOLDER / args.preset
    if not args.weights and not (checkpoint / "config.json").exists():  # written last
        say(f"making {args.preset} in {checkpoint}")
        run([sys.executable, HERE / "make_model.py", checkpoint, "--preset", args.preset, "--no-mtp"], "make_model.py")
    if not (checkpoint / "config.json").exists():
        raise SystemExit(f"{checkpoint} has no config.json: --weights takes the folder of a checkpoint")
    gguf = FOLDER / f"{checkpoint.name}-q8_0.gguf"
    if not gguf.exists():
        say(f"converting to {gguf}")
        convert(checkpoint, gguf, "q8_0")
    return checkpoint, gguf


def compare(args):
    from peer import report
    from peer.to_gguf import Checkpoint, active_weights

    checkpoint, gguf = weights(args)
    peer = LlamaBench(args, gguf) if args.llama_bench else LlamaCppPython(args, gguf)
    engines = {report.OURS: Modelc(args, checkpoint), report.PEER: peer}
    file = args.out.with_suffix(".json")
    model = {"name": checkpoint.name, "active_weights": active_weights(Checkpoint(checkpoint))}
    machine = {"threads": args.threads, "cpu": cpu_name()}
    results = json.loads(file.read_text()) if file.exists() else {}
    if (results.get("model"), results.get("machine")) != (model, machine):
        results = {"model": model, "machine": machine, "cases": {}}
    for name in args.only or (QUICK if args.quick else [n for n in CASES if args.deep or n != DEEP]):
        running = {engine: it for engine, it in engines.items() if args.engine in (None, engine)}
        rounds = results["cases"].get(name, {}) | {engine: [] for engine in running}
        for n in range(1 if args.quick else args.rounds):
            for engine, it in running.items():
                say(f"{name}, round {n + 1}: {engine}")
                if (measured := it.measure(CASES[name], 1 if args.quick else args.repeat)) is not None:
                    rounds[engine].append(measured)
                    say(f"  {measured['tok_s']:.1f} tok/s")
        results["cases"] = {
            n: rounds if n == name else results["cases"][n] for n in CASES if n == name or n in results["cases"]
        }
        results["engines"] = results.get("engines", {}) | {engine: it.name for engine, it in running.items()}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1))  # a later case may fail
    report.plot(results, args.out.with_suffix(".svg"))
    print(
        f"{model['name']} on {machine['cpu']}, {args.threads} threads; "
        f"{model['active_weights'] / 1e6:.0f} M weights a token\n"
    )
    print(report.table(results))
    say(f"\n{file} and {args.out.with_suffix('.svg')} written")


def check(args):
    """Both engines' logits against a golden, everything in float32; rows are compared one by one."""
    import numpy as np
    from safetensors.numpy import load_file

    from peer.llama_engine import Engine
    from peer.to_gguf import convert

    gguf = FOLDER / f"{GOLDEN.name}-f32.gguf"
    say(f"converting {GOLDEN}")
    convert(GOLDEN, gguf, "f32")
    ids = load_file(GOLDEN / "inputs.safetensors")["input_ids"]
    expected = load_file(GOLDEN / "golden.safetensors")["logits"]
    got = Engine(gguf, args.threads, len(ids), exact=True).logits(ids)
    errors = np.sqrt(((got - expected) ** 2).mean(1) / (expected**2).mean(1))
    topk = json.loads((GOLDEN / "config.json").read_text())["index_topk"]
    dense, sparse = errors[:topk], errors[topk:]
    out, _ = run([args.modelc, "verify", MODEL, "--golden", GOLDEN, "--json"], "modelc verify", cwd=ROOT)
    ours = next(v["rms_error"] for v in json.loads(out)["values"] if v["name"] == "logits")
    print(f"""logits against {GOLDEN.relative_to(ROOT)}, relative RMS error
  modelc, reference numerics, all rows: {ours:.1e}
  llama.cpp, {len(dense)} rows that see every token: at most {dense.max():.1e}
  llama.cpp, {len(sparse)} rows whose tokens the indexer selects: median {np.median(sparse):.1e}, above {TOLERANCE:.0e} in \
{(sparse > TOLERANCE).sum()} (near ties fall otherwise)""")
    if not max(dense.max(), np.median(sparse)) < TOLERANCE:
        raise SystemExit(f"the conversion is wrong: an error is not below {TOLERANCE:.0e}")


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def executable(text):
    path = pathlib.Path(text)
    if not os.access(path, os.X_OK) or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no program (./dev build makes modelc)")
    return path.resolve()


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--modelc",
        type=executable,
        default=str(ROOT / "build/release/bin/modelc"),
        help="the binary (build/release/bin/modelc)",
    )
    parser.add_argument(
        "--llama-bench", type=executable, metavar="PATH", help="use this instead of installing llama-cpp-python"
    )
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="of both engines (all cores)")
    parser.add_argument(
        "--preset",
        choices=("bench-1b", "v3.2-slice"),
        default="bench-1b",
        help="the random weights: 1 GB, or two layers of the published widths in 7 GB (bench-1b)",
    )
    parser.add_argument("--weights", type=pathlib.Path, metavar="DIR", help="a checkpoint instead of random weights")
    parser.add_argument(
        "--only", action="append", choices=CASES, metavar="CASE", help="one case; may be repeated: " + "; ".join(CASES)
    )
    parser.add_argument(
        "--engine", choices=("modelc", "llama.cpp"), help="run one; what the other did stays in the table"
    )
    parser.add_argument("--quick", action="store_true", help="three short cases, one run of each")
    parser.add_argument(
        "--deep", action="store_true", help=f"also '{DEEP}'; filling that cache takes llama.cpp very long"
    )
    parser.add_argument("--rounds", type=positive, default=2, help="times the engines take turns in a case (2)")
    parser.add_argument("--repeat", type=positive, default=2, help="timed runs in a round (2)")
    parser.add_argument(
        "--out", type=pathlib.Path, default=FOLDER / "peers", help="results without suffix (build/peers/peers)"
    )
    parser.add_argument("--check", action="store_true", help="compare logits instead of speed")
    parser.add_argument("flags", nargs="*", metavar="-- FLAG", help="more flags of modelc bench")
    args = parser.parse_args()
    if args.check and args.llama_bench:
        parser.error("--check needs llama-cpp-python: llama-bench gives no logits")
    if args.weights:
        args.weights = args.weights.resolve()
    args.out = args.out.resolve()
    return args


def main():
    args = arguments()
    environment(with_llama=not args.llama_bench)
    (check if args.check else compare)(args)


if __name__ == "__main__":
    main()
