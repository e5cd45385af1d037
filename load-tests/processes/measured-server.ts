/**
 * The server that a scenario of clients measures: our server on the random checkpoint, or the server that `--url`
 * names.
 */
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import { AppError } from "../../src/errors.ts";
import type { Target } from "../client/stream.ts";
import type { RemoteServer } from "../options.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";
import type { BenchContext } from "../scenario.ts";
import { BASE_NAME, startServer } from "./server-process.ts";
import { weightName } from "../inputs/work-folder.ts";

export interface MeasuredServer {
  readonly target: Target;
  /** Ids of prompts lie below. */
  readonly vocabSize: number;
  /** Names of the adapters that it has. */
  readonly adapters: readonly string[];
  /** For the names of figures. */
  readonly name: string;
}

/** Ids that every vocabulary has. */
const FOREIGN_VOCAB = 256;

/** Calls `use` with the server, once for `--url`, else for every format. @param numAdapters that ours gets */
export async function withServers<T>(
  context: BenchContext,
  numAdapters: number,
  use: (server: MeasuredServer) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  const { options, folder, note } = context;
  if (options.remote) return await use(await remoteServer(options.remote));
  const all: T[] = [];
  for (const weights of options.weights) {
    const baseDir = await folder.base({ weights, targets: ["q_proj", "v_proj"] });
    await folder.withScratch(async (scratch) => {
      await using server = await startServer(baseDir, scratch, options.numThreads);
      await using base = await openBase(baseDir);
      const adapters = Array.from({ length: numAdapters }, (_, i) => `adapter-${i}`);
      for (const [i, name] of adapters.entries())
        await server.putAdapter(name, encodeAdapter(randomAdapter(base.manifest, i + 1)));
      const name = weightName(weights);
      note(`measuring a server on ${name}`);
      const target = { url: server.url, model: BASE_NAME };
      all.push(...(await use({ target, vocabSize: base.manifest.config.vocabSize, adapters, name })));
    });
  }
  return all;
}

async function remoteServer({ url, model, adapters, api, apiKey }: RemoteServer): Promise<MeasuredServer> {
  const headers: Record<string, string> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const target = { url, model: model ?? (await firstModel(url, headers)), api, headers };
  return { target, vocabSize: FOREIGN_VOCAB, adapters, name: target.model };
}

async function firstModel(url: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const wanted = `--url ${url}: wanted its list of models`;
  const response = await fetch(new URL("/v1/models", url), { headers }).catch((cause: unknown) => {
    throw new AppError("usage", `${wanted}, found no server there. Start it, or correct the address.`, { cause });
  });
  const list = response.ok ? ((await response.json()) as { data?: readonly { id?: string }[] }) : {};
  const id = list.data?.[0]?.id;
  if (id !== undefined) return id;
  throw new AppError("usage", `${wanted}, it answered ${response.status}. Name one with --model.`);
}
