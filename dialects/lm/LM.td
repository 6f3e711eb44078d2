//===- LM.td - the whole lm dialect -----------------------------*- tablegen -*-===//
include "dialects/lm/LMStructureOps.td"
include "dialects/lm/LMLinearOps.td"
include "dialects/lm/LMAttentionOps.td"
include "dialects/lm/LMMoEOps.td"
