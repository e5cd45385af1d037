/**
 * A repository of the Hub as a store that is read only: the name of a `.mosara` file or of a PEFT directory at its top
 * is the adapter's, for all tenants. The list of its files is read again when it is older than the bound, so a change
 * is seen after twice the bound. A revision that is a commit is read once.
 */
import { createHash } from "node:crypto";
import type { PeftDirectory } from "../../adapter/peft.ts";
import { decodeAdapter, generationOf } from "../../adapter/adapter-file.ts";
import { isPeftText, PEFT_CONFIG, PEFT_TENSORS } from "../../adapter/peft-files.ts";
import { AppError } from "../../errors.ts";
import { type HubName, isCommit, parseHubName } from "../../hub/hub-name.ts";
import { hubFetch } from "../../hub/hub-request.ts";
import { hubSettings } from "../../hub/hub-settings.ts";
import { askRepository, type HubFile, type Repository } from "../../hub/repository.ts";
import { readAnswer } from "../../object-store/http-request.ts";
import {
  damaged,
  type ObjectStore,
  type ReadOptions,
  readOnly,
  type StoredObject,
  StoreRefusal,
} from "../../object-store/object-store.ts";
import { PassingFault, type RequestPolicy } from "../../object-store/request-policy.ts";
import { unixNow } from "../../store/adapter-record.ts";
import {
  ADAPTER_EXTENSION,
  MAX_PEFT_CONFIG_BYTES,
  MAX_PEFT_TEXT_BYTES,
} from "../../store/directory/directory-files.ts";
import { encodePointer } from "../../store/published/pointer.ts";
import { SHARED } from "../../store/tenant.ts";

interface HubObjectsOptions {
  readonly maxAdapterBytes: number;
  /** Age in milliseconds from which the list of files is read again. */
  readonly refreshMs: number;
  readonly convertPeft: (files: PeftDirectory) => Promise<Uint8Array>;
}

const NAMES = `names/${SHARED}/`;
const CONTENTS = `contents/${SHARED}/`;

export class HubObjects implements ObjectStore {
  readonly url: string;
  readonly isWritable = false;
  readonly #name: HubName;
  readonly #policy: RequestPolicy;
  readonly #options: HubObjectsOptions;
  readonly #settings = hubSettings();
  #listed: { readonly repository: Repository; readonly readAt: number } | null = null;

  /** @throws {AppError} usage */
  constructor(url: string, policy: RequestPolicy, options: HubObjectsOptions) {
    const name = parseHubName(url);
    if (name === null)
      throw new AppError("usage", `${url} is no repository of the Hub. Write hf://owner/name@revision.`);
    if (this.#settings.isOffline)
      throw new AppError(
        "usage",
        `--store ${url} needs the Hub, and HF_HUB_OFFLINE forbids to ask it. Unset one of them.`,
      );
    this.url = url;
    this.#name = name;
    this.#policy = policy;
    this.#options = options;
  }

  async get(key: string, { etag }: ReadOptions): Promise<StoredObject | "absent" | "unchanged"> {
    const repository = await this.#repository();
    const [, name = "", rest] = /^(?:names|contents)\/shared\/([^/]+)(\/.+)?$/.exec(key) ?? [];
    const files = filesOf(repository, name);
    if (files.length === 0) return "absent";
    const tag = tagOf(files);
    if (etag === tag) return "unchanged";
    const content = await this.#content(name, repository, files);
    if (rest !== undefined) return { bytes: content, etag: tag };
    const generation = generationOf(content);
    const { card } = decodeAdapter(content, { maxBytes: this.#options.maxAdapterBytes });
    const object = `${CONTENTS}${name}/${generation}`;
    const facts = { generation, object, bytes: content.byteLength, created: unixNow(), write: tag, card, earlier: [] };
    return { bytes: encodePointer({ tenant: SHARED, name }, facts, content), etag: tag };
  }

  async list(prefix: string, { after = "", limit }: { readonly after?: string | undefined; readonly limit: number }) {
    if (prefix !== NAMES) return { objects: [], hasMore: false };
    const repository = await this.#repository();
    const all = [...namesIn(repository)].map((name) => `${NAMES}${name}`).filter((key) => key > after);
    const objects = all
      .toSorted()
      .slice(0, limit)
      .map((key) => {
        const sizes = filesOf(repository, key.slice(NAMES.length)).map(({ size }) => size);
        return { key, bytes: sizes.reduce((sum, size) => sum + size, 0) };
      });
    return { objects, hasMore: all.length > limit };
  }

  put(): Promise<never> {
    return Promise.reject(readOnly(this.url));
  }

  remove(): Promise<never> {
    return Promise.reject(readOnly(this.url));
  }

  hasConditionalWrites(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async #repository(): Promise<Repository> {
    const known = this.#listed;
    const isNew =
      known && (isCommit(this.#name.revision) || performance.now() - known.readAt < this.#options.refreshMs);
    if (isNew) return known.repository;
    const readAt = performance.now();
    const repository = await this.#ask("list", (signal) => askRepository(this.#name, this.#settings, signal));
    this.#listed = { repository, readAt };
    return repository;
  }

  /** The bytes of a `.mosara` file. A PEFT directory is converted. */
  async #content(name: string, { commit }: Repository, files: readonly HubFile[]): Promise<Uint8Array> {
    const byName = new Map(files.map((file) => [file.path.slice(file.path.indexOf("/") + 1), file]));
    const read = async (file: HubFile | undefined, maxBytes: number) =>
      file ? await this.#read(commit, file, maxBytes) : Promise.reject(damaged(this.url, `${name} is incomplete`));
    const { maxAdapterBytes, convertPeft } = this.#options;
    const own = byName.get(`${name}${ADAPTER_EXTENSION}`);
    if (own) return await read(own, maxAdapterBytes);
    const [config, tensors] = await Promise.all([
      read(byName.get(PEFT_CONFIG), MAX_PEFT_CONFIG_BYTES),
      read(byName.get(PEFT_TENSORS), maxAdapterBytes),
    ]);
    const texts = new Map(
      [...byName]
        .filter(([path]) => isPeftText(path))
        .map(([path, file]) => [path, () => read(file, MAX_PEFT_TEXT_BYTES)] as const),
    );
    return await convertPeft({ dir: `${this.url}/${name}`, config, tensors, texts });
  }

  async #read(commit: string, file: HubFile, maxBytes: number): Promise<Uint8Array> {
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `/${this.#name.repo}/resolve/${commit}/${path}`;
    const { bytes } = await this.#ask("get", (signal) =>
      readAnswer(() => hubFetch(this.#name, this.#settings, url, { signal }), maxBytes),
    );
    if (hashOf(bytes, file.hash.length) === file.hash) return bytes;
    throw damaged(this.url, `${file.path} does not have the hash ${file.hash}`);
  }

  /** Refusals of the Hub are refusals of the store. Everything else may pass. */
  async #ask<T>(operation: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return await this.#policy.run(operation, async (signal) => {
      try {
        return await ask(signal);
      } catch (error) {
        if (error instanceof AppError && error.code === "usage") throw new StoreRefusal(this.url, error.message);
        if (error instanceof AppError || error instanceof PassingFault) throw error;
        throw new PassingFault((error as Error).message, { cause: error });
      }
    });
  }
}

/** The files of an adapter; none where there is no such adapter. */
function filesOf({ files }: Repository, name: string): readonly HubFile[] {
  if (name === "") return [];
  const file = files.find(({ path }) => path === `${name}${ADAPTER_EXTENSION}`);
  if (file) return [file];
  const own = files.filter(({ path }) => path.startsWith(`${name}/`));
  return own.some(({ path }) => path === `${name}/${PEFT_CONFIG}`) ? own : [];
}

function namesIn({ files }: Repository): ReadonlySet<string> {
  return new Set(
    files.flatMap(({ path }) => {
      const [, name] = /^([^/]+)\.mosara$/.exec(path) ?? /^([^/]+)\/adapter_config\.json$/.exec(path) ?? [];
      return name === undefined ? [] : [name];
    }),
  );
}

const tagOf = (files: readonly HubFile[]): string => {
  const text = files.map(({ path, hash }) => `${path} ${hash}`).join("\n");
  return `"${createHash("sha256").update(text).digest("hex")}"`;
};

/** SHA-256, or git's SHA-1 of a blob where the hash is that long. */
function hashOf(bytes: Uint8Array, length: number): string {
  if (length === 64) return createHash("sha256").update(bytes).digest("hex");
  return createHash("sha1").update(`blob ${bytes.byteLength}\0`).update(bytes).digest("hex");
}
