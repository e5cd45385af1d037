/**
 * Adapters at addresses outside of this machine, for `lora_path`: a `.mosara` file or a PEFT directory in a bucket or
 * on a web server, or a repository of the Hub. Only addresses below those of --adapter-source are read, and redirects
 * of web servers and buckets are refused. Otherwise a caller could make the server ask other machines of its network.
 */
import { realpath } from "node:fs/promises";
import { parse } from "node:path";
import type { Logger } from "pino";
import type { PeftDirectory } from "../../adapter/peft.ts";
import type { Base } from "../../base/base.ts";
import type { ConfigOf } from "../../config/commands.ts";
import { PEFT_CONFIG, PEFT_TENSORS, PEFT_TEXTS } from "../../adapter/peft-files.ts";
import { AppError, quote } from "../../errors.ts";
import type { AdapterAddresses } from "../../http/context.ts";
import { fetchFromHub, type HubReporter } from "../../hub/fetch-from-hub.ts";
import { parseHubName } from "../../hub/hub-name.ts";
import { HubUnreachable } from "../../hub/hub-request.ts";
import { hubSettings } from "../../hub/hub-settings.ts";
import type { ObjectStore } from "../../object-store/object-store.ts";
import { openObjects } from "../../object-store/open-objects.ts";
import { RequestPolicy } from "../../object-store/request-policy.ts";
import { peftConverter } from "../shared/peft-converter.ts";
import {
  ADAPTER_EXTENSION,
  MAX_PEFT_CONFIG_BYTES,
  MAX_PEFT_TEXT_BYTES,
  readPeftFiles,
} from "../../store/directory/directory-files.ts";

export interface AdapterAddressOptions {
  /** Addresses below which adapters may be read. */
  readonly allowed: readonly string[];
  readonly maxAdapterBytes: number;
  readonly timeoutMs: number;
  readonly convertPeft: (files: PeftDirectory) => Promise<Uint8Array>;
}

const SILENT: HubReporter = { note: () => {}, progress: () => {} };

/** The options of a server. */
export function addressOptions(
  config: Pick<ConfigOf<"serve">, "adapterSource" | "maxAdapterBytes" | "storeTimeout">,
  base: Base,
  log: Logger,
): AdapterAddressOptions {
  return {
    allowed: config.adapterSource,
    maxAdapterBytes: config.maxAdapterBytes,
    timeoutMs: config.storeTimeout * 1000,
    convertPeft: peftConverter(base, (path, notice) => log.warn({ path }, notice)),
  };
}

/** @returns null where no address is allowed */
export function openAdapterAddresses(options: AdapterAddressOptions): AdapterAddresses | null {
  if (options.allowed.length === 0) return null;
  const allowed = options.allowed.map((address) => address.replace(/\/+$/, ""));
  return {
    read: async (text) => {
      const address = cleanAddress(text);
      if (!allowed.some((one) => isBelow(address, one)))
        throw invalidPath(`${text} is not below an address of --adapter-source: ${allowed.join(", ")}.`);
      return await (address.startsWith("hf:") ? readFromHub(address, options) : readObject(address, options));
    },
  };
}

/** The address without ways around a comparison. @throws {AppError} invalid_request */
function cleanAddress(text: string): string {
  if (
    !/^(hf|s3|https?):\/\/[\w.:@/~+-]+$/.test(text) ||
    /(^|\/)\.{1,2}(\/|$)/.test(text) ||
    /^https?:\/\/[^/]*@/.test(text)
  )
    throw invalidPath(
      `${quote(text)} is no address of an adapter. Write hf://owner/name@revision, s3://bucket/path or https://host/path, without a query.`,
    );
  return text.replace(/\/+$/, "");
}

const isBelow = (address: string, allowed: string): boolean =>
  address === allowed ||
  address.startsWith(`${allowed}/`) ||
  (allowed.startsWith("hf:") && address.startsWith(`${allowed}@`));

async function readObject(address: string, { maxAdapterBytes, timeoutMs, convertPeft }: AdapterAddressOptions) {
  const isFile = address.endsWith(ADAPTER_EXTENSION);
  const dir = isFile ? address.slice(0, address.lastIndexOf("/")) : address;
  const objects = openObjects(dir, new RequestPolicy(dir, { timeoutMs }));
  const read = async (name: string, maxBytes: number): Promise<Uint8Array> => {
    const found = await objects.get(name, { maxBytes });
    if (typeof found === "string")
      throw new AppError("adapter_not_found", `There is no ${dir}/${name}.`, { param: "lora_path" });
    return found.bytes;
  };
  if (isFile) return await read(address.slice(dir.length + 1), maxAdapterBytes);
  const [config, tensors] = await Promise.all([
    read(PEFT_CONFIG, MAX_PEFT_CONFIG_BYTES),
    read(PEFT_TENSORS, maxAdapterBytes),
  ]);
  return await convertPeft({ dir, config, tensors, texts: await readTexts(objects) });
}

async function readTexts(objects: ObjectStore): Promise<PeftDirectory["texts"]> {
  const found = await Promise.all(
    PEFT_TEXTS.map(async (name) => [name, await objects.get(name, { maxBytes: MAX_PEFT_TEXT_BYTES })] as const),
  );
  return new Map(
    found.flatMap(([name, object]) =>
      typeof object === "string" ? [] : [[name, () => Promise.resolve(object.bytes)] as const],
    ),
  );
}

async function readFromHub(
  address: string,
  { maxAdapterBytes, convertPeft }: AdapterAddressOptions,
): Promise<Uint8Array> {
  const name = parseHubName(address);
  if (name === null) throw invalidPath(`${address} is no repository of the Hub. Write hf://owner/name@revision.`);
  try {
    const dir = await realpath(await fetchFromHub(name, "adapter", hubSettings(), SILENT));
    return await convertPeft(await readPeftFiles(parse(dir).root, dir, maxAdapterBytes));
  } catch (error) {
    if (error instanceof HubUnreachable) throw new AppError("store_unavailable", error.message, { cause: error });
    if (error instanceof AppError && error.code === "usage") throw invalidPath(error.message);
    throw error;
  }
}

const invalidPath = (message: string): AppError => new AppError("invalid_request", message, { param: "lora_path" });
