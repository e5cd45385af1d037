/**
 * All matrix products of a base without adapters in one session, over its own weights, with no operators between them.
 * This is the lower bound for the cost of a step of the serving graph. For measuring, not for serving.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeModel } from "../../formats/onnx-proto.ts";
import { Graph, type Var } from "../../graph/graph.ts";
import { externalTensors, serializeGraph } from "../../graph/serialize.ts";
import { allGroups } from "../../model/linears.ts";
import { EMBEDDING, LM_HEAD } from "../../model/weight-names.ts";
import { LM_HEAD_GROUP, formatOf } from "../../model/serve/weight-layouts.ts";
import { GraphWeights } from "../../model/weights.ts";
import { type RuntimeTensor, openSession, runtimeTensor } from "../../runtime/ort.ts";
import { type Base, SERVE_GRAPH_FILE } from "../base.ts";

const LOGITS = "logits";

export interface Products extends AsyncDisposable {
  /** A step of this many rows. Its memory is allocated here and its values are arbitrary. */
  step(numRows: number): () => Promise<unknown>;
}

/** Opens the products of `base` on the CPU. @throws {AppError} base_invalid */
export async function openProducts(base: Base, numThreads: number): Promise<Products> {
  const { config, layouts } = base.manifest;
  const known = externalTensors(decodeModel(await readFile(join(base.dir, SERVE_GRAPH_FILE))));
  const graph = new Graph("products");
  const made = new GraphWeights(graph, base.source, (name) => known.get(name));
  const inputs = new Map<number, Var>();
  const inputOf = (width: number): Var => {
    const input = inputs.get(width) ?? graph.input(`x${width}`, "float32", ["M", width]);
    inputs.set(width, input);
    return input;
  };
  // All products are outputs, so that none is optimised away. Only the last one is fetched.
  for (const group of allGroups(config)) {
    const format = formatOf(layouts, group.name);
    graph.output(made.linearGroup(inputOf(group.dIn), group, format), group.name);
  }
  const head = made.has(LM_HEAD) ? LM_HEAD : EMBEDDING;
  graph.output(
    made.product(inputOf(config.hiddenSize), LM_HEAD_GROUP, [head], null, formatOf(layouts, LM_HEAD_GROUP)),
    LOGITS,
  );
  const session = await openSession(serializeGraph(graph), { device: "cpu", numThreads, weightsDir: base.dir });
  const tensor = (values: Float32Array, width: number): RuntimeTensor =>
    runtimeTensor("float32", values, [values.length / width, width]);
  return {
    step: (numRows) => {
      const values = (width: number): Float32Array =>
        Float32Array.from({ length: numRows * width }, (_, i) => Math.sin(i));
      const feeds = Object.fromEntries([...inputs.keys()].map((width) => [`x${width}`, tensor(values(width), width)]));
      const fetches = { [LOGITS]: tensor(new Float32Array(numRows * config.vocabSize), config.vocabSize) };
      return () => session.run(feeds, fetches);
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
