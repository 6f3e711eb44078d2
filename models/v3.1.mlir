// DeepSeek-V3.1, and V3 and R1 before it: multi-head latent attention over every row, mixture of experts, multi-token
// prediction. Numbers are the published config.json's; a checkpoint's own config.json overrides them. `tap` names results that
// people compare.

lm.model @deepseek_v3_1 expects {
    model_type = "deepseek_v3", hidden_act = "silu", scoring_func = "sigmoid", topk_method = "noaux_tc",
    attention_bias = false, tie_word_embeddings = false, moe_layer_freq = 1, rope_scaling.type = "yarn",
    quantization_config.quant_method = "fp8", quantization_config.fmt = "e4m3",
    quantization_config.weight_block_size = [128, 128]} {

  lm.param @vocab_size = 129280
  lm.param @hidden_size = 7168
  lm.param @num_hidden_layers = 61
  lm.param @first_k_dense_replace = 3
  lm.param @num_nextn_predict_layers = 1
  lm.param @max_position_embeddings = 163840
  lm.param @rms_norm_eps = 1.0e-6

  lm.param @num_attention_heads = 128
  lm.param @q_lora_rank = 1536
  lm.param @kv_lora_rank = 512
  lm.param @qk_nope_head_dim = 128
  lm.param @qk_rope_head_dim = 64
  lm.param @v_head_dim = 128
  lm.param @qk_head_dim = @qk_nope_head_dim + @qk_rope_head_dim
  lm.param @kv_row = @kv_lora_rank + @qk_rope_head_dim

  lm.param @intermediate_size = 18432
  lm.param @n_routed_experts = 256
  lm.param @n_shared_experts = 1
  lm.param @num_experts_per_tok = 8
  lm.param @n_group = 8
  lm.param @topk_group = 4
  lm.param @moe_intermediate_size = 2048
  lm.param @shared_intermediate_size = @n_shared_experts * @moe_intermediate_size
  lm.param @routed_scaling_factor = 2.5
  lm.param @norm_topk_prob = 1

  lm.param @rope_theta = 10000
  lm.param @rope_factor = 40.0 from "rope_scaling.factor" else 1.0
  lm.param @rope_original = 4096 from "rope_scaling.original_max_position_embeddings" else 4096
  lm.param @rope_beta_fast = 32.0 from "rope_scaling.beta_fast" else 32.0
  lm.param @rope_beta_slow = 1.0 from "rope_scaling.beta_slow" else 1.0
  lm.param @rope_mscale_all_dim = 1.0 from "rope_scaling.mscale_all_dim" else 0.0
  lm.rope_table @rope dim @qk_rope_head_dim theta @rope_theta
      yarn [@rope_factor, @rope_original, @rope_beta_fast, @rope_beta_slow, @rope_mscale_all_dim]

  lm.block @attention(%x) at "self_attn" {
    %qa  = lm.linear %x "q_a_proj" to [@q_lora_rank]
    %qn  = lm.rms_norm %qa "q_a_layernorm" eps @rms_norm_eps
    %q   = lm.linear %qn "q_b_proj" to [@num_attention_heads, @qk_head_dim]
    %kv  = lm.linear %x "kv_a_proj_with_mqa" to [@kv_row]
    %lat = lm.mla.latent %kv "kv_a_layernorm" latent @kv_lora_rank rope @rope eps @rms_norm_eps
    %o   = lm.mla.attend %q, %lat "kv_b_proj" nope @qk_nope_head_dim value @v_head_dim rope @rope
    %y   = lm.linear %o "o_proj" to [@hidden_size]
    lm.yield %y
  }

  lm.block @dense_ffn(%x) at "mlp" {
    %y = lm.ffn %x inner @intermediate_size
    lm.yield %y
  }

  lm.block @moe(%x) at "mlp" {
    %g     = lm.linear %x "gate" to [@n_routed_experts] unquantized
    %w, %e = lm.moe.route %g "gate.e_score_correction_bias" groups @n_group pick @topk_group top @num_experts_per_tok
             scale @routed_scaling_factor normalize @norm_topk_prob {tap = ["expert_weights", "experts"]}
    %s     = lm.ffn %x inner @shared_intermediate_size at "shared_experts"
    %y     = lm.moe.experts %x, %w, %e, %s "experts" experts @n_routed_experts inner @moe_intermediate_size
    lm.yield %y
  }

  lm.block @dense_layer(%x) at "" {
    %n = lm.rms_norm %x "input_layernorm" eps @rms_norm_eps
    %a = lm.call @attention(%n)
    %h = lm.add %x, %a
    %m = lm.rms_norm %h "post_attention_layernorm" eps @rms_norm_eps
    %f = lm.call @dense_ffn(%m)
    %y = lm.add %h, %f {tap = ["hidden"]}
    lm.yield %y
  }

  lm.block @moe_layer(%x) at "" {
    %n = lm.rms_norm %x "input_layernorm" eps @rms_norm_eps
    %a = lm.call @attention(%n)
    %h = lm.add %x, %a
    %m = lm.rms_norm %h "post_attention_layernorm" eps @rms_norm_eps
    %f = lm.call @moe(%m)
    %y = lm.add %h, %f {tap = ["hidden"]}
    lm.yield %y
  }

  // ids → logits of the rows that want them, and the final hidden states of all rows.
  lm.entry @step {
    %ids = lm.input "ids"
    %x = lm.embed %ids "model.embed_tokens" to [@vocab_size, @hidden_size]
    %d = lm.layers (%h = %x) from 0 to @first_k_dense_replace at "model.layers.{layer}" {
      %y = lm.call @dense_layer(%h)
      lm.yield %y
    }
    %m = lm.layers (%h = %d) from @first_k_dense_replace to @num_hidden_layers at "model.layers.{layer}" {
      %y = lm.call @moe_layer(%h)
      lm.yield %y
    }
    %n = lm.rms_norm %m "model.norm" eps @rms_norm_eps
    %w = lm.take_rows %n
    %l = lm.linear %w "lm_head" to [@vocab_size] unquantized
    lm.return ["logits", "hidden"] %l, %n
  }

  // Multi-token prediction: hidden states of t and ids of t+1 → logits of t+2. Its layer follows the decoder's.
  lm.param @mtp_end = @num_hidden_layers + 1
  lm.entry @draft when @num_nextn_predict_layers {
    %ids = lm.input "ids"
    %hidden = lm.input "hidden" width @hidden_size
    %l = lm.layers () from @num_hidden_layers to @mtp_end at "model.layers.{layer}" {
      %e  = lm.embed %ids "embed_tokens" to [@vocab_size, @hidden_size]
      %en = lm.rms_norm %e "enorm" eps @rms_norm_eps
      %hn = lm.rms_norm %hidden "hnorm" eps @rms_norm_eps
      %c  = lm.concat %en, %hn
      %p  = lm.linear %c "eh_proj" to [@hidden_size] unquantized
      %y  = lm.call @moe_layer(%p)
      %w  = lm.take_rows %y
      %n  = lm.rms_norm %w "shared_head.norm" eps @rms_norm_eps
      %o  = lm.linear %n "shared_head.head" to [@vocab_size] unquantized
      lm.yield %o
    }
    lm.return ["logits"] %l
  }
}
