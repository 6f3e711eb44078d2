"""Converts a DeepSeek-V3.2 checkpoint (Hugging Face layout) to GGUF for llama.cpp's `deepseek32` architecture.

    to_gguf.py CHECKPOINT OUT.gguf [--type q8_0|f32]

Only what timing and comparing logits needs: no tokenizer (ids go in, logits come out) and no MTP layer. q8_0 quantizes
every matrix, 32 numbers and one float16 scale a block; what the published quantization keeps exact stays float32:
norms, biases, the router and the indexer's head weights. Names, shapes and metadata follow llama.cpp's
src/llama-arch.cpp and src/models/deepseek32.cpp. Needs numpy, ml_dtypes, gguf.
"""

import argparse
import dataclasses
import json
import math
import pathlib
from typing import Callable

import ml_dtypes
import numpy as np

ARCH = "deepseek32"
BLOCK = 128  # rows and columns that share a scale in a block-quantized checkpoint
Q8_0_NUMBERS, Q8_0_BYTES = 32, 34  # of one block: the numbers and a float16 scale

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn}

OF_MODEL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
OF_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.o_proj": "attn_output",
    "self_attn.indexer.wq_b": "indexer.attn_q_b",
    "self_attn.indexer.wk": "indexer.attn_k",
    "self_attn.indexer.k_norm": "indexer.k_norm",
    "self_attn.indexer.weights_proj": "indexer.proj",
    "post_attention_layernorm": "ffn_norm",
}
OF_DENSE = {f"mlp.{p}_proj": f"ffn_{p}" for p in ("gate", "up", "down")}
OF_MOE = {"mlp.gate": "ffn_gate_inp"} | {
    f"mlp.shared_experts.{p}_proj": f"ffn_{p}_shexp" for p in ("gate", "up", "down")
}
EXACT = ("ffn_gate_inp", "indexer.proj")  # matrices that stay float32


class Checkpoint:
    """Tensors of a folder of safetensors files, mapped and read when asked for."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self._tensors = {}
        for file in sorted(folder.glob("model*.safetensors")):
            data = np.memmap(file, np.uint8, "r")
            start = 8 + int(data[:8].view(np.uint64)[0])
            for name, entry in json.loads(bytes(data[8:start])).items():
                if name != "__metadata__":
                    begin, end = entry["data_offsets"]
                    self._tensors[name] = (data[start + begin : start + end], DTYPES[entry["dtype"]], entry["shape"])
        if not self._tensors:
            raise SystemExit(f"{folder}: no model*.safetensors there")

    def names(self):
        return self._tensors.keys()

    def shape(self, name):
        return tuple(self._tensors[name][2])

    def read(self, name):
        """The tensor in float32, its block scales applied."""
        data, dtype, shape = self._tensors[name]
        values = data.view(dtype).reshape(shape).astype(np.float32)
        if name + "_scale_inv" in self._tensors:
            scales = self.read(name + "_scale_inv").repeat(BLOCK, 0).repeat(BLOCK, 1)
            values *= scales[: shape[0], : shape[1]]
        return values


@dataclasses.dataclass
class Tensor:
    """One tensor of the GGUF file; `read` gives it in float32, outermost dimension first."""

    name: str
    shape: tuple
    read: Callable[[], np.ndarray]

    @property
    def matrix(self):
        return len(self.shape) > 1 and not any(self.name.endswith(exact + ".weight") for exact in EXACT)


def layer_tensors(checkpoint, i):
    c, source, target = checkpoint.config, f"model.layers.{i}.", f"blk.{i}."
    heads, nope, value, rank = (c[k] for k in ("num_attention_heads", "qk_nope_head_dim", "v_head_dim", "kv_lora_rank"))
    moe = i >= c["first_k_dense_replace"]
    for theirs, ours in (OF_LAYER | (OF_MOE if moe else OF_DENSE)).items():
        yield source + theirs + ".weight", target + ours + ".weight"
    yield source + "self_attn.indexer.k_norm.bias", target + "indexer.k_norm.bias"

    # The engine attends in latent space (absorbed): per head, keys' part transposed, values' part as it is.
    up = source + "self_attn.kv_b_proj.weight"
    per_head = lambda: checkpoint.read(up).reshape(heads, nope + value, rank)
    yield Tensor(target + "attn_k_b.weight", (heads, rank, nope), lambda: per_head()[:, :nope].transpose(0, 2, 1))
    yield Tensor(target + "attn_v_b.weight", (heads, value, rank), lambda: per_head()[:, nope:])

    if moe:
        yield source + "mlp.gate.e_score_correction_bias", target + "exp_probs_b.bias"
        for p in ("gate", "up", "down"):
            names = [f"{source}mlp.experts.{e}.{p}_proj.weight" for e in range(c["n_routed_experts"])]
            yield Tensor(
                f"{target}ffn_{p}_exps.weight",
                (len(names), *checkpoint.shape(names[0])),
                lambda names=names: np.stack([checkpoint.read(n) for n in names]),
            )


def tensors(checkpoint):
    """Every tensor of the GGUF file."""

    def all_tensors():
        yield from ((theirs + ".weight", ours + ".weight") for theirs, ours in OF_MODEL.items())
        for i in range(checkpoint.config["num_hidden_layers"]):
            yield from layer_tensors(checkpoint, i)

    for t in all_tensors():
        if not isinstance(t, Tensor):  # renamed
            theirs, ours = t
            t = Tensor(ours, checkpoint.shape(theirs), lambda name=theirs: checkpoint.read(name))
        yield t


def metadata(c):
    """The GGUF file's keys, from a config.json."""
    of_arch = {
        "context_length": c["max_position_embeddings"],
        "embedding_length": c["hidden_size"],
        "block_count": c["num_hidden_layers"],
        "feed_forward_length": c["intermediate_size"],
        "vocab_size": c["vocab_size"],
        "attention.head_count": c["num_attention_heads"],
        "attention.head_count_kv": 1,  # one latent record for all heads
        "attention.layer_norm_rms_epsilon": float(c["rms_norm_eps"]),
        "attention.q_lora_rank": c["q_lora_rank"],
        "attention.kv_lora_rank": c["kv_lora_rank"],
        "attention.key_length": c["kv_lora_rank"] + c["qk_rope_head_dim"],
        "attention.value_length": c["kv_lora_rank"],
        "attention.key_length_mla": c["qk_nope_head_dim"] + c["qk_rope_head_dim"],
        "attention.value_length_mla": c["v_head_dim"],
        "attention.indexer.head_count": c["index_n_heads"],
        "attention.indexer.key_length": c["index_head_dim"],
        "attention.indexer.top_k": c["index_topk"],
        "leading_dense_block_count": c["first_k_dense_replace"],
        "expert_count": c["n_routed_experts"],
        "expert_used_count": c["num_experts_per_tok"],
        "expert_shared_count": c["n_shared_experts"],
        "expert_feed_forward_length": c["moe_intermediate_size"],
        "expert_group_count": c["n_group"],
        "expert_group_used_count": c["topk_group"],
        "expert_gating_func": 2,  # sigmoid
        "expert_weights_scale": float(c["routed_scaling_factor"]),
        "expert_weights_norm": bool(c["norm_topk_prob"]),
        "rope.dimension_count": c["qk_rope_head_dim"],
        "rope.freq_base": float(c["rope_theta"]),
    }
    if rope := c.get("rope_scaling"):
        of_arch |= {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": float(rope["factor"]),
            "rope.scaling.original_context_length": rope["original_max_position_embeddings"],
            "rope.scaling.yarn_beta_fast": float(rope["beta_fast"]),
            "rope.scaling.yarn_beta_slow": float(rope["beta_slow"]),
            "rope.scaling.yarn_log_multiplier": 0.1 * rope["mscale_all_dim"],
        }
    return {"tokenizer.ggml.model": "none"} | {f"{ARCH}.{key}": value for key, value in of_arch.items()}


def active_weights(checkpoint):
    """Numbers of the weights that decoding one token reads: all but the embedding and the experts not chosen."""
    c = checkpoint.config
    share = lambda name: (
        c["num_experts_per_tok"] / c["n_routed_experts"] if "_exps." in name else name != "token_embd.weight"
    )
    return int(sum(math.prod(t.shape) * share(t.name) for t in tensors(checkpoint)))


def convert(folder, out, kind, progress=lambda text: None):
    """Writes the GGUF file, one tensor in memory at a time; there is no file at `out` before it is whole."""
    import gguf

    checkpoint = Checkpoint(folder)
    partial = out.with_name(out.name + ".partial")
    writer = gguf.GGUFWriter(partial, ARCH)
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    for key, value in metadata(checkpoint.config).items():
        add[type(value)](key, value)
    todo = list(tensors(checkpoint))
    quantized = lambda t: kind == "q8_0" and t.matrix and t.shape[-1] % Q8_0_NUMBERS == 0
    types = {True: gguf.GGMLQuantizationType.Q8_0, False: gguf.GGMLQuantizationType.F32}
    for t in todo:
        count = math.prod(t.shape)
        size = count // Q8_0_NUMBERS * Q8_0_BYTES if quantized(t) else count * 4
        writer.add_tensor_info(t.name, t.shape, np.dtype(np.float32), size, types[quantized(t)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for n, t in enumerate(todo):
        progress(f"{n + 1}/{len(todo)} {t.name}")
        values = np.ascontiguousarray(t.read())
        writer.write_tensor_data(gguf.quants.quantize(values, types[True]) if quantized(t) else values)
    writer.close()
    partial.rename(out)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("checkpoint", type=pathlib.Path)
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("--type", choices=("q8_0", "f32"), default="q8_0")
    args = args.parse_args()
    convert(args.checkpoint, args.out, args.type, print)


if __name__ == "__main__":
    main()
