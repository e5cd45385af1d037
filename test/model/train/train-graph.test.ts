/** The training graph against PyTorch, for every method of the training fixtures at both of its points. */
import { describe, expect, it } from "vitest";
import { buildTrainGraph } from "../../../src/model/train/train-graph.ts";
import { numElements } from "../../../src/tensor/host-tensor.ts";
import { expectAllclose } from "../../helpers/allclose.ts";
import { runSession } from "../../helpers/run-graph.ts";
import {
  batches,
  feedsOf,
  float32,
  int64,
  methodCases,
  openCase,
  parametersAt,
} from "../../helpers/models/training-cases.ts";

const floats = (data: unknown): Float32Array => data as Float32Array;

describe.each(methodCases.map((one) => [one.slug, one] as const))("%s", (_, one) => {
  it.each(["init", "point"] as const)("has PyTorch's loss and gradients at %s", async (at) => {
    await using open = await openCase(one);
    const { graph, parameters } = buildTrainGraph(open);
    expect(Object.fromEntries(parameters.map(({ name, shape }) => [name, shape]))).toEqual(one.trainable);
    await using session = await open.open(graph);
    const results = await runSession(session, { ...feedsOf(batches[0]!), ...(await parametersAt(one, open, at)) });
    expect(results.loss!.shape).toEqual([]);
    expectAllclose(floats(results.loss!.data), [one[at].loss], { atol: 1e-5 }, "loss");
    for (const { name, shape, gradient } of parameters) {
      const expected = await open[at].read(`grad.${name}`);
      expect(results[gradient]!.shape).toEqual(shape);
      expectAllclose(floats(results[gradient]!.data), floats(expected.data), { rtolOfMax: 1e-4 }, gradient);
    }
  });

  it.each(["init", "point"] as const)("has PyTorch's logits at %s, without gradients", async (at) => {
    await using open = await openCase(one);
    const { graph, logits } = buildTrainGraph({ ...open, hasGradients: false });
    graph.output(logits, "logits");
    expect(graph.outputs.map(({ name }) => name)).toEqual(["loss", "row_losses", "logits"]);
    await using session = await open.open(graph);
    const feeds = feedsOf(batches[0]!);
    const numRows = numElements(feeds.input_ids!.shape);
    const all = Array.from({ length: numRows }, (_value, i) => i);
    const everyRow = {
      loss_rows: int64([numRows], all),
      loss_labels: int64(
        [numRows],
        all.map(() => 0),
      ),
      loss_weights: float32(
        [numRows],
        all.map(() => 1),
      ),
    };
    const results = await runSession(session, { ...feeds, ...everyRow, ...(await parametersAt(one, open, at)) });
    const expected = await open[at].read("logits");
    expectAllclose(floats(results.logits!.data), floats(expected.data), { atol: 1e-4 }, "logits");
  });
});

const slugOf = (kind: string) => methodCases.find((one) => one.kind === kind) ?? methodCases[0]!;

describe("the graph", () => {
  it("computes nothing for frozen layers before the first target", async () => {
    const one = slugOf("mo-sara");
    await using open = await openCase(one);
    const { trained } = open;
    if (trained.kind !== "adapter") throw new Error("an adapter was wanted");
    const productsWith = (targets: typeof trained.targets): number => {
      const { graph } = buildTrainGraph({ ...open, trained: { ...trained, targets } });
      return graph.nodes.filter(({ op }) => op === "Gemm").length;
    };
    const isInLast = ({ name }: { name: string }): boolean => name.startsWith(`layers.${open.config.numLayers - 1}.`);
    const forward = buildTrainGraph({ ...open, hasGradients: false }).graph.nodes.filter(
      ({ op }) => op === "Gemm",
    ).length;
    const isValue = ({ name }: { name: string }): boolean => name.endsWith("v_proj");
    // From the last layer's v: the head, its MLP's three and o_proj; every layer below adds its seven, but for q, k and
    // v of the first.
    expect(productsWith(trained.targets.filter((target) => isInLast(target) && isValue(target))) - forward).toBe(5);
    expect(productsWith(trained.targets.filter(isValue)) - forward).toBe(5 + 7 * (open.config.numLayers - 1));
  });

  it("produces every result under its name, by a node that does something", async () => {
    for (const one of methodCases) {
      await using open = await openCase(one);
      const { graph, parameters } = buildTrainGraph(open);
      expect(graph.nodes.filter(({ op }) => ["Identity", "ScatterND"].includes(op))).toEqual([]);
      expect(graph.outputs.map(({ name }) => name)).toEqual([
        "loss",
        "row_losses",
        ...parameters.map(({ gradient }) => gradient),
      ]);
      const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs.map((input) => input?.name)));
      const results = new Set(graph.outputs);
      const idle = graph.nodes.filter(
        ({ outputs }) => !outputs.some((output) => used.has(output.name) || results.has(output)),
      );
      expect(idle).toEqual([]);
    }
  });

  it("gives the same with sizes that are numbers, and rotary tables that just suffice", async () => {
    const one = slugOf("lora");
    await using open = await openCase(one);
    const feeds = { ...feedsOf(batches[0]!), ...(await parametersAt(one, open, "point")) };
    const [batch, length] = feeds.input_ids!.shape as [number, number];
    const sizes = { batch, length, lossRows: feeds.loss_rows!.shape[0]! };
    await using named = await open.open(buildTrainGraph(open).graph);
    await using fixed = await open.open(buildTrainGraph({ ...open, sizes, maxPositions: length }).graph);
    const [a, b] = [await runSession(named, feeds), await runSession(fixed, feeds)];
    for (const [name, { data }] of Object.entries(a))
      expectAllclose(floats(b[name]!.data), floats(data), { rtolOfMax: 1e-6 }, name);
  });

  it("adds up over micro-batches that share a denominator, rows that fill up counting nothing", async () => {
    const one = slugOf("full");
    await using open = await openCase(one);
    const { graph, parameters } = buildTrainGraph(open);
    await using session = await open.open(graph);
    const trained = await parametersAt(one, open, "point");
    const [batch] = batches as [(typeof batches)[number]];
    const whole = await runSession(session, { ...feedsOf(batch), ...trained });
    const denominator = feedsOf(batch).loss_denominator!;
    const sums = new Map<string, Float32Array>();
    for (const [b, ids] of batch.ids.entries()) {
      const feeds = feedsOf({ ids: [ids], mask: [batch.mask[b]!] });
      const count = feeds.loss_rows!.data.length;
      const filled = {
        loss_rows: int64([count + 2], [...Array.from(feeds.loss_rows!.data, Number), 0, 0]),
        loss_labels: int64([count + 2], [...Array.from(feeds.loss_labels!.data, Number), 1, 1]),
        loss_weights: float32(
          [count + 2],
          Array.from({ length: count + 2 }, (_, i) => (i < count ? 1 : 0)),
        ),
      };
      const part = await runSession(session, { ...feeds, ...filled, ...trained, loss_denominator: denominator });
      for (const name of ["loss", ...parameters.map(({ gradient }) => gradient)])
        sums.set(
          name,
          floats(part[name]!.data).map((value, i) => value + (sums.get(name)?.[i] ?? 0)),
        );
    }
    for (const [name, sum] of sums) expectAllclose(sum, floats(whole[name]!.data), { rtolOfMax: 1e-5 }, name);
  });

  it("trains a tied embedding once, with the sum of both gradients", async () => {
    const one = slugOf("full");
    await using open = await openCase(one);
    // The graph asks only whether there is a head, so a tied base and an untied one serve here alike.
    const sourceWith = (hasHead: boolean) => ({
      ...open.source,
      has: (name: string) => (name === "lm_head.weight" ? hasHead : open.source.has(name)),
    });
    const tied = buildTrainGraph({ ...open, source: sourceWith(false) });
    const untied = buildTrainGraph({ ...open, source: sourceWith(true) });
    expect(untied.parameters.map(({ name }) => name)).toContain("lm_head.weight");
    expect(tied.parameters.map(({ name }) => name)).not.toContain("lm_head.weight");
    const { "lm_head.weight": _head, ...rest } = await parametersAt(one, open, "point");
    const shared = rest["model.embed_tokens.weight"]!;
    await using tiedSession = await open.open(tied.graph);
    await using untiedSession = await open.open(untied.graph);
    const a = await runSession(tiedSession, { ...feedsOf(batches[0]!), ...rest });
    const b = await runSession(untiedSession, { ...feedsOf(batches[0]!), ...rest, "lm_head.weight": shared });
    const [embedding, head] = ["model.embed_tokens.weight", "lm_head.weight"].map((name) =>
      floats(b[`grad.${name}`]!.data),
    );
    const sum = embedding!.map((value, i) => value + head![i]!);
    expectAllclose(floats(a["grad.model.embed_tokens.weight"]!.data), sum, { rtolOfMax: 1e-6 });
  });

  it("refuses a target that the model does not have", async () => {
    const one = slugOf("lora");
    await using open = await openCase(one);
    const { trained } = open;
    if (trained.kind !== "adapter") throw new Error("an adapter was wanted");
    const targets = [{ ...trained.targets[0]!, name: "layers.99.self_attn.q_proj" }];
    expect(() => buildTrainGraph({ ...open, trained: { ...trained, targets } })).toThrow(
      /no linear layer layers\.99\.self_attn\.q_proj of \d+×\d+/,
    );
  });

  it("uses the leading directions of a basis that has more", async () => {
    const one = slugOf("mo-sara");
    await using open = await openCase(one);
    const { trained } = open;
    if (trained.kind !== "adapter") throw new Error("an adapter was wanted");
    const narrow = { ...trained, targets: trained.targets.map((target) => ({ ...target, k: 2 })) };
    const point = await parametersAt(one, open, "point");
    const isLambda = (name: string): boolean => name.endsWith(".lambda");
    const leading = Object.entries(point).map(([name, tensor]) =>
      isLambda(name) ? [name, float32([1, 2], [...floats(tensor.data).subarray(0, 2)])] : [name, tensor],
    );
    const zeroed = Object.entries(point).map(([name, tensor]) =>
      isLambda(name)
        ? [name, { ...tensor, data: floats(tensor.data).map((value, i) => (i < 2 ? value : 0)) }]
        : [name, tensor],
    );
    await using narrowSession = await open.open(buildTrainGraph({ ...open, trained: narrow }).graph);
    await using wideSession = await open.open(buildTrainGraph(open).graph);
    const a = await runSession(narrowSession, { ...feedsOf(batches[0]!), ...Object.fromEntries(leading) });
    const b = await runSession(wideSession, { ...feedsOf(batches[0]!), ...Object.fromEntries(zeroed) });
    expectAllclose(floats(a.loss!.data), floats(b.loss!.data), { atol: 1e-6 });
    for (const name of Object.keys(a).filter((key) => key.endsWith(".v")))
      expectAllclose(floats(a[name]!.data), floats(b[name]!.data), { rtolOfMax: 1e-5 }, name);
  });
});
