/**
 * An adapter merged into the weights of an engine of its own, compared with a server whose base has no adapter
 * operators: tokens/s of 16 clients, the engine's memory, and the time until it serves.
 */
import { join } from "node:path";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import { planRequests } from "../client/draw.ts";
import { runClosedLoop } from "../client/load.ts";
import { requireAnswers, summarize } from "../client/summary.ts";
import { type BenchOptions, fewRounds } from "../options.ts";
import { childrenOf, memoryOf } from "../processes/process-memory.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { measureInTurns } from "../rounds.ts";
import type { Scenario } from "../scenario.ts";
import { BASE_NAME, type Server, startServer } from "../processes/server-process.ts";

const NUM_CLIENTS = 16;
const PROMPT_TOKENS = 16;
const ADAPTER = "merged";

export const mergedScenario: Scenario = {
  name: "merged",
  isStandard: true,
  summary: "Tokens/s of 16 clients on a merged adapter ÷ on a bare base. Memory and start of the merged engine.",
  run: async ({ folder, options, note }) => {
    const [weights] = options.weights;
    if (!weights) return [];
    const bareDir = await folder.base({ weights, targets: "none" });
    const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
    return await folder.withScratch(async (scratch) => {
      await using bare = await startServer(bareDir, join(scratch, "bare"), options.numThreads);
      await using server = await startServer(baseDir, join(scratch, "merged"), options.numThreads);
      await using base = await openBase(baseDir);
      await server.putAdapter(ADAPTER, encodeAdapter(randomAdapter(base.manifest, 1)));
      note("merging");
      const seconds = await merge(server);
      const [live = 0, merged = 0] = childrenOf(server.pid).map((pid) => memoryOf(pid).residentBytes / 1e6);
      return [
        ...(await measureSpeed(bare, server, options)),
        { what: "time to merge, start and compare", unit: "s", samples: [seconds] },
        { what: "memory of the merged engine", unit: "MB", samples: [merged] },
        { what: "memory of the live engine", unit: "MB", samples: [live] },
      ];
    });
  },
};

async function merge(server: Server): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${server.url}/v1/adapters/${ADAPTER}/placement`, {
    method: "POST",
    body: JSON.stringify({ placement: "merged" }),
  });
  if (!response.ok) throw new Error(`merging answered ${response.status}: ${await response.text()}`);
  await response.text();
  return (performance.now() - startedAt) / 1000;
}

async function measureSpeed(bare: Server, merged: Server, options: BenchOptions): Promise<Figure[]> {
  let seed = 1;
  const variant = (name: string, { url }: Server, model: string) => {
    const run = async (maxTokens: number): Promise<number> => {
      const requests = planRequests(
        {
          promptTokens: { kind: "fixed", tokens: PROMPT_TOKENS },
          answerTokens: { kind: "fixed", tokens: maxTokens },
          adapters: { kind: "none" },
          vocabSize: options.shape.vocab,
          seed: seed++,
        },
        NUM_CLIENTS,
      );
      return summarize(requireAnswers(await runClosedLoop({ url, model }, requests, NUM_CLIENTS))).tokensPerSecond;
    };
    return { name, measure: () => run(options.numTokens), warmUp: () => run(2) };
  };
  const of = await measureInTurns(
    [variant("bare", bare, BASE_NAME), variant("merged", merged, ADAPTER)],
    fewRounds(options, 4),
  );
  return [
    ratio("merged ÷ bare base, 16 clients", of("merged"), of("bare"), { atLeast: 0.98, atMost: 1.02 }, "merged"),
    { what: "16 clients on the bare base", unit: "tokens/s", samples: of("bare") },
    { what: "16 clients on the merged adapter", unit: "tokens/s", samples: of("merged") },
  ];
}
