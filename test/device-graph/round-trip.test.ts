/**
 * The passes work on a graph as the graph language gives it. Stored graphs come out of protobuf instead. Both must be
 * the same model to them, so nothing has to be serialised only to be parsed again.
 */
import { describe, expect, it } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { inlineMadeWeights, toOnnxModel } from "../../src/graph/serialize.ts";
import { decodeModel, encodeModel } from "../../src/formats/onnx-proto.ts";
import { CPU_FORM, type DeviceForm, inForm } from "../../src/device-graph/device-form.ts";
import { buildSampleGraph } from "../../src/device-graph/sample-graph.ts";
import { readLogits } from "../../src/device-graph/read-logits.ts";
import { cachedAttention } from "../../src/model/attention.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { INPUT_IDS, ROWS } from "../../src/model/ports.ts";
import { TOY_CONFIG } from "../helpers/models/checkpoints.ts";

const config = parseModelConfig({ ...TOY_CONFIG, head_dim: 16 });

async function attentionGraph(): Promise<Graph> {
  const graph = new Graph("attention");
  const attend = cachedAttention(graph, config, graph.input(INPUT_IDS.name, INPUT_IDS.dtype, INPUT_IDS.shape), null);
  const width = (config.numHeads + 2 * config.numKvHeads) * config.headSize;
  const ones = (name: string) =>
    graph.weight(name, "float32", [16], {
      kind: "inline",
      tensor: { dtype: "float32", shape: [16], data: new Float32Array(16).fill(1) },
    });
  graph.output(attend(0, graph.input("qkv", "float32", [ROWS, width]), ones), "heads");
  await inlineMadeWeights(graph); // the rotary tables
  return graph;
}

function readingGraph(): Graph {
  const graph = new Graph("read-logits");
  const made = readLogits(graph.input("logits", "float32", ["N", 384]), graph.input("is_whole", "bool", ["N"]));
  for (const [name, one] of Object.entries(made)) graph.output(one, name);
  return graph;
}

const FORMS: readonly (readonly [string, DeviceForm])[] = [
  ["the host's form", CPU_FORM],
  ["plain attention", { ...CPU_FORM, attention: "plain", writesCache: true }],
  ["stepwise half attention", { ...CPU_FORM, attention: "stepwise", hasHalfAttention: true, writesCache: true }],
];

describe("a graph that was written to protobuf and read again", () => {
  it.each([
    ["of the best tokens", () => buildSampleGraph("best", 384)],
    ["of candidates", () => buildSampleGraph("top", 384)],
    ["of what is read of logits", readingGraph],
    ["of attention", attentionGraph],
  ])("%s has the same bytes", async (_, build) => {
    const model = toOnnxModel(await build());
    expect(Buffer.from(encodeModel(decodeModel(encodeModel(model)))).equals(encodeModel(model))).toBe(true);
  });

  it.each(FORMS)("becomes the same model in %s", async (_, form) => {
    const model = toOnnxModel(await attentionGraph());
    const direct = encodeModel(inForm(model, form));
    expect(Buffer.from(encodeModel(inForm(decodeModel(encodeModel(model)), form))).equals(direct)).toBe(true);
  });
});
