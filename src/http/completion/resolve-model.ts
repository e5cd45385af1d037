/**
 * Decides which model answers a request: the base, a stored adapter or an adapter in the request. A name of an adapter that does not exist
 * or does not fit is an error. Nothing falls back to the base. Source: docs/reference/http-api.md, "Models and adapters by name".
 */
import { decodeAdapter, generationOf } from "../../adapter/adapter-file.ts";
import { assertFits } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import type { SequenceRequest } from "../../engine/engine.ts";
import { findAdapter } from "../adapters/find-adapter.ts";
import type { AppContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { namedAdapters } from "./named-adapters.ts";
import type { SharedFields } from "./request-schema.ts";

/** The fields of a request that name the model. */
export type ModelFields = Pick<
  SharedFields,
  "model" | "adapter" | "adapter_id" | "lora" | "lora_name" | "lora_path" | "lora_request"
>;

/** The answering model, held until `release`, which may be called more than once. */
export interface Target {
  /** The name as the caller wrote it. */
  readonly model: string;
  /** Adapter label for the metrics; null: the base. */
  readonly adapterName: string | null;
  readonly adapter: SequenceRequest["adapter"];
  /** Tokens that end its answers, in addition to the base's end tokens. */
  readonly endIds: readonly number[];
  readonly fingerprint: string;
  release(): void;
}

/** @throws {AppError} model_not_found, adapter_not_found, adapter_incompatible, adapter_invalid, adapter_too_large, invalid_request. */
export function resolveModel(context: AppContext, fields: ModelFields): Target {
  const { model, adapter } = fields;
  const byModel = adapterNamedBy(context, model);
  const names = [...(byModel === null ? [] : [{ param: "model", name: byModel }]), ...namedAdapters(fields)];
  const [first] = names;
  const other = names.find(({ name }) => name !== first?.name);
  if (first && other)
    throw invalid(
      `"${first.param}" names the adapter ${quote(first.name)}, "${other.param}" names ${quote(other.name)}. Give one of them.`,
      other.param,
    );
  if (typeof adapter === "object" && adapter !== null) {
    if (!first) return inlineTarget(context, model, adapter.data);
    throw invalid(
      `"${first.param}" names the adapter ${quote(first.name)} and "adapter" brings another one. Give one of them.`,
      "adapter",
    );
  }
  if (first) return storedTarget(context, model, first.name, first.param);
  return { model, adapterName: null, adapter: null, endIds: [], fingerprint: fingerprint(context), release: () => {} };
}

/** The adapter that `model` names; null: the base. @throws {AppError} model_not_found. */
function adapterNamedBy(context: AppContext, model: string): string | null {
  const { name } = context.base;
  if (model === name) return null;
  if (model.startsWith(`${name}:`)) return model.slice(name.length + 1);
  if (findAdapter(context, model) !== undefined) return model;
  throw new AppError("model_not_found", `There is no model ${quote(model)} here. List them with GET /v1/models.`, {
    param: "model",
  });
}

function storedTarget(context: AppContext, model: string, name: string, param: string): Target {
  const record = findAdapter(context, name);
  if (!record)
    throw new AppError("adapter_not_found", `There is no adapter ${quote(name)}. List them with GET /v1/adapters.`, {
      param,
    });
  const misfit = context.base.fits.misfitOf(record);
  if (misfit) throw new AppError(misfit.code, misfit.message);
  const { generation } = record;
  context.placements.follow(name, generation);
  context.store.contents.acquire(generation);
  context.residency.note(name, generation);
  context.engine.prepareAdapter(generation); // the adapter loads while the prompt is encoded
  let isHeld = true;
  const release = () => {
    if (isHeld) context.store.contents.release(generation);
    isHeld = false;
  };
  const endIds = record.endTokenIds ?? [];
  return {
    model,
    adapterName: name,
    adapter: { generation },
    endIds,
    fingerprint: fingerprint(context, generation),
    release,
  };
}

function inlineTarget(context: AppContext, model: string, data: string): Target {
  const { maxAdapterBytes } = context.limits;
  try {
    const inlineBytes = decodeBase64(data, maxAdapterBytes);
    const adapter = decodeAdapter(inlineBytes, { maxBytes: maxAdapterBytes });
    assertFits(adapter, context.base.signature);
    const generation = generationOf(inlineBytes);
    context.metrics.recordAdapterLoad("inline", "ok");
    // One label for all inline adapters, because nobody chose a name for them.
    return {
      model,
      adapterName: "_inline",
      adapter: { generation, inlineBytes },
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

function quote(name: string): string {
  return JSON.stringify(name.length <= 140 ? name : `${name.slice(0, 140)}…`);
}
