// RUN: modelc opt %s --split-input-file --verify-diagnostics

lm.model @rows {
  lm.block @b(%x) at "" {
    // expected-error @below {{(C1) rows is 65; want 1 to 64}}
    %s = lm.dsa.select %x top 16 schedule #lm.dsa<code = generated, rows = 65>
    lm.yield %s
  }
}

// -----

lm.model @pages {
  lm.block @b(%x) at "" {
    // expected-error @below {{(C1) pages is -1; want 1 to 64}}
    %s = lm.dsa.select %x top 16 schedule #lm.dsa<code = generated, pages = -1>
    lm.yield %s
  }
}

// -----

lm.model @block {
  lm.block @b(%x) at "" {
    // expected-error @below {{(C2) block is 1; want 8 to 65536}}
    %s = lm.dsa.select %x top 16 schedule #lm.dsa<code = generated, block = 1>
    lm.yield %s
  }
}

// -----

lm.model @keys {
  lm.block @b(%x) at "" {
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    // expected-error @below {{(C1) keys is 1025; want 1 to 1024}}
    %a = lm.mla.attend %x, %c "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, keys = 1025>
    lm.yield %a
  }
}

// -----

lm.model @heads {
  lm.block @b(%x) at "" {
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    // expected-error @below {{(C2) heads is 257; want 1 to 256}}
    %a = lm.mla.attend %x, %c "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, heads = 257>
    lm.yield %a
  }
}

// -----

lm.model @split {
  lm.block @b(%x) at "" {
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    // expected-error @below {{(C3) split is 65; want 1 to 64}}
    %a = lm.mla.attend %x, %c "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, split = 65>
    lm.yield %a
  }
}

// -----

lm.model @together {
  lm.block @b(%x) at "" {
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    // expected-error @below {{(C3) rows is -2; want 1 to 64}}
    %a = lm.mla.attend %x, %c "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, gather = page, rows = -2>
    lm.yield %a
  }
}

// -----

lm.model @expanded {
  lm.block @b(%x) at "" {
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    // expected-error @below {{(C4) form is expanded and code is generated; there is no such code, use code = library}}
    %a = lm.mla.attend %x, %c "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, form = expanded>
    lm.yield %a
  }
}

// -----

lm.model @kind {
  lm.block @b(%x) at "" {
    // expected-error @below {{attribute 'schedule' failed to satisfy constraint}}
    %s = lm.dsa.select %x top 16 schedule #lm.moe<code = generated>
    lm.yield %s
  }
}

// -----

lm.model @unknown {
  lm.block @b(%x) at "" {
    // expected-error @below {{to be one of: library, generated}}
    // expected-error @below {{failed to parse LM_DSASchedule parameter 'code'}}
    %s = lm.dsa.select %x top 16 schedule #lm.dsa<code = magic>
    lm.yield %s
  }
}
