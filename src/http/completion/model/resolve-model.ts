/**
 * Decides which model answers a request: the base, a stored adapter, a blend of several, or an adapter in the request. A name of an adapter that does not exist
 * or does not fit is an error. Nothing falls back to the base. Source: docs/reference/http-api.md, "Models and adapters by name".
 */
import { decodeAdapter, generationOf } from "../../../adapter/adapter-file.ts";
import { type Card, assertFits } from "../../../adapter/adapter.ts";
import { AppError } from "../../../errors.ts";
import type { SequenceRequest } from "../../../engine/engine.ts";
import type { Caller } from "../../../keys/caller.ts";
import type { AdapterLabel } from "../../../metrics/metric-spec.ts";
import { qualifiedName } from "../../../store/tenant.ts";
import { adapterLabel } from "../../adapters/adapter-label.ts";
import { findAdapter } from "../../adapters/find-adapter.ts";
import type { AppContext } from "../../context.ts";
import { invalid } from "../../error-response.ts";
import { quoteName } from "../../quote-name.ts";
import { type BlendWeights, holdBlend } from "./blend.ts";
import { isPresent } from "../is-present.ts";
import { namedAdapters } from "./named-adapters.ts";
import type { SharedFields } from "../request-schema.ts";
import { adapterNotFound, holdAdapter } from "./stored-adapter.ts";

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

/** @throws {AppError} model_not_found, adapter_not_found, adapter_incompatible, adapter_invalid, adapter_too_large, not_blendable, invalid_request. */
export function resolveModel(context: AppContext, caller: Caller, fields: ModelFields): Target {
  const { model, adapter } = fields;
  const byModel = adapterNamedBy(context, caller, model);
  const names = [...(byModel === null ? [] : [{ param: "model", name: byModel }]), ...namedAdapters(fields)];
  const [first] = names;
  const other = names.find(({ name }) => name !== first?.name);
  if (first && other)
    throw invalid(
      `"${first.param}" names the adapter ${quoteName(first.name)}, "${other.param}" names ${quoteName(other.name)}. Give one of them.`,
      other.param,
    );
  if (typeof adapter === "object" && adapter !== null) {
    if (first)
      throw invalid(
        `"${first.param}" names the adapter ${quoteName(first.name)} and "adapter" contains another adapter. Give one of them.`,
        "adapter",
      );
    const { data, blend } = adapter as { data?: string | null; blend?: BlendWeights | null };
    if (isPresent(blend) && !isPresent(data)) return blendTarget(context, caller, model, blend);
    if (isPresent(data) && !isPresent(blend)) return inlineTarget(context, model, data);
    throw invalid('"adapter" has "data" and "blend". Give one of them.', "adapter");
  }
  if (first) return storedTarget(context, caller, model, first.name, first.param);
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

/** Checks a name without holding what it names; null is the base. @throws {AppError} model_not_found, adapter_not_found. */
export function assertModelExists(context: AppContext, caller: Caller, model: string | null): void {
  const name = model === null ? null : adapterNamedBy(context, caller, model);
  if (name !== null && findAdapter(context, caller, name) === undefined) throw adapterNotFound(name, "model");
}

/** The adapter that `model` names; null: the base. @throws {AppError} model_not_found. */
function adapterNamedBy(context: AppContext, caller: Caller, model: string): string | null {
  const { name } = context.base;
  if (model === name) return null;
  if (model.startsWith(`${name}:`)) return model.slice(name.length + 1);
  if (findAdapter(context, caller, model) !== undefined) return model;
  throw new AppError("model_not_found", `There is no model ${quoteName(model)} here. List them with GET /v1/models.`, {
    param: "model",
  });
}

function storedTarget(context: AppContext, caller: Caller, model: string, name: string, param: string): Target {
  const { record, release } = holdAdapter(context, caller, name, param);
  const { generation, endTokenIds = [], card } = record;
  context.residency.note(qualifiedName(record), generation);
  const target = {
    model,
    adapterName: name,
    label: adapterLabel(context.keys, record),
    usageName: qualifiedName(record),
    adapter: { generation },
    cards: [card],
    endIds: endTokenIds,
  };
  return heldTarget(context, target, release);
}

function blendTarget(context: AppContext, caller: Caller, model: string, weights: BlendWeights): Target {
  const { adapter, cards, endIds, release } = holdBlend(context, caller, weights);
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

function inlineTarget(context: AppContext, model: string, data: string): Target {
  const { maxAdapterBytes } = context.limits;
  try {
    const inlineBytes = decodeBase64(data, maxAdapterBytes);
    const adapter = decodeAdapter(inlineBytes, { maxBytes: maxAdapterBytes });
    assertFits(adapter, context.base.signature);
    const generation = generationOf(inlineBytes);
    context.metrics.recordAdapterLoad("inline", "ok");
    // One label for all inline adapters, because they have no names.
    return {
      model,
      adapterName: "_inline",
      label: { name: "_inline" },
      usageName: "_inline",
      adapter: { generation, inlineBytes },
      cards: [adapter.card],
      endIds: adapter.endTokenIds ?? [],
      fingerprint: fingerprint(context, generation),
      release: () => {},
    };
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
