#!/usr/bin/env python3
"""Write a random-weight checkpoint of the DeepSeek-V3.2 architecture in the published Hugging Face layout.

The weights are random, so the text it generates is noise; the shapes, the dtypes and the tensor names are
the real ones, so it serves to measure load time, prefill, decode and memory of any engine that reads
DeepSeek-V3.2 checkpoints. The bf16 and fp8 forms hold the same numbers: an e4m3 value times a power of two
is exact in bf16, so engines that read one or the other can be compared on equal weights.

    make_model.py OUT [--preset bench-1b] [--dtype fp8|bf16] [--layers N] [--seed N] [--no-mtp]
                      [--tokenizer DIR]

Needs numpy, ml_dtypes and safetensors.
"""
import argparse
import json
import pathlib
import shutil

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

BLOCK = 128
FP8_MAX = 448.0
SHARD_BYTES = 1 << 30

COMMON = dict(
    architectures=["DeepseekV32ForCausalLM"], model_type="deepseek_v32", attention_bias=False,
    attention_dropout=0.0, bos_token_id=0, eos_token_id=1, ep_size=1, hidden_act="silu",
    initializer_range=0.02, norm_topk_prob=True, rms_norm_eps=1e-6, rope_theta=10000,
    routed_scaling_factor=2.5, scoring_func="sigmoid", topk_method="noaux_tc", moe_layer_freq=1,
    tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True, vocab_size=129280,
    max_position_embeddings=163840, num_nextn_predict_layers=1,
    qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, kv_lora_rank=512,
    index_head_dim=128, index_topk=2048, n_shared_experts=1,
    rope_scaling=dict(type="yarn", factor=40, original_max_position_embeddings=4096, beta_fast=32,
                      beta_slow=1, mscale=1.0, mscale_all_dim=1.0),
)
PRESETS = {
    # ~1.1 B parameters, ~0.3 B active: fits a laptop, and is large enough to leave every cache.
    "bench-1b": dict(hidden_size=1024, num_hidden_layers=8, first_k_dense_replace=1, num_attention_heads=16,
                     q_lora_rank=512, intermediate_size=2816, moe_intermediate_size=512, n_routed_experts=64,
                     num_experts_per_tok=8, n_group=8, topk_group=4, index_n_heads=16),
    # The published model's own widths; cut its depth with --layers to fit the machine.
    "v3.2": dict(hidden_size=7168, num_hidden_layers=61, first_k_dense_replace=3, num_attention_heads=128,
                 q_lora_rank=1536, intermediate_size=18432, moe_intermediate_size=2048, n_routed_experts=256,
                 num_experts_per_tok=8, n_group=8, topk_group=4, index_n_heads=64),
}
# The same widths on a machine with little memory (7 GB): a dense layer, and one with a quarter of the experts.
PRESETS["v3.2-slice"] = dict(PRESETS["v3.2"], num_hidden_layers=2, first_k_dense_replace=1, n_routed_experts=64,
                             num_nextn_predict_layers=0)


class Writer:
    """Collects tensors into shards of about 1 GiB and writes the index when closed."""

    def __init__(self, out, dtype, rng):
        self.out, self.dtype, self.rng = out, dtype, rng
        self.shard, self.size, self.total, self.map, self.n = {}, 0, 0, {}, 0

    def put(self, name, array):
        self.shard[name] = array
        self.size += array.nbytes
        self.total += array.nbytes
        if self.size >= SHARD_BYTES:
            self.flush()

    def flush(self):
        if not self.shard:
            return
        self.n += 1
        file = f"model-{self.n:05d}.safetensors"
        save_file(self.shard, self.out / file, metadata={"format": "pt"})
        self.map.update(dict.fromkeys(self.shard, file))
        self.shard, self.size = {}, 0

    def close(self):
        self.flush()
        index = dict(metadata=dict(total_size=self.total), weight_map=self.map)
        (self.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True))

    def normal(self, shape, std):
        return self.rng.standard_normal(shape, dtype=np.float32) * np.float32(std)

    def vector(self, name, n, value=1.0, jitter=0.02, dtype=ml_dtypes.bfloat16):
        self.put(name, (value + self.normal(n, jitter)).astype(dtype))

    def dense(self, name, rows, cols, dtype=ml_dtypes.bfloat16, std=None):
        """An unquantized matrix [rows, cols] (out, in)."""
        self.put(name, self.normal((rows, cols), std or cols ** -0.5).astype(dtype))

    def linear(self, name, rows, cols):
        """A matrix [rows, cols] (out, in), block-quantized to e4m3 with power-of-two scales per 128 x 128."""
        w = self.normal((rows, cols), cols ** -0.5)
        pr, pc = -rows % BLOCK, -cols % BLOCK
        blocks = np.pad(w, ((0, pr), (0, pc))).reshape((rows + pr) // BLOCK, BLOCK, (cols + pc) // BLOCK, BLOCK)
        amax = np.abs(blocks).max(axis=(1, 3))
        scale = np.exp2(np.ceil(np.log2(np.maximum(amax, 1e-8) / FP8_MAX))).astype(np.float32)
        q = (blocks / scale[:, None, :, None]).astype(ml_dtypes.float8_e4m3fn)
        if self.dtype == "fp8":
            self.put(name + ".weight", np.ascontiguousarray(q.reshape(rows + pr, cols + pc)[:rows, :cols]))
            self.put(name + ".weight_scale_inv", scale)
        else:
            deq = q.astype(np.float32) * scale[:, None, :, None]
            self.put(name + ".weight", np.ascontiguousarray(
                deq.reshape(rows + pr, cols + pc)[:rows, :cols].astype(ml_dtypes.bfloat16)))


def write_layer(w, c, i, moe, mtp=False):
    p, h, heads = f"model.layers.{i}.", c["hidden_size"], c["num_attention_heads"]
    a = p + "self_attn."
    w.vector(p + "input_layernorm.weight", h)
    w.vector(p + "post_attention_layernorm.weight", h)
    w.linear(a + "q_a_proj", c["q_lora_rank"], h)
    w.vector(a + "q_a_layernorm.weight", c["q_lora_rank"])
    w.linear(a + "q_b_proj", heads * (c["qk_nope_head_dim"] + c["qk_rope_head_dim"]), c["q_lora_rank"])
    w.linear(a + "kv_a_proj_with_mqa", c["kv_lora_rank"] + c["qk_rope_head_dim"], h)
    w.vector(a + "kv_a_layernorm.weight", c["kv_lora_rank"])
    w.linear(a + "kv_b_proj", heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), c["kv_lora_rank"])
    w.linear(a + "o_proj", h, heads * c["v_head_dim"])
    w.linear(a + "indexer.wq_b", c["index_n_heads"] * c["index_head_dim"], c["q_lora_rank"])
    w.linear(a + "indexer.wk", c["index_head_dim"], h)
    w.vector(a + "indexer.k_norm.weight", c["index_head_dim"], dtype=np.float32)
    w.vector(a + "indexer.k_norm.bias", c["index_head_dim"], value=0.0, dtype=np.float32)
    w.dense(a + "indexer.weights_proj.weight", c["index_n_heads"], h)

    def ffn(prefix, inter):
        w.linear(prefix + "gate_proj", inter, h)
        w.linear(prefix + "up_proj", inter, h)
        w.linear(prefix + "down_proj", h, inter)

    if moe:
        w.dense(p + "mlp.gate.weight", c["n_routed_experts"], h)
        w.vector(p + "mlp.gate.e_score_correction_bias", c["n_routed_experts"], value=0.0, dtype=np.float32)
        for e in range(c["n_routed_experts"]):
            ffn(f"{p}mlp.experts.{e}.", c["moe_intermediate_size"])
        ffn(p + "mlp.shared_experts.", c["moe_intermediate_size"] * c["n_shared_experts"])
    else:
        ffn(p + "mlp.", c["intermediate_size"])
    if mtp:
        w.dense(p + "embed_tokens.weight", c["vocab_size"], h, std=1.0)
        w.vector(p + "enorm.weight", h)
        w.vector(p + "hnorm.weight", h)
        w.dense(p + "eh_proj.weight", h, 2 * h)
        w.vector(p + "shared_head.norm.weight", h)
        w.dense(p + "shared_head.head.weight", c["vocab_size"], h)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--preset", choices=PRESETS, default="bench-1b")
    ap.add_argument("--dtype", choices=("fp8", "bf16"), default="fp8")
    ap.add_argument("--layers", type=int)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--no-mtp", action="store_true")
    ap.add_argument("--tokenizer", type=pathlib.Path, help="a folder with tokenizer.json and tokenizer_config.json")
    args = ap.parse_args()

    c = dict(COMMON, **PRESETS[args.preset])
    if args.layers:
        c["num_hidden_layers"] = args.layers
        c["first_k_dense_replace"] = min(c["first_k_dense_replace"], args.layers)
    if args.no_mtp:
        c["num_nextn_predict_layers"] = 0
    c["num_key_value_heads"] = c["num_attention_heads"]
    if args.dtype == "fp8":
        c["quantization_config"] = dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8",
                                        scale_fmt="ue8m0", weight_block_size=[BLOCK, BLOCK])
    args.out.mkdir(parents=True, exist_ok=True)
    w = Writer(args.out, args.dtype, np.random.default_rng(args.seed))
    w.dense("model.embed_tokens.weight", c["vocab_size"], c["hidden_size"], std=1.0)
    for i in range(c["num_hidden_layers"]):
        write_layer(w, c, i, moe=i >= c["first_k_dense_replace"])
        print(f"layer {i + 1}/{c['num_hidden_layers']}", flush=True)
    w.vector("model.norm.weight", c["hidden_size"])
    w.dense("lm_head.weight", c["vocab_size"], c["hidden_size"])
    for j in range(c["num_nextn_predict_layers"]):
        write_layer(w, c, c["num_hidden_layers"] + j, moe=True, mtp=True)
    w.close()
    (args.out / "config.json").write_text(json.dumps(c, indent=2, sort_keys=True))
    (args.out / "generation_config.json").write_text(json.dumps(
        dict(bos_token_id=0, eos_token_id=1, do_sample=True, temperature=1.0, top_p=0.95), indent=2))
    if args.tokenizer:
        for f in args.tokenizer.glob("tokenizer*.json"):
            shutil.copy(f, args.out)
    print(f"{w.total / 2**30:.2f} GiB in {w.n} shards")


if __name__ == "__main__":
    main()
