/** The engines that compute answers again. Receipts with equal settings share an engine. */
import { type Base, openBase } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import type { SupervisedEngine } from "../../engine/server/supervisor.ts";
import { AppError } from "../../errors.ts";
import { baseDifferences, draftDifferences, hostDifferences } from "../../receipt/environment-differences.ts";
import type { AnyReceipt } from "../../receipt/read-receipt.ts";
import { replayReceipt } from "../../receipt/replay-receipt.ts";
import type { Statement } from "../../receipt/receipt.ts";
import type { Finding } from "../../receipt/verify-receipt.ts";
import { answerEnvironment, draftFacts } from "../shared/answer-environment.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { startCommandEngine } from "../shared/eval-engine.ts";
import { resolveBase } from "../shared/resolve-base.ts";
import { type ResolvedDraft, resolveDraft } from "../shared/resolve-draft.ts";
import { adapterContents } from "./adapter-contents.ts";

type ReplayConfig = ConfigOf<"replay">;

export interface Replayer {
  /** @throws {AppError} */
  replay(receipt: AnyReceipt): Promise<readonly Finding[]>;
}

/** `cleanup` stops the engines. @throws {AppError} usage */
export async function openReplayer(
  config: ReplayConfig,
  receipts: readonly AnyReceipt[],
  cleanup: Cleanup,
): Promise<Replayer> {
  const { model } = config;
  if (model === null)
    throw new AppError("usage", '"replay" needs --model <dir> to compute the answer, or --verify-only.');
  if (receipts.some(({ evidence }) => evidence === null))
    throw new AppError(
      "usage",
      'The short form of a receipt has only hashes, so nothing can be computed again. Ask for the long form with "mosara_receipt": true, or add --verify-only.',
    );
  const base = cleanup.use(await openBase(await resolveBase(model, config)));
  const { draftModel } = config;
  const draft = draftModel === null ? null : await resolveDraft(draftModel, base.dir, config);
  return new EngineReplayer(config, { base, draft }, receipts, cleanup);
}

interface Models {
  readonly base: Base;
  /** null: none is given. */
  readonly draft: ResolvedDraft | null;
}

/** The settings of a receipt's engine that decide bits. */
interface EngineSettings {
  readonly threads: number;
  readonly speculativeTokens: number;
  readonly kvCacheDtype: "auto" | "int8";
  /** null: no model guesses tokens. */
  readonly draftDir: string | null;
}

class EngineReplayer implements Replayer {
  readonly #config: ReplayConfig;
  readonly #base: Base;
  readonly #draft: ResolvedDraft | null;
  readonly #receipts: readonly AnyReceipt[];
  readonly #cleanup: Cleanup;
  /** Engines, by the settings that they are started with. */
  readonly #engines = new Map<string, Promise<SupervisedEngine>>();
  #lastMerged: Promise<unknown> = Promise.resolve();
  /** Environments, by the number of threads. */
  readonly #environments = new Map<number, ReturnType<typeof answerEnvironment>>();

  constructor(config: ReplayConfig, { base, draft }: Models, receipts: readonly AnyReceipt[], cleanup: Cleanup) {
    this.#config = config;
    this.#base = base;
    this.#draft = draft;
    this.#receipts = receipts;
    this.#cleanup = cleanup;
  }

  async replay({ statement, evidence }: AnyReceipt): Promise<readonly Finding[]> {
    if (evidence === null) throw new Error("internal: a receipt without evidence cannot be replayed");
    const numThreads = this.#numThreads(statement);
    const here = await this.#environmentFor(numThreads);
    const draft = this.#draft && draftFacts(this.#draft.manifest);
    const otherBase = [...baseDifferences(statement, here.base), ...draftDifferences(statement, draft)];
    if (otherBase.length > 0) return otherBase.map(({ part, text }) => ({ part, isGood: false, text }));
    const { adapter } = statement;
    const engine = await this.#engineFor(statement);
    const ref = adapter && { generation: adapter.generation, ...(adapter.blend ? { blend: adapter.blend } : {}) };
    const run = () => replayReceipt(engine, statement, evidence, ref);
    const replayed = await (adapter?.placement === "merged" ? this.#merged(engine, adapter.generation, run) : run());
    const isSame = replayed.every(({ isGood }) => isGood);
    return [...hostFindings(hostDifferences(statement, here), isSame), ...replayed];
  }

  /** Runs merges one after another, so that only one generation is merged at a time. */
  #merged<T>(engine: SupervisedEngine, generation: string, run: () => Promise<T>): Promise<T> {
    const result = this.#lastMerged.then(async () => {
      await engine.merge(generation);
      const done = await run();
      await engine.unmerge(generation);
      return done;
    });
    this.#lastMerged = result.catch(() => undefined);
    return result;
  }

  /** Read once: it covers every file of the program. */
  #environmentFor(numThreads: number): ReturnType<typeof answerEnvironment> {
    const { manifest } = this.#base;
    const known = this.#environments.get(numThreads);
    const environment = known ?? answerEnvironment(manifest, { device: this.#config.device, numThreads });
    this.#environments.set(numThreads, environment);
    return environment;
  }

  #numThreads({ machine }: Statement): number {
    return this.#config.threads ?? machine.threads;
  }

  #engineFor(statement: Statement): Promise<SupervisedEngine> {
    const settings: EngineSettings = {
      threads: this.#numThreads(statement),
      speculativeTokens: statement.sampling.speculative_tokens,
      kvCacheDtype: statement.machine.kv_cache_dtype ?? "auto",
      draftDir: statement.sampling.draft_model === undefined ? null : (this.#draft?.dir ?? null),
    };
    const key = JSON.stringify(settings);
    const engine = this.#engines.get(key) ?? this.#start(settings);
    this.#engines.set(key, engine);
    return engine;
  }

  async #start(settings: EngineSettings): Promise<SupervisedEngine> {
    const { adapter: files, data } = this.#config;
    const adapters = this.#receipts.map(({ statement }) => statement.adapter);
    const contents = await adapterContents(adapters, files, data);
    const options = { ...this.#config, ...settings, maxModelLen: null };
    return await startCommandEngine(options, this.#base, contents, this.#cleanup);
  }
}

/** The findings about the host. A difference of hosts alone is no fault, so every finding is good. */
function hostFindings(differences: ReturnType<typeof hostDifferences>, isSame: boolean): readonly Finding[] {
  const base: Finding = { part: "base", isGood: true, text: "the same" };
  if (differences.length === 0)
    return [base, { part: "host", isGood: true, text: "the same program and CPU features" }];
  const text = (one: string): string => (isSame ? `${one}, without effect` : `possible cause: ${one}`);
  return [base, ...differences.map((one) => ({ part: one.part, isGood: true, text: text(one.text) }))];
}
