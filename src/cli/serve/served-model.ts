/**
 * What a server has before it knows HTTP: the base, the adapters in --data, and the engine, which loads the model from
 * here on. `run-server.ts` puts the rest on it.
 */
import { resolve } from "node:path";
import type { Logger } from "pino";
import { type Base, openBase } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import type { EngineProcesses } from "../../engine/server/engine-processes.ts";
import type { SupervisedEngine } from "../../engine/server/supervisor.ts";
import { createLogger } from "../../log/logger.ts";
import { type AdapterStore, openAdapterStore } from "../../store/adapter-store.ts";
import { lockDirectory } from "../../store/directory-lock.ts";
import type { AnswerEnvironment } from "../shared/answer-environment.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { nameOfModel, resolveBase, shippedDemo } from "../shared/resolve-base.ts";
import { type ResolvedDraft, resolveServedDraft } from "../shared/resolve-draft.ts";
import { openServedEngine } from "./served-engine.ts";

type ServeConfig = ConfigOf<"serve">;

export interface ServedModel {
  /** As it is served. */
  readonly name: string;
  readonly base: Base;
  /** null: there is no draft model. */
  readonly draft: ResolvedDraft | null;
  readonly log: Logger;
  /** --data, absolute. */
  readonly storeDir: string;
  readonly store: AdapterStore;
  readonly engine: SupervisedEngine;
  /** What decides the bits of the engine's answers. */
  readonly environment: AnswerEnvironment;
}

/** Opens the model; the engine is not ready yet. @param processes gives the engine's processes @throws {AppError} */
export async function openServedModel(
  config: ServeConfig,
  processes: EngineProcesses,
  cleanup: Cleanup,
): Promise<ServedModel> {
  const model = config.model ?? shippedDemo().model;
  const baseDir = await resolveBase(model, config);
  const draft = await resolveServedDraft(config, baseDir);
  const log = createLogger({ level: config.logLevel, keys: config.apiKey.map(({ key }) => key) });
  const base = cleanup.use(await openBase(baseDir));
  const storeDir = resolve(config.data);
  cleanup.use(await lockDirectory(storeDir));
  const { maxAdapterBytes: maxBytes, keepGenerations } = config;
  const store = cleanup.use(await openAdapterStore(storeDir, { maxBytes, keepGenerations }));
  const parts = { base, store, log, storeDir, draft, processes };
  const { engine, environment } = await openServedEngine(config, parts, cleanup);
  return { name: config.servedModelName ?? nameOfModel(model), base, draft, log, storeDir, store, engine, environment };
}
