"""Golden folders of models that transformers implements, made by running it: random weights, float32, published names.

    python tests/golden/make_transformers.py tests/golden

needs torch and transformers; the tests read what it wrote. README.md beside it says what the files hold.
"""
import json
import sys
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.masking_utils import create_causal_mask

V3_1 = dict(
    model_type="deepseek_v3", architectures=["DeepseekV3ForCausalLM"], scoring_func="sigmoid", topk_method="noaux_tc",
    moe_layer_freq=1, rope_theta=10000, rms_norm_eps=1e-6, routed_scaling_factor=2.5,
    rope_scaling=dict(type="yarn", factor=4, original_max_position_embeddings=32, beta_fast=32, beta_slow=1, mscale=1.0,
                      mscale_all_dim=1.0))
GLM_5 = dict(
    model_type="glm_moe_dsa", architectures=["GlmMoeDsaForCausalLM"], scoring_func="sigmoid", topk_method="noaux_tc",
    moe_layer_freq=1, rope_parameters=dict(rope_theta=1000000, rope_type="default"), rope_interleave=True,
    indexer_rope_interleave=True, rms_norm_eps=1e-5, routed_scaling_factor=2.5, n_group=1, topk_group=1)
COMMON = dict(
    attention_bias=False, hidden_act="silu", tie_word_embeddings=False, norm_topk_prob=True, num_nextn_predict_layers=1,
    max_position_embeddings=2048, n_shared_experts=1, torch_dtype="float32", bos_token_id=0, eos_token_id=1)

# Even sizes, and sizes that divide by nothing a kernel likes.
FOLDERS = {
    "v3.1-tiny": (70, V3_1 | COMMON | dict(
        vocab_size=160, hidden_size=64, num_hidden_layers=3, first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=32,
        kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=16, intermediate_size=96, n_routed_experts=8,
        num_experts_per_tok=3, n_group=4, topk_group=2, moe_intermediate_size=32)),
    "v3.1-odd": (129, V3_1 | COMMON | dict(
        vocab_size=131, hidden_size=52, num_hidden_layers=2, first_k_dense_replace=0, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=23,
        kv_lora_rank=37, qk_nope_head_dim=13, qk_rope_head_dim=6, v_head_dim=11, intermediate_size=45, n_routed_experts=6,
        num_experts_per_tok=2, n_group=3, topk_group=1, moe_intermediate_size=19, n_shared_experts=2)),
    "glm-5-tiny": (90, GLM_5 | COMMON | dict(
        vocab_size=160, hidden_size=64, num_hidden_layers=3, first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=32,
        kv_lora_rank=32, qk_nope_head_dim=24, qk_rope_head_dim=16, v_head_dim=32, index_n_heads=4, index_head_dim=32,
        index_topk=24, intermediate_size=96, n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=32)),
    "glm-5-odd": (101, GLM_5 | COMMON | dict(
        vocab_size=131, hidden_size=52, num_hidden_layers=2, first_k_dense_replace=1, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=23,
        kv_lora_rank=37, qk_nope_head_dim=13, qk_rope_head_dim=6, v_head_dim=11, index_n_heads=5, index_head_dim=16,
        index_topk=17, intermediate_size=45, n_routed_experts=5, num_experts_per_tok=2, moe_intermediate_size=19)),
}


def randomize(module):
    """Weights of a size that keeps values near 1, so that float32 comparisons mean something; norms near 1."""
    for name, tensor in list(module.named_parameters()) + list(module.named_buffers()):
        if "inv_freq" in name:
            continue
        noise = torch.randn_like(tensor)
        if name.endswith("e_score_correction_bias"):
            tensor.data = noise * 0.05
        elif tensor.dim() < 2:
            tensor.data = noise * 0.1 + (0 if name.endswith("bias") else 1)
        else:
            tensor.data = noise * tensor.shape[-1] ** -0.5


def published(state):
    """Checkpoint names: one matrix an expert, as the published files have them."""
    out = {}
    for name, tensor in state.items():
        if name.endswith("experts.gate_up_proj"):
            for e, matrix in enumerate(tensor):
                gate, up = matrix.chunk(2)
                out[name.replace("gate_up_proj", f"{e}.gate_proj.weight")] = gate
                out[name.replace("gate_up_proj", f"{e}.up_proj.weight")] = up
        elif name.endswith("experts.down_proj"):
            for e, matrix in enumerate(tensor):
                out[name.replace("down_proj", f"{e}.down_proj.weight")] = matrix
        else:
            out[name] = tensor
    return {name: tensor.contiguous().clone() for name, tensor in out.items()}


class Recorder:
    """What the layers choose and give while a model runs."""

    def __init__(self, config):
        self.config, self.values = config, {}

    def watch(self, layer, number):
        put = lambda name, value: self.values.__setitem__(f"{name}.{number}", value)
        layer.register_forward_hook(lambda m, a, out: put("hidden", (out[0] if isinstance(out, tuple) else out)[0]))
        if hasattr(layer.mlp, "gate"):
            layer.mlp.gate.register_forward_hook(lambda m, a, out: self.route(number, m, *out))
        indexer = getattr(layer.self_attn, "indexer", None)
        if indexer is not None:
            indexer.forward = self.scored(indexer.forward, number)

    def scored(self, forward, number):
        topk = torch.Tensor.topk

        def run(*args, **kwargs):
            seen = []
            with mock.patch.object(torch.Tensor, "topk", lambda t, *a, **k: (seen.append(t), topk(t, *a, **k))[1]):
                chosen = forward(*args, **kwargs)
            self.select(number, seen[0][0], chosen[0])
            return chosen

        return run

    def select(self, number, scores, chosen):
        rows, k = scores.shape[0], chosen.shape[-1]
        visible = torch.ones(rows, rows, dtype=torch.bool).tril()
        scores = scores.masked_fill(~visible, float("-inf"))
        indices, margins = torch.full((rows, k), -1, dtype=torch.int32), torch.full((rows,), float("inf"))
        for t in range(rows):
            kept = sorted(i for i in chosen[t].tolist() if i <= t)
            indices[t, : len(kept)] = torch.tensor(kept, dtype=torch.int32)
            if t + 1 > k:
                best = scores[t, : t + 1].sort(descending=True).values
                margins[t] = (best[k - 1] - best[k]) / scores[t, : t + 1].abs().max()
        self.values |= {f"index_scores.{number}": scores, f"topk_indices.{number}": indices, f"topk_margin.{number}": margins}

    def route(self, number, gate, logits, weights, experts):
        experts, order = experts.sort(dim=-1)
        choice = logits.float().sigmoid() + gate.e_score_correction_bias
        groups = choice.view(len(choice), self.config.n_group, -1)
        ranked = groups.topk(2).values.sum(-1).sort(descending=True).values
        picked = self.config.topk_group
        margin = torch.full((len(choice),), float("inf"))
        if picked < self.config.n_group:
            margin = ranked[:, picked - 1] - ranked[:, picked]
        kept = torch.zeros_like(groups, dtype=torch.bool)
        kept[torch.arange(len(choice))[:, None], groups.topk(2).values.sum(-1).topk(picked).indices] = True
        best = choice.masked_fill(~kept.view_as(choice), float("-inf")).sort(descending=True).values
        top = experts.shape[-1]
        margin = torch.minimum(margin, (best[:, top - 1] - best[:, top]).abs()) / choice.abs().max(-1).values
        self.values |= {f"experts.{number}": experts.int(), f"expert_weights.{number}": weights.gather(-1, order),
                        f"expert_margin.{number}": margin}


def draft(model, recorder, ids, hidden):
    """Multi-token prediction as DeepSeek-V3's report, section 2.2, has it, with the model's own layers."""
    config, base = model.config, model.model
    number, width = config.num_hidden_layers, config.hidden_size
    norm = type(base.norm)
    layer = type(base.layers[-1])(base.layers[-1].self_attn.config, number - 1)
    layer.self_attn.layer_idx = 0
    parts = torch.nn.ModuleDict({"enorm": norm(width, config.rms_norm_eps), "hnorm": norm(width, config.rms_norm_eps),
                                 "eh_proj": torch.nn.Linear(2 * width, width, bias=False),
                                 "shared_head": torch.nn.ModuleDict({"norm": norm(width, config.rms_norm_eps)})})
    own_head = config.model_type == "deepseek_v3"
    if own_head:
        parts["embed_tokens"] = torch.nn.Embedding(config.vocab_size, width)
        parts["shared_head"]["head"] = torch.nn.Linear(width, config.vocab_size, bias=False)
    randomize(parts), randomize(layer)
    recorder.watch(layer, number)
    embed = parts["embed_tokens"] if own_head else base.embed_tokens
    head = parts["shared_head"]["head"] if own_head else model.lm_head
    x = parts["eh_proj"](torch.cat([parts["enorm"](embed(ids[:, 1:])), parts["hnorm"](hidden[:, :-1])], dim=-1))
    positions = torch.arange(x.shape[1])[None]
    mask = create_causal_mask(config=config, inputs_embeds=x, attention_mask=None, cache=None,
                              position_ids=positions, allow_is_causal_skip=False)
    out = layer(x, attention_mask=mask, position_ids=positions, position_embeddings=base.rotary_emb(x, positions))
    recorder.values["mtp_logits"] = head(parts["shared_head"]["norm"](out[0] if isinstance(out, tuple) else out))[0]
    return {f"model.layers.{number}.{k}": v for k, v in published({**parts.state_dict(), **layer.state_dict()}).items()}


@torch.no_grad()
def make(folder, tokens, numbers):
    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
    config = AutoConfig.for_model(numbers["model_type"], **{k: v for k, v in numbers.items() if k != "model_type"})
    config._attn_implementation = config._experts_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomize(model)
    recorder = Recorder(config)
    for number, layer in enumerate(model.model.layers[: config.num_hidden_layers]):
        recorder.watch(layer, number)
    ids = torch.randint(0, config.vocab_size, (1, tokens))
    hidden = model.model(ids, use_cache=False).last_hidden_state
    recorder.values["logits"] = model.lm_head(hidden)[0]
    weights = published(model.state_dict()) | draft(model, recorder, ids, hidden)
    save_file(weights, folder / "model.safetensors")
    save_file({"input_ids": ids[0]}, folder / "inputs.safetensors")
    save_file({k: v.contiguous().clone() for k, v in recorder.values.items()}, folder / "golden.safetensors")


if __name__ == "__main__":
    for name, (tokens, numbers) in FOLDERS.items():
        make(Path(sys.argv[1]) / name, tokens, numbers)
