/** Reads the adapters that a request's fields name, in every server's spelling. */
import { AppError } from "../../../errors.ts";
import { switchedOff } from "../../../fields/adapter-fields.ts";
import { invalid } from "../../error-response.ts";
import type { SharedFields } from "../request-schema.ts";

/** An adapter's name, and the field that gave it. */
export interface NamedAdapter {
  readonly param: string;
  readonly name: string;
}

type AdapterFields = Partial<
  Pick<SharedFields, "adapter" | "adapter_id" | "lora" | "lora_name" | "lora_path" | "lora_request">
>;

/** The named adapters; they may all be the same. @throws {AppError} invalid_request, unsupported_parameter. */
export function namedAdapters(fields: AdapterFields): NamedAdapter[] {
  const names: readonly (readonly [string, string | null])[] = [
    ["adapter", typeof fields.adapter === "string" ? fields.adapter : null],
    ["adapter_id", fields.adapter_id ?? null],
    ["lora_name", fields.lora_name ?? null],
    ["lora_path", oneOf(fields.lora_path)],
    ["lora", ofLlamaCpp(fields.lora)],
    ["lora_request", ofRequest(fields.lora_request)],
  ];
  return names.flatMap(([param, name]) => (name === null ? [] : [{ param, name }]));
}

/** SGLang accepts an adapter for each prompt. Here all of them must be the same. */
function oneOf(path: AdapterFields["lora_path"]): string | null {
  const paths = Array.isArray(path) ? [...new Set(path)] : [path ?? null];
  if (paths.length <= 1) return paths[0] ?? null;
  throw invalid('"lora_path" names different adapters. Send a request for each of them.', "lora_path");
}

function ofLlamaCpp(lora: AdapterFields["lora"]): string | null {
  if (lora === null || lora === undefined || switchedOff.holds(lora, {})) return null;
  if (typeof lora === "string") return lora;
  throw new AppError(
    "unsupported_parameter",
    '"lora" is a list of numbers and scales, but adapters have names on this server. Send the name of an adapter.',
    { param: "lora" },
  );
}

function ofRequest(request: AdapterFields["lora_request"]): string | null {
  if (typeof request === "string") return request;
  return request?.lora_name ?? null;
}
