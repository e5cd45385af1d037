/** The serving graph of a toy model as text: what a reader would check by eye, and what every port promises. */
import { describe, expect, it } from "vitest";
import type { Graph } from "../../src/graph/graph.ts";
import { printGraph } from "../../src/graph/print.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { requiredTensors } from "../../src/model/required-tensors.ts";
import { type StoredBasis, buildServeGraph } from "../../src/model/serve-graph.ts";
import type { StoredTensor, TensorSource, WeightFormat } from "../../src/model/weights.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { TOY_CONFIG } from "../helpers/checkpoints.ts";

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

const basis = (name: string, dOut: number, dIn: number, k: number): StoredBasis => ({
  name,
  k,
  left: at("float32", [dOut, k]),
  right: at("float32", [dIn, k]),
});

const build = (
  bases: readonly StoredBasis[],
  format: WeightFormat = { kind: "stored" },
  dtype: DType = "float32",
): Graph => buildServeGraph({ config, source: sourceOf(dtype), formatOf: () => format, bases });

describe("the serving graph", () => {
  it("of a bare base has attention and MLP, and no adapter part", () => {
    expect(printGraph(build([]))).toMatchInlineSnapshot();
  });

  it("of a quantised base has one product a group, and casts for what is stored in halves", () => {
    const text = printGraph(build([], { kind: "quantized", bits: 8, blockSize: 32, accuracyLevel: 4 }, "bfloat16"));
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
        "adapter.has_adapters bool[]",
        "adapter.has_routers bool[]",
        "adapter.heads float32[1|B*T,n,3]",
        "adapter.routers float32[1|B*T,3,n]",
        "adapter.head_mask float32[1|B*T,1,n]",
        "adapter.layers.0.self_attn.qkv.gains float32[1|B*T,3]",
        "adapter.layers.0.self_attn.qkv.scale float32[1|B*T,64]",
      ]),
    );
    expect(inputs.filter((name) => /\.(gains|scale) /.test(name))).toHaveLength(2);
    expect(printGraph(graph)).toContain("If(adapter.has_adapters)");
  });

  it("is refused, naming operation and line, when a basis does not fit its layer", () => {
    expect(() => build([basis("layers.0.self_attn.v_proj", 16, 17, 3)])).toThrow(
      /^matMul at [\w-]+\.ts:\d+: inner sizes/,
    );
  });
});
