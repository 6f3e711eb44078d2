"""llama.cpp through llama-cpp-python's low-level API: timed prefill and decoding at a depth, and logits.

Run as a program (peers.py does, one process a measurement) it prints one JSON object:

    llama_engine.py MODEL.gguf prefill|decode [--tokens N] [--depth N] [--batch N] [--threads N] [--repeat N]
                    [--kept DIR]

Bringing an engine to a depth costs far more than measuring there, so with --kept its cache goes to a file there and is
read back the next time.
"""

import argparse
import ctypes
import json
import pathlib
import random
import sys
import time

import llama_cpp as llama
import numpy as np

DECODE_STEPS = 16  # timed together, as modelc bench does
CHUNK = 512  # tokens the engine computes at once (its own default)


@llama.llama_log_callback
def log(level, text, _):
    if level == 4:  # errors
        sys.stderr.write(text.decode(errors="replace"))


class Engine:
    """A model and one context of `batch` sequences of `tokens` each; `exact` keeps caches and attention in float32."""

    def __init__(self, path, threads, tokens, batch=1, exact=False):
        llama.llama_log_set(log, ctypes.c_void_p(0))
        llama.llama_backend_init()
        self.model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        params = llama.llama_context_default_params()
        params.n_ctx = -(-tokens // 256) * 256 * batch
        params.n_batch = params.n_ubatch = CHUNK
        params.n_seq_max = batch
        params.n_threads = params.n_threads_batch = threads
        if exact:
            params.type_k = params.type_v = 0  # GGML_TYPE_F32
            params.flash_attn_type = 0  # its flash attention sums in float16
        self.context = llama.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp cannot make a context of {batch} x {tokens} tokens")
        self.memory = llama.llama_get_memory(self.context)
        self.vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self._batch = llama.llama_batch_init(CHUNK, 0, 1)
        self._random = random.Random(1)

    def step(self, rows, all_logits=False):
        """Computes rows of (id, position, sequence); logits of the last row of each sequence, or of all."""
        last = {seq: i for i, (_, _, seq) in enumerate(rows)}
        b = self._batch
        b.n_tokens = len(rows)
        for i, (token, pos, seq) in enumerate(rows):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0] = token, pos, 1, seq
            b.logits[i] = all_logits or last[seq] == i
        status = llama.llama_decode(self.context, b)
        if status != 0:
            raise SystemExit(f"llama_decode failed with status {status}")
        llama.llama_synchronize(self.context)

    def random_ids(self, count):
        return [self._random.randrange(self.vocab) for _ in range(count)]

    def prefill(self, begin, end):
        for first in range(begin, end, CHUNK):
            count = min(CHUNK, end - first)
            self.step([(t, first + i, 0) for i, t in enumerate(self.random_ids(count))])

    def forget(self, begin):
        """Drops the positions of every sequence from `begin` on."""
        llama.llama_memory_seq_rm(self.memory, -1, begin, -1)

    def reach(self, depth, batch, kept):
        """Gives sequences 0 … batch-1 so many random tokens, going on from the deepest cache kept."""
        ids, count = (llama.llama_token * max(depth, 1))(), ctypes.c_size_t()
        file = lambda tokens: str(kept / f"depth-{tokens}.kv").encode()
        at = max((d for d in self._kept_depths(kept) if d <= depth), default=0)
        if at and not llama.llama_state_seq_load_file(self.context, file(at), 0, ids, at, ctypes.byref(count)):
            raise SystemExit(f"llama.cpp cannot read {file(at).decode()}: delete it")
        if at < depth:
            self.prefill(at, depth)
            if kept:
                kept.mkdir(parents=True, exist_ok=True)
                llama.llama_state_seq_save_file(self.context, file(depth), 0, ids, depth)
        for seq in range(1, batch):
            llama.llama_memory_seq_cp(self.memory, 0, seq, -1, -1)

    @staticmethod
    def _kept_depths(kept):
        return [int(f.stem.split("-")[1]) for f in kept.glob("depth-*.kv")] if kept else []

    def logits(self, ids):
        """[tokens, vocabulary] of one sequence."""
        out = []
        for first in range(0, len(ids), CHUNK):
            rows = [(int(t), first + i, 0) for i, t in enumerate(ids[first : first + CHUNK])]
            self.step(rows, all_logits=True)
            pointers = [llama.llama_get_logits_ith(self.context, i) for i in range(len(rows))]
            out += [np.ctypeslib.as_array(p, (self.vocab,)).copy() for p in pointers]
        return np.stack(out)

    def time(self, repeat, depth, part):
        """Seconds of each of `repeat` runs of part(), each from the same depth."""
        seconds = []
        for _ in range(repeat):
            start = time.perf_counter()
            part()
            seconds.append(time.perf_counter() - start)
            self.forget(depth)
        return seconds


def measure(args):
    tokens = args.depth + (args.tokens if args.what == "prefill" else DECODE_STEPS)
    engine = Engine(args.model, args.threads, tokens, args.batch)
    engine.prefill(0, min(CHUNK, tokens))  # pages weights in
    engine.forget(0)
    engine.reach(args.depth, args.batch, args.kept)
    if args.what == "prefill":
        return engine.time(args.repeat, args.depth, lambda: engine.prefill(args.depth, tokens))

    def decode():
        for step in range(DECODE_STEPS):
            engine.step([(t, args.depth + step, seq) for seq, t in enumerate(engine.random_ids(args.batch))])

    engine.time(1, args.depth, decode)  # sizes scratch memory
    return engine.time(args.repeat, args.depth, decode)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("model")
    args.add_argument("what", choices=("prefill", "decode"))
    args.add_argument("--tokens", type=int, default=512)
    args.add_argument("--depth", type=int, default=0)
    args.add_argument("--batch", type=int, default=1)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--repeat", type=int, default=3)
    args.add_argument("--kept", type=pathlib.Path)
    args = args.parse_args()
    seconds = measure(args)
    count = args.tokens if args.what == "prefill" else args.batch * DECODE_STEPS
    print(json.dumps({"version": llama.__version__, "tok_s": [count / s for s in seconds]}))


if __name__ == "__main__":
    main()
