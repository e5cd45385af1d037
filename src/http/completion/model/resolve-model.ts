/**
 * Decides which model answers a request: the base, a stored adapter, a blend of several, or an adapter in the request.
 * A name of an adapter that does not exist or does not fit is an error. Nothing falls back to the base. Source:
 * docs/reference/http-api.md, "Models and adapters by name".
 */
import { decodeAdapter, generationOf } from "../../../adapter/adapter-file.ts";
import { type Card, assertFits } from "../../../adapter/adapter.ts";
import { AppError, quote } from "../../../errors.ts";
import type { SequenceRequest } from "../../../engine/engine.ts";
import type { Caller } from "../../../keys/caller.ts";
import type { AdapterLabel } from "../../../metrics/metric-spec.ts";
import type { Chosen } from "../../../rollout/rollouts.ts";
import { qualifiedName } from "../../../store/tenant.ts";
import { adapterLabel } from "../../adapters/adapter-label.ts";
import { refreshNamed } from "../../adapters/shared-names.ts";
import { adapterNameIn, findAdapter, findAlias, findGeneration, notFoundMessage } from "../../adapters/find-adapter.ts";
import type { AppContext } from "../../context.ts";
import { invalid } from "../../error-response.ts";
import { type BlendWeights, holdBlend } from "./blend.ts";
import type { InlineAdapter } from "./inline-adapters.ts";
import { isPresent } from "../is-present.ts";
import { namedAdapters } from "./named-adapters.ts";
import type { SharedFields } from "../request-schema.ts";
import { adapterNotFound, type Asker, type HeldAdapter, holdAdapter, holdRecord } from "./stored-adapter.ts";

interface AdapterObject {
  readonly data?: string | null;
  readonly blend?: BlendWeights | null;
  readonly sha256?: string | null;
}

type AdapterOf = NonNullable<SequenceRequest["adapter"]>;

/** The fields of a request that name the model. */
export type ModelFields = Pick<
  SharedFields,
  "model" | "adapter" | "adapter_id" | "lora" | "lora_name" | "lora_path" | "lora_request"
>;

/** The answering model, held until `release`, which may be called more than once. */
export interface Target {
  /** The name as the caller wrote it. */
  readonly model: string;
  /** Name of its adapter in the log; null: the base. */
  readonly adapterName: string | null;
  /** The stored generation that answers, as a client may name it; absent: no stored adapter answers alone. */
  readonly reference?: string;
  /** The alias that was named, and what it stood for. */
  readonly chosen?: Chosen;
  /** Name of its adapter in the metrics; null: the base. */
  readonly label: AdapterLabel | null;
  /** Its adapter in the usage of a tenant: a qualified name, `_inline`, `_blend`; empty: the base. */
  readonly usageName: string;
  readonly adapter: SequenceRequest["adapter"];
  /** Weights of the blended adapters; absent: it is not a blend. */
  readonly blend?: BlendWeights;
  /** Cards of its adapters; none: the base. */
  readonly cards: readonly Card[];
  /** Tokens that end its answers, in addition to the base's end tokens. */
  readonly endIds: readonly number[];
  readonly fingerprint: string;
  release(): void;
}

/**
 * @throws {AppError} model_not_found, adapter_not_found, adapter_incompatible, adapter_invalid, adapter_too_large,
 * adapter_unknown, not_blendable, invalid_request.
 */
export function resolveModel(context: AppContext, asker: Asker, fields: ModelFields): Target {
  const { caller } = asker;
  const { model, adapter } = fields;
  const byModel = adapterNamedBy(context, caller, model);
  const names = [...(byModel === null ? [] : [{ param: "model", name: byModel }]), ...namedAdapters(fields)];
  const [first] = names;
  const other = names.find(({ name }) => name !== first?.name);
  if (first && other)
    throw invalid(
      `"${first.param}" names the adapter ${quote(first.name)}, "${other.param}" names ${quote(other.name)}. Give one of them.`,
      other.param,
    );
  if (typeof adapter === "object" && adapter !== null) {
    if (first)
      throw invalid(
        `"${first.param}" names the adapter ${quote(first.name)} and "adapter" contains another adapter. Give one of them.`,
        "adapter",
      );
    return objectTarget(context, asker, model, adapter);
  }
  if (first) return storedTarget(context, model, holdAdapter(context, asker, first.name, first.param));
  return {
    model,
    adapterName: null,
    label: null,
    usageName: "",
    adapter: null,
    cards: [],
    endIds: [],
    fingerprint: fingerprint(context),
    release: () => {},
  };
}

/**
 * Makes the adapters that a request may name as new as --store-refresh says.
 * @throws {AppError} store_unavailable, store_damaged
 */
export async function refreshModel(
  context: AppContext,
  caller: Caller,
  fields: Pick<ModelFields, "model"> & Partial<ModelFields>,
): Promise<void> {
  if (!context.sharedStore) return;
  const { name } = context.base;
  const { model, adapter } = fields;
  const blend = typeof adapter === "object" && adapter !== null ? ((adapter as AdapterObject).blend ?? {}) : {};
  const named = [...namedAdapters(fields).map((one) => one.name), ...Object.keys(blend)];
  const texts = new Set(model === name ? named : [adapterNameIn(context, model), ...named]);
  await Promise.all(Array.from(texts, (text) => refreshNamed(context, caller, text)));
}

/**
 * Checks a name without holding what it names; null is the base.
 * @throws {AppError} model_not_found, adapter_not_found.
 */
export async function assertModelExists(context: AppContext, caller: Caller, model: string | null): Promise<void> {
  if (model !== null) await refreshModel(context, caller, { model });
  const name = model === null ? null : adapterNamedBy(context, caller, model);
  if (name !== null && !findAdapter(context, caller, name) && !findAlias(context, caller, name))
    throw adapterNotFound(name, "model");
}

/** The adapter that `model` names; null: the base. @throws {AppError} model_not_found. */
function adapterNamedBy(context: AppContext, caller: Caller, model: string): string | null {
  const { name } = context.base;
  if (model === name) return null;
  const named = adapterNameIn(context, model);
  if (named !== model || findAdapter(context, caller, model) || findAlias(context, caller, model)) return named;
  const message = model.includes("@")
    ? notFoundMessage(model)
    : `There is no model ${quote(model)} here. List them with GET /v1/models.`;
  throw new AppError("model_not_found", message, { param: "model" });
}

/** `adapter` as an object, which has exactly one of its keys. */
function objectTarget(context: AppContext, asker: Asker, model: string, adapter: object): Target {
  const { caller } = asker;
  const { data, blend, sha256 } = adapter as AdapterObject;
  const given = Object.entries({ data, blend, sha256 }).flatMap(([key, value]) => (isPresent(value) ? [key] : []));
  if (given.length > 1)
    throw invalid(`"adapter" has ${given.map((key) => `"${key}"`).join(" and ")}. Give one of them.`, "adapter");
  if (isPresent(blend)) return blendTarget(context, asker, model, blend);
  if (isPresent(data)) return inlineTarget(context, model, rememberedInline(context, caller, data));
  return hashTarget(context, caller, model, (sha256 ?? "").toLowerCase());
}

/** An adapter that this tenant has sent before, or that it sees in the store. Never another tenant's. */
function hashTarget(context: AppContext, caller: Caller, model: string, generation: string): Target {
  const known = context.inlineAdapters.find(caller.tenant, generation);
  const record = findGeneration(context, caller, generation);
  if (record) return storedTarget(context, model, holdRecord(context, record));
  if (known) return inlineTarget(context, model, known);
  throw new AppError(
    "adapter_unknown",
    `The server has no adapter ${generation} for this key, or has dropped it. Send it as "adapter": {"data": "<base64>"}. Later requests may then name its hash.`,
    { param: "adapter" },
  );
}

function storedTarget(context: AppContext, model: string, { record, chosen, release }: HeldAdapter): Target {
  const { name, generation, endTokenIds = [], card } = record;
  if (record.isEarlier !== true) context.residency.note(qualifiedName(record), generation);
  const target = {
    model,
    adapterName: name,
    reference: `${name}@${generation}`,
    ...(chosen ? { chosen } : {}),
    label: { ...adapterLabel(context.keys, record), generation },
    usageName: qualifiedName(record),
    adapter: { generation },
    cards: [card],
    endIds: endTokenIds,
  };
  return heldTarget(context, target, release);
}

function blendTarget(context: AppContext, asker: Asker, model: string, weights: BlendWeights): Target {
  const { adapter, cards, endIds, release } = holdBlend(context, asker, weights);
  // One label for all blends, because there is no bound on their number.
  const adapterName = "_blend";
  return heldTarget(
    context,
    {
      model,
      adapterName,
      label: { name: adapterName },
      usageName: adapterName,
      adapter,
      blend: weights,
      cards,
      endIds,
    },
    release,
  );
}

/** A target whose contents are in the store, held until `release`. */
function heldTarget(
  context: AppContext,
  target: Omit<Target, "release" | "fingerprint" | "adapter"> & { readonly adapter: AdapterOf },
  release: () => void,
): Target {
  context.engine.prepareAdapter(target.adapter); // the adapter loads while the prompt is encoded
  return { ...target, fingerprint: fingerprint(context, target.adapter.generation), release };
}

/** One label for all inline adapters, because they have no names. */
function inlineTarget(
  context: AppContext,
  model: string,
  { generation, bytes, card, endTokenIds }: InlineAdapter,
): Target {
  return {
    model,
    adapterName: "_inline",
    label: { name: "_inline" },
    usageName: "_inline",
    adapter: { generation, inlineBytes: bytes },
    cards: [card],
    endIds: endTokenIds,
    fingerprint: fingerprint(context, generation),
    release: () => {},
  };
}

/**
 * Decodes the adapter of a request, and remembers it for the tenant.
 * @throws {AppError} adapter_invalid, adapter_incompatible, adapter_too_large.
 */
function rememberedInline(context: AppContext, { tenant }: Caller, data: string): InlineAdapter {
  const { maxAdapterBytes } = context.limits;
  try {
    const bytes = decodeBase64(data, maxAdapterBytes);
    const { card, endTokenIds = [], ...adapter } = decodeAdapter(bytes, { maxBytes: maxAdapterBytes });
    assertFits({ ...adapter, card, endTokenIds }, context.base.signature);
    const inline = { generation: generationOf(bytes), bytes, card, endTokenIds };
    context.inlineAdapters.remember(tenant, inline);
    context.metrics.recordAdapterLoad("inline", "ok");
    return inline;
  } catch (error) {
    context.metrics.recordAdapterLoad("inline", "error");
    throw error;
  }
}

function decodeBase64(data: string, maxBytes: number): Uint8Array {
  if (data.length > Math.ceil(maxBytes / 3) * 4)
    throw new AppError("adapter_too_large", `The adapter in "adapter.data" is larger than ${maxBytes} bytes.`, {
      param: "adapter",
    });
  if (data === "" || data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data))
    throw new AppError("adapter_invalid", '"adapter.data" is not the base64 text of a .mosara file.', {
      param: "adapter",
    });
  return new Uint8Array(Buffer.from(data, "base64"));
}

function fingerprint({ base }: AppContext, generation?: string): string {
  return ["fp", base.signature.baseId.slice(0, 8), generation?.slice(0, 8)]
    .filter((part) => part !== undefined)
    .join("_");
}
