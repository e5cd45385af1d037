/**
 * Loads an adapter from a file on the server or from an address, and unloads one, as the routes of other servers ask
 * for it. Only the --adapters directory and the addresses of --adapter-source are read.
 */
import { decodeAdapter, generationOf } from "../../adapter/adapter-file.ts";
import { assertFits } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";
import type { PutResult } from "../../store/adapter-names.ts";
import { assertAdapterName } from "../../store/adapter-record.ts";
import { ADAPTER_EXTENSION, resolveInside } from "../../store/directory/directory-files.ts";
import type { Precondition } from "../../store/precondition.ts";
import { SHARED } from "../../store/tenant.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { deleteAdapter, notePut } from "./change-adapter.ts";
import { findAdapter } from "./find-adapter.ts";
import { requestFacts } from "./log-change.ts";
import { refreshNamed, writerOf } from "./shared-names.ts";

export interface LoadRequest {
  readonly name: string;
  /** A path below --adapters, also as `file://…`, or an address below --adapter-source. */
  readonly path: string;
  /** Whether an adapter of this name may be replaced. */
  readonly mayReplace: boolean;
}

/** present: the name had this content before. */
export type Loaded = "added" | "replaced" | "present";

/**
 * The adapter is shared by all tenants.
 * @throws {AppError} invalid_request, adapter_not_found, adapter_invalid, adapter_incompatible, store_unavailable
 */
export async function loadSharedAdapter(
  context: AppContext,
  c: RequestContext,
  { name, path, mayReplace }: LoadRequest,
): Promise<Loaded> {
  assertAdapterName(name);
  if (name === context.base.name)
    throw invalid(`"${name}" is the name of the served model. Choose another name.`, "lora_name");
  const { generation, put } = await findAdapterAt(context, path);
  await refreshNamed(context, c.get("caller"), name);
  const own = context.store.namesOf(c.get("tenant")).get(name);
  const loaded = own ?? context.store.namesOf(SHARED).get(name);
  if (loaded && (own || !mayReplace)) {
    // Some callers load an adapter before every use, or again after a timeout, although it is already loaded.
    if (loaded.generation === generation) return "present";
    // A tenant's own adapter would hide a shared one.
    const remedy = own
      ? `It is the tenant's own: delete it with DELETE /v1/adapters/${name}, or choose another name.`
      : 'Set "load_inplace" to true to replace it.';
    throw invalid(`The lora adapter '${name}' has already been loaded with other content. ${remedy}`, "lora_name");
  }
  const result = await put(name, mayReplace ? {} : { ifNoneMatch: "*" });
  context.metrics.recordAdapterLoad("directory", "ok");
  notePut(context, result, requestFacts(c));
  return result.outcome === "created" ? "added" : result.outcome === "unchanged" ? "present" : "replaced";
}

/** @throws {AppError} adapter_not_found, insufficient_scope */
export async function unloadAdapter(context: AppContext, c: RequestContext, name: string): Promise<void> {
  await refreshNamed(context, c.get("caller"), name);
  const record = findAdapter(context, c.get("caller"), name);
  if (!record)
    throw new AppError("adapter_not_found", `The lora adapter '${name.slice(0, 140)}' cannot be found.`, {
      param: "lora_name",
    });
  await deleteAdapter(context, c, { record, text: name });
}

/** The content that a path or an address names, checked to fit the base, and the way in which it becomes an adapter. */
async function findAdapterAt(
  context: AppContext,
  path: string,
): Promise<{ generation: string; put: (name: string, precondition: Precondition) => Promise<PutResult> }> {
  const local = localPath(path);
  if (local !== null) {
    const { directory, path: found, generation } = await findFile(context, local);
    return { generation, put: (name, precondition) => directory.importFile(found, { name, precondition }) };
  }
  if (context.addresses === null)
    throw invalid(
      "This server loads no adapters from addresses. Start it with --adapter-source, or upload the adapter.",
      "lora_path",
    );
  const bytes = await context.addresses.read(path);
  const adapter = decodeAdapter(bytes, { maxBytes: context.limits.maxAdapterBytes });
  assertFits(adapter, context.base.signature);
  const writer = writerOf(context, SHARED);
  return {
    generation: generationOf(bytes),
    put: (name, precondition) => writer.put(name, { bytes, adapter }, precondition),
  };
}

/** The path on this machine that a text means; null: it is an address. */
function localPath(text: string): string | null {
  if (!/^[a-z0-9]+:\/\//i.test(text)) return text;
  return /^file:\/\/\//i.test(text) ? text.slice("file://".length) : null;
}

/**
 * The file or PEFT directory that `path` names below the --adapters directory, checked to fit the base. `.mosara` may
 * be omitted.
 */
async function findFile({ adapters, base, limits }: AppContext, path: string) {
  if (adapters === null)
    throw invalid(
      "This server has no --adapters directory to load from. Upload with PUT /v1/adapters/{name}.",
      "lora_path",
    );
  const { root, directory } = adapters;
  const found = await resolveInside(root, path).catch((error: unknown) => {
    const isMissing = error instanceof AppError && error.code === "adapter_not_found";
    if (!isMissing || path.endsWith(ADAPTER_EXTENSION)) throw error;
    return resolveInside(root, `${path}${ADAPTER_EXTENSION}`);
  });
  const bytes = await directory.read(found.path);
  assertFits(decodeAdapter(bytes, { maxBytes: limits.maxAdapterBytes }), base.signature);
  return { directory, path: found.path, generation: generationOf(bytes) };
}
