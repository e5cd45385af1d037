/**
 * From a checkpoint or a GGUF file on disk to the first token of an answer: a server's first start, which builds the
 * base, and its later starts. A GGUF file is also loaded by llama.cpp's server. The adapter bases of the default
 * targets are part of the build.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isGgufFile } from "../../src/formats/gguf/gguf-file.ts";
import { type Target, streamRequest } from "../client/stream.ts";
import type { BenchOptions } from "../options.ts";
import { startLlama } from "../peers/llama-server.ts";
import { llamaTools } from "../peers/llama-tools.ts";
import { BASE_NAME, startServer } from "../processes/server-process.ts";
import { type Figure, ratio } from "../report/figures.ts";
import { type Variant, measureInTurns } from "../rounds.ts";
import type { BenchContext, Scenario } from "../scenario.ts";

const CONTEXT_TOKENS = 1024;
const PROMPT_IDS = [50, 60, 70, 80, 90, 100];

export const firstTokenScenario: Scenario = {
  name: "first-token",
  summary:
    "Time from a file (--trained, a checkpoint or .gguf) to the first token, at the first start and later. Also ÷ llama.cpp.",
  run: async (context) => await context.folder.withScratch((scratch) => measure(context, scratch)),
};

async function measure({ options, folder, note }: BenchContext, scratch: string): Promise<readonly Figure[]> {
  const model = options.trainedDir ?? (await folder.checkpoint());
  const cache = join(scratch, "cache");
  const ours = async (): Promise<number> => await untilFirstToken(() => serve(model, scratch, cache, options));
  const variants: Variant[] = [
    {
      name: "first",
      measure: async () => {
        await rm(cache, { recursive: true, force: true });
        return await ours();
      },
    },
    { name: "later", measure: ours },
  ];
  const tools = (await isGgufFile(model))
    ? await llamaTools(join(options.workDir, "llama"), !options.isSmoke, note)
    : null;
  if (tools !== null)
    variants.push({
      name: "llama.cpp",
      measure: async () =>
        await untilFirstToken(() =>
          startLlama(tools, {
            modelPath: model,
            loraPaths: [],
            numThreads: options.numThreads,
            numSlots: 1,
            contextTokens: CONTEXT_TOKENS,
          }),
        ),
    });
  note(`measuring starts with ${model}`);
  const of = await measureInTurns(variants, options.numRounds);
  const one = (what: string, name: string, atMost?: number): Figure => ({
    what,
    unit: "s",
    samples: of(name),
    ...(atMost === undefined ? {} : { goal: { atMost } }),
  });
  return [
    one("first start, with the build, to the first token", "first", 23),
    one("later start to the first token", "later", 3),
    ...(tools === null
      ? []
      : [
          one("llama.cpp's start to the first token", "llama.cpp"),
          ratio("later start ÷ llama.cpp's", of("later"), of("llama.cpp")),
        ]),
  ];
}

interface Started extends AsyncDisposable {
  readonly target: Target;
}

async function serve(
  model: string,
  scratch: string,
  cache: string,
  { numThreads }: Pick<BenchOptions, "numThreads">,
): Promise<Started> {
  const flags = ["--max-model-len", String(CONTEXT_TOKENS)];
  const server = await startServer(model, scratch, numThreads, flags, { XDG_CACHE_HOME: cache });
  return {
    target: { url: server.url, model: BASE_NAME },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Seconds from the start of a server's process to the first token of its first answer. */
async function untilFirstToken(start: () => Promise<Started>): Promise<number> {
  const dueAt = performance.now();
  await using server = await start();
  const request = { promptIds: PROMPT_IDS, maxTokens: 1, adapter: null };
  const { firstTokenMs, error } = await streamRequest(server.target, request, { dueAt });
  if (error !== null) throw new Error(`The first request failed: ${error.status} ${error.code}, ${error.message}`);
  return firstTokenMs / 1000;
}
