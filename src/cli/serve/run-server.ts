/**
 * Connects the parts of a server to a model: text → adapters → application → port. A signal stops them in reverse
 * order. This file only connects and waits.
 */
import type { Base } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import type { SupervisedEngine } from "../../engine/server/supervisor.ts";
import { AppError } from "../../errors.ts";
import { accessPolicyOf } from "../../http/access-policy.ts";
import type { AppContext, ServedBase } from "../../http/context.ts";
import { GenerationNames } from "../../http/generation-names.ts";
import { Residency } from "../../http/residency.ts";
import { InFlight } from "../../http/request/in-flight.ts";
import { Placements } from "../../placement/placements.ts";
import { AdapterFits } from "../../http/adapters/adapter-fits.ts";
import { adapterLabel } from "../../http/adapters/adapter-label.ts";
import { findAdapter, isCompatible } from "../../http/adapters/find-adapter.ts";
import { openRollouts } from "../../http/aliases/open-rollouts.ts";
import { InlineAdapters } from "../../http/completion/model/inline-adapters.ts";
import { ResponseStore } from "../../http/completion/responses/response-store.ts";
import { openReceiptIssuer } from "./receipt-issuer.ts";
import { openKeys } from "./open-keys.ts";
import { openLimits } from "./open-limits.ts";
import { openTraining } from "./training.ts";
import { openListener } from "./open-listener.ts";
import { addressOptions, openAdapterAddresses } from "./adapter-addresses.ts";
import { openSharedStore } from "./open-shared-store.ts";
import { refreshNamed } from "../../http/adapters/shared-names.ts";
import type { Tls } from "./certificate.ts";
import type { ServedModel } from "./served-model.ts";
import { openServedText } from "./served-text.ts";
import type { KeyRing } from "../../keys/key-ring.ts";
import { Metrics } from "../../metrics/metrics.ts";
import { qualifiedName } from "../../store/tenant.ts";
import { loadGenerationDefaults, loadUnheededNotice } from "../../tokenizer/files/generation-config.ts";
import { endTokensOf, NOTHING_ENDS } from "../../tokenizer/files/end-tokens.ts";
import type { TextFiles } from "../../tokenizer/files/text-files.ts";
import { directoryTexts } from "../../tokenizer/files/text-source.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { demoLine } from "./demo-line.ts";
import { readVersion } from "../shared/package-root.ts";
import { shippedDemo } from "../shared/resolve-base.ts";
import { watchAdapters } from "./watch-adapters.ts";
import { waitForSignal } from "../shared/shutdown.ts";
import { noteAdapters, noteCalls, noteDraft } from "./start-notices.ts";

type ServeConfig = ConfigOf<"serve">;

/** Largest request body: it holds an adapter of a request, and any prompt that a model can accept. */
const MAX_JSON_BYTES = 16 * 2 ** 20;

/** Serves the model until a signal. @param tls null: plain HTTP @returns the exit code @throws {AppError} */
export async function runServer(
  config: ServeConfig,
  model: ServedModel,
  tls: Tls | null,
  cleanup: Cleanup,
): Promise<number> {
  const isDemo = config.model === null;
  const adaptersDir = config.adapters ?? (isDemo ? shippedDemo().adapters : null);
  const { engine } = model;
  const context = await assemble(config, model, adaptersDir, cleanup);
  const listener = await openListener(config, tls, context, cleanup);
  const signal = waitForSignal();
  const isReady = await Promise.race([start(config, context, engine).then(() => true), signal.then(() => false)]);
  if (isReady) {
    process.stdout.write(`mosara listening on ${listener.url}\n`);
    noteAdapters(context, adaptersDir);
    if (isDemo) process.stderr.write(demoLine(listener.url, compatibleNames(context), !context.keys.isOpen));
  }
  context.log.info({ signal: await signal }, "stopping");
  const isIdle = await context.inFlight.drain(config.shutdownTimeout * 1000);
  if (isIdle) return 0;
  context.log.warn({ inFlight: context.inFlight.count }, "requests that still ran after --shutdown-timeout were ended");
  await engine.stop(0); // callers get their error before their connections close
  return 0;
}

/** Opens all parts but the port, while the engine loads the model. */
async function assemble(
  config: ServeConfig,
  model: ServedModel,
  adaptersDir: string | null,
  cleanup: Cleanup,
): Promise<AppContext> {
  const { name, base, log, storeDir } = model;
  const keys = await openKeys(config, log, cleanup);
  const receipts = await openReceiptIssuer(config, model);
  const { files, text } = await openServedText(base.dir, config, cleanup);
  const parts = connect(config, keys, model);
  cleanup.defer(() => parts.metrics.close());
  const addresses = addressOptions(config, base, log);
  const sharedStore = await openSharedStore(config, { ...parts, convertPeft: addresses.convertPeft }, cleanup);
  const adapters =
    adaptersDir === null
      ? null
      : await watchAdapters(adaptersDir, { ...parts, base }, { name, maxAdapterBytes: config.maxAdapterBytes });
  if (adapters) cleanup.use(adapters.directory);
  const served = await servedBase(config, base, name, files);
  await noteBase(log, base.dir, served);
  return {
    ...parts,
    sharedStore,
    rollouts: openRollouts({ ...parts, sharedStore }),
    addresses: openAdapterAddresses(addresses),
    limiter: await openLimits(config, parts, cleanup),
    version: await readVersion(),
    base: served,
    text,
    access: accessPolicyOf(config),
    responses: new ResponseStore(config.responseStoreBytes),
    inlineAdapters: new InlineAdapters(config.inlineCacheBytes),
    receipts,
    training: await openTraining(
      config,
      { ...parts, sharedStore, signature: base.signature, baseDir: base.dir, storeDir },
      cleanup,
    ),
    logsPrompts: config.logPrompts,
    limits: requestLimits(config),
    adapters,
  };
}

function requestLimits(config: ServeConfig): AppContext["limits"] {
  return {
    maxJsonBytes: MAX_JSON_BYTES,
    maxAdapterBytes: config.maxAdapterBytes,
    maxTrainingFileBytes: config.maxTrainingFileBytes,
    refusesUnknownFields: config.strictFields,
    verifiesUploads: config.verifyUploads,
    receipts: config.receipts,
  };
}

/** Connects the parts that listen to each other. */
function connect(config: ServeConfig, keys: KeyRing, { engine, store, log, name }: ServedModel) {
  const names = new GenerationNames();
  const placements = new Placements({
    engine,
    store,
    onMerged: ({ seconds }) => metrics.recordMerge(seconds),
    onFailed: (adapter, error) =>
      log.error({ err: error, adapter }, "the new version of a merged adapter could not be merged; it is served live"),
  });
  const residency = new Residency(engine, store, placements, (owned) => adapterLabel(keys, owned));
  const metrics = new Metrics({
    modelName: name,
    usesPrefixCache: !config.noPrefixCache,
    nameOfGeneration: (generation) => names.nameOf(generation),
    facts: () => ({
      live: store.count() - placements.numMerged,
      merged: placements.numMerged,
      storeBytes: store.totalBytes(),
      capacity: engine.limits()?.capacity ?? null,
      draftBytes: engine.limits()?.draft?.bytes ?? null,
      residency: residency.facts(),
    }),
  });
  engine.onStats((stats) => metrics.recordStep(stats));
  engine.onRestart(() => {
    metrics.recordRestart();
    log.error("an engine process died and is restarted");
  });
  const readiness = () => engine.readiness();
  return {
    keys,
    engine,
    store,
    log,
    names,
    residency,
    placements,
    metrics,
    readiness,
    inFlight: new InFlight(),
  };
}

/** Reports the engine's device and any problem with it, without details of the host. */
function logDevice({ log }: AppContext, engine: SupervisedEngine): void {
  const device = engine.limits()?.device;
  if (device === undefined || device.name === "cpu") return;
  log.info({ device }, "the engine runs on a device");
  if (device.attention !== "fused")
    log.warn(
      `the device's fused attention is wrong for this model, so it is computed ${device.attention === "plain" ? "by plain operators" : "step by step"}, which is slower`,
    );
  if (!device.isCacheResident)
    log.warn(
      "keys and values are copied to and from the device in every step, because it keeps nothing between two steps",
    );
}

/** Waits for the engine, then for the adapters that --merge names. @throws {AppError} */
async function start(config: ServeConfig, context: AppContext, engine: SupervisedEngine): Promise<void> {
  await engine.whenReady();
  logDevice(context, engine);
  noteCalls(context.log, context.text.formats, config.toolCallParser);
  noteDraft(context.log, engine.limits()?.draft ?? null);
  await context.training?.runner.start();
  for (const name of config.merge) {
    await refreshNamed(context, context.keys.operator, name);
    const record = findAdapter(context, context.keys.operator, name);
    if (!record || name.includes("@"))
      throw new AppError(
        "usage",
        `--merge names "${name}", which is not an adapter of this server. Its adapters: ${compatibleNames(context).slice(0, 20).join(", ") || "none"}.`,
      );
    await context.placements.merge(qualifiedName(record), record.generation);
  }
}

async function servedBase(config: ServeConfig, base: Base, name: string, files: TextFiles): Promise<ServedBase> {
  const defaults = await loadGenerationDefaults(base.dir);
  return {
    name,
    signature: base.signature,
    fits: new AdapterFits(base.signature),
    hiddenSize: base.manifest.config.hiddenSize,
    weights: base.manifest.weights,
    device: config.device,
    endIds: await servedEndIds(base, files),
    samplingDefaults: defaults,
    created: Math.floor(Date.now() / 1000),
  };
}

/**
 * Ids of the tokens that end an answer of this base: those of its manifest, and those of its text files as they are
 * now.
 */
async function servedEndIds({ dir, manifest }: Base, { tokenizer }: TextFiles): Promise<readonly number[]> {
  const tokens = await endTokensOf(await directoryTexts(dir), dir, manifest.config.vocabSize, tokenizer);
  return [...new Set([...manifest.endTokenIds, ...tokens.map(({ id }) => id)])];
}

async function noteBase(log: AppContext["log"], dir: string, { endIds }: ServedBase): Promise<void> {
  if (endIds.length === 0) log.warn(NOTHING_ENDS);
  const unheeded = await loadUnheededNotice(await directoryTexts(dir), dir);
  if (unheeded !== null) log.warn(unheeded);
}

/** Names of the first adapters that fit, for messages. */
function compatibleNames(context: AppContext): string[] {
  const records = context.store.first(1000);
  return records.filter((record) => isCompatible(context, record)).map(({ name }) => name);
}
