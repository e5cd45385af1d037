/** The serving graph of a toy model as text: what a reader would check by eye, and what every port promises. */
import { describe, expect, it } from "vitest";
import type { Graph } from "../../../src/graph/graph.ts";
import { printGraph } from "../../../src/graph/print.ts";
import { parseModelConfig } from "../../../src/model/families.ts";
import { requiredTensors } from "../../../src/model/required-tensors.ts";
import type { ServedBasis } from "../../../src/model/serve/serve-bases.ts";
import { buildServeGraph } from "../../../src/model/serve/serve-graph.ts";
import { plainLayout } from "../../../src/model/serve/quantized-matrix.ts";
import type { StoredTensor, TensorSource, WeightFormat } from "../../../src/model/weights.ts";
import type { DType } from "../../../src/tensor/dtype.ts";
import { TOY_CONFIG } from "../../helpers/models/checkpoints.ts";

const config = parseModelConfig({ ...TOY_CONFIG, head_dim: 16 });

/** Tensors that are only named, never read. */
function sourceOf(dtype: DType): TensorSource {
  const shapes = new Map(requiredTensors(config, true).map(({ name, shape }) => [name, shape]));
  return {
    has: (name) => shapes.has(name),
    stored: (name) => at(dtype, shapes.get(name)!), // the graph asks for the model's tensors
    read: () => Promise.reject(new Error("not needed here")),
  };
}
const at = (dtype: DType, shape: readonly number[]): StoredTensor => ({
  dtype,
  shape,
  location: "w",
  offset: 0,
  length: 0,
});

const basis = (name: string, dOut: number, dIn: number, k: number, isStrong = true): ServedBasis => ({
  name,
  k,
  left: at("float32", [dOut, k]),
  right: at("float32", [dIn, k]),
  readLeft: () => Promise.reject(new Error("not needed here")),
  readRight: () => Promise.reject(new Error("not needed here")),
  sigma: new Float32Array(k).fill(1),
  isStrong,
});

const build = (
  bases: readonly ServedBasis[],
  format: WeightFormat = { kind: "stored" },
  dtype: DType = "float32",
): Graph => buildServeGraph({ config, source: sourceOf(dtype), formatOf: () => format, bases });

describe("the serving graph", () => {
  it("of a bare base has attention and MLP, and no adapter part", () => {
    expect(printGraph(build([]))).toMatchInlineSnapshot(`
      "graph serve
        input input_ids: int64[B,T]
        input logit_rows: int64[N]
        input seqlens_k: int32[B]
        input total_sequence_length: int32[]
        input past_key_values.0.key: float32[B,1,S,16]
        input past_key_values.0.value: float32[B,1,S,16]
        weight rotary.0.cos: float32[32,8]
        weight rotary.0.sin: float32[32,8]
        weight const_6: int64[1] = [-1]
        weight model.embed_tokens.weight: float32[12,16]
        weight model.layers.0.input_layernorm.weight: float32[16]
        weight model.layers.0.self_attn.q_proj.weight: float32[32,16]
        weight model.layers.0.self_attn.k_proj.weight: float32[16,16]
        weight model.layers.0.self_attn.v_proj.weight: float32[16,16]
        weight const_20: int64[1] = [64]
        weight const_28: int64[2] = [-1,32]
        weight model.layers.0.self_attn.o_proj.weight: float32[16,32]
        weight model.layers.0.post_attention_layernorm.weight: float32[16]
        weight model.layers.0.mlp.gate_proj.weight: float32[24,16]
        weight model.layers.0.mlp.up_proj.weight: float32[24,16]
        weight const_39: int64[2] = [24,24]
        weight model.layers.0.mlp.down_proj.weight: float32[16,24]
        weight model.norm.weight: float32[16]
        weight lm_head.weight: float32[12,16]
        reshape_7: int64[B*T] = Reshape(input_ids, const_6)
        gather_9: float32[B*T,16] = Gather(model.embed_tokens.weight, reshape_7) {axis=0}
        simplifiedlayernormalization_11: float32[B*T,16] = SimplifiedLayerNormalization(gather_9, model.layers.0.input_layernorm.weight) {axis=-1 epsilon=0.000001 stash_type=1}
        concat_15: float32[64,16] = Concat(model.layers.0.self_attn.q_proj.weight, model.layers.0.self_attn.k_proj.weight, model.layers.0.self_attn.v_proj.weight) {axis=0}
        gemm_16: float32[B*T,64] = Gemm(simplifiedlayernormalization_11, concat_15) {transB=1}
        shape_19: int64[2] = Shape(input_ids)
        concat_21: int64[3] = Concat(shape_19, const_20) {axis=0}
        reshape_22: float32[B,T,64] = Reshape(gemm_16, concat_21)
        groupqueryattention_23: float32[B,T,32], present.0.key: float32[B,1,S,16], present.0.value: float32[B,1,S,16] = GroupQueryAttention(reshape_22, _, _, past_key_values.0.key, past_key_values.0.value, seqlens_k, total_sequence_length, rotary.0.cos, rotary.0.sin) {num_heads=2 kv_num_heads=1 scale=0.25 local_window_size=-1 softcap=0 do_rotary=1}
        reshape_29: float32[B*T,32] = Reshape(groupqueryattention_23, const_28)
        gemm_31: float32[B*T,16] = Gemm(reshape_29, model.layers.0.self_attn.o_proj.weight) {transB=1}
        add_32: float32[B*T,16] = Add(gather_9, gemm_31)
        simplifiedlayernormalization_34: float32[B*T,16] = SimplifiedLayerNormalization(add_32, model.layers.0.post_attention_layernorm.weight) {axis=-1 epsilon=0.000001 stash_type=1}
        concat_37: float32[48,16] = Concat(model.layers.0.mlp.gate_proj.weight, model.layers.0.mlp.up_proj.weight) {axis=0}
        gemm_38: float32[B*T,48] = Gemm(simplifiedlayernormalization_34, concat_37) {transB=1}
        split_40: float32[B*T,24], split_41: float32[B*T,24] = Split(gemm_38, const_39) {axis=1}
        quickgelu_42: float32[B*T,24] = QuickGelu(split_40) {alpha=1}
        mul_43: float32[B*T,24] = Mul(quickgelu_42, split_41)
        gemm_45: float32[B*T,16] = Gemm(mul_43, model.layers.0.mlp.down_proj.weight) {transB=1}
        add_46: float32[B*T,16] = Add(add_32, gemm_45)
        gather_47: float32[N,16] = Gather(add_46, logit_rows) {axis=0}
        simplifiedlayernormalization_49: float32[N,16] = SimplifiedLayerNormalization(gather_47, model.norm.weight) {axis=-1 epsilon=0.000001 stash_type=1}
        logits: float32[N,12] = Gemm(simplifiedlayernormalization_49, lm_head.weight) {transB=1}
        return present.0.key, present.0.value, logits"
    `);
  });

  it("of a quantised base has one product a group, and casts for what is stored in halves", () => {
    const text = printGraph(build([], { kind: "quantized", ...plainLayout(8, 32) }, "bfloat16"));
    expect(text.match(/MatMulNBits\(/g)).toHaveLength(5); // qkv, output, gate and up, down, vocabulary
    expect(text).not.toContain("Gemm(");
    expect(text).toContain("weight layers.0.self_attn.qkv.int8.32.packed: uint8[64,1,32]");
    expect(text).toContain("weight model.norm.weight: bfloat16[16]");
  });

  it("of a base with targets adds their part behind a switch, one λ and v a group", () => {
    const graph = build([basis("layers.0.self_attn.v_proj", 16, 16, 3)]);
    const inputs = graph.inputs.map(({ name, dtype, shape }) => `${name} ${dtype}[${shape.join(",")}]`);
    expect(inputs).toEqual(
      expect.arrayContaining([
        "adapter.has_mo_sara bool[]",
        "adapter.has_routers bool[]",
        "adapter.heads float32[1|B*T,n,3]",
        "adapter.routers float32[1|B*T,3,n]",
        "adapter.head_mask float32[1|B*T,1,n]",
        "adapter.layers.0.self_attn.qkv.gains float32[1|B*T,3]",
        "adapter.layers.0.self_attn.qkv.scale float32[1|B*T,64]",
      ]),
    );
    expect(inputs.filter((name) => /\.(gains|scale) /.test(name))).toHaveLength(2);
    expect(printGraph(graph)).toContain("If(adapter.has_mo_sara)");
  });

  it("of a quantised base holds V in blocks of int8, one for all targets of a group, and U in float32, one product a target", () => {
    const targets = [basis("layers.0.self_attn.q_proj", 32, 16, 5), basis("layers.0.self_attn.v_proj", 16, 16, 3)];
    const text = printGraph(build(targets, { kind: "quantized", ...plainLayout(4, 32) }));
    expect(text).toContain("weight layers.0.self_attn.qkv.V.int8.128.packed: uint8[8,1,128]");
    expect(text).not.toContain("q_proj.V:");
    expect(text).toContain("weight layers.0.self_attn.q_proj.U: float32[32,5]");
    // k_proj lies between them and has no target: v's columns begin where q's end.
    expect(text).toMatch(/float32\[B\*T,32\] = MatMul\(/);
    expect(text).toMatch(/float32\[B\*T,32\] = MatMul\([^)]*pad_/);
  });

  describe("of a target that gives half of what it takes or less", () => {
    const wide = parseModelConfig({ ...TOY_CONFIG, head_dim: 16, intermediate_size: 32 });
    const shapes = new Map(requiredTensors(wide, true).map(({ name, shape }) => [name, shape]));
    const source = { ...sourceOf("float32"), stored: (name: string) => at("float32", shapes.get(name)!) };
    const quantized: WeightFormat = { kind: "quantized", ...plainLayout(8, 32) };
    const textOf = (isStrong: boolean, format: WeightFormat): string => {
      const bases = [basis("layers.0.mlp.down_proj", 16, 32, 3, isStrong)];
      return printGraph(buildServeGraph({ config: wide, source, formatOf: () => format, bases }));
    };

    it.each([{ kind: "stored" }, quantized] as const)(
      "reads z from its output, where V is not needed ($kind)",
      (format) => {
        const text = textOf(true, format);
        expect(text).toContain("weight layers.0.mlp.down_proj.inverse: float32[16,3]");
        expect(text).toMatch(/float32\[B\*T,3\] = MatMul\([^)]*, layers\.0\.mlp\.down_proj\.inverse\)/);
        expect(text).not.toMatch(/mlp\.down(_proj)?\.V/);
      },
    );

    it("reads it from its input where a direction's σ is so small that it would blow up what the output is rounded by", () => {
      expect(textOf(false, quantized)).toContain("weight layers.0.mlp.down.V.int8.128.packed");
      expect(textOf(false, { kind: "stored" })).toContain("weight layers.0.mlp.down_proj.V: float32[32,3]");
      expect(textOf(false, quantized)).not.toContain("inverse");
    });
  });

  it("has one switch a part of the layers for low-rank rows, in as many layers as there are", () => {
    const graph = build([basis("layers.0.self_attn.v_proj", 16, 16, 3)]);
    const switches = graph.inputs
      .filter(({ name }) => name.startsWith("adapter.has_low_rank."))
      .map(({ name }) => name);
    expect(switches).toEqual(
      ["self_attn.qkv", "self_attn.o", "mlp.in", "mlp.down"].map((part) => `adapter.has_low_rank.${part}`),
    );
  });

  it("is refused, naming operation and line, when a basis does not fit its layer", () => {
    expect(() => build([basis("layers.0.self_attn.v_proj", 16, 17, 3)])).toThrow(
      /^matMul at [\w-]+\.ts:\d+: inner sizes/,
    );
  });
});
