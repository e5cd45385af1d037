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
import { askRepository, contentHash, contentPath, type HubFile } from "../../hub/repository.ts";
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

/** What the repository had when it was read. */
interface Listed {
  readonly commit: string;
  readonly adapters: ReadonlyMap<string, readonly HubFile[]>;
  readonly readAt: number;
}

export class HubObjects implements ObjectStore {
  readonly url: string;
  readonly isWritable = false;
  readonly hasQuickLists = false;
  readonly #name: HubName;
  readonly #policy: RequestPolicy;
  readonly #options: HubObjectsOptions;
  readonly #settings = hubSettings();
  #listed: Listed | null = null;

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
    const { commit, adapters } = await this.#list();
    const [, name = "", rest] = /^(?:names|contents)\/shared\/([^/]+)(\/.+)?$/.exec(key) ?? [];
    const files = adapters.get(name);
    if (files === undefined) return "absent";
    const tag = tagOf(files);
    if (etag === tag) return "unchanged";
    const content = await this.#content(name, commit, files);
    if (rest !== undefined) return { bytes: content, etag: tag };
    const generation = generationOf(content);
    const { card } = decodeAdapter(content, { maxBytes: this.#options.maxAdapterBytes });
    const object = `${CONTENTS}${name}/${generation}`;
    const facts = { generation, object, bytes: content.byteLength, created: unixNow(), write: tag, card, earlier: [] };
    return { bytes: encodePointer({ tenant: SHARED, name }, facts, content), etag: tag };
  }

  async list(prefix: string, { after = "", limit }: { readonly after?: string | undefined; readonly limit: number }) {
    if (prefix !== NAMES) return { objects: [], hasMore: false };
    const { adapters } = await this.#list();
    const all = Array.from(adapters, ([name, files]) => ({
      key: `${NAMES}${name}`,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
    }));
    const further = all.filter(({ key }) => key > after).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    return { objects: further.slice(0, limit), hasMore: further.length > limit };
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

  async #list(): Promise<Listed> {
    const known = this.#listed;
    const isNew =
      known && (isCommit(this.#name.revision) || performance.now() - known.readAt < this.#options.refreshMs);
    if (isNew) return known;
    const readAt = performance.now();
    const { commit, files } = await this.#ask("list", (signal) => askRepository(this.#name, this.#settings, signal));
    this.#listed = { commit, adapters: adaptersIn(files), readAt };
    return this.#listed;
  }

  /** The bytes of a `.mosara` file. A PEFT directory is converted. */
  async #content(name: string, commit: string, files: readonly HubFile[]): Promise<Uint8Array> {
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
    const url = contentPath(this.#name, commit, file);
    const { bytes } = await this.#ask("get", (signal) =>
      readAnswer(() => hubFetch(this.#name, this.#settings, url, { signal }), maxBytes),
    );
    if (contentHash(file, bytes.byteLength).update(bytes).digest("hex") === file.hash) return bytes;
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

/** The files of each adapter, by its name. A `.mosara` file hides a directory of its name. */
function adaptersIn(files: readonly HubFile[]): ReadonlyMap<string, readonly HubFile[]> {
  const inDirectory = new Map<string, HubFile[]>();
  const alone = new Map<string, HubFile[]>();
  for (const file of files) {
    const [top = "", rest] = file.path.split(/\/(.*)/s);
    if (rest !== undefined) {
      const others = inDirectory.get(top);
      if (others) others.push(file);
      else inDirectory.set(top, [file]);
    } else if (top.endsWith(ADAPTER_EXTENSION) && top !== ADAPTER_EXTENSION) {
      alone.set(top.slice(0, -ADAPTER_EXTENSION.length), [file]);
    }
  }
  const peft = [...inDirectory].filter(([top, own]) => own.some(({ path }) => path === `${top}/${PEFT_CONFIG}`));
  return new Map([...peft, ...alone]);
}

const tagOf = (files: readonly HubFile[]): string => {
  const text = files.map(({ path, hash }) => `${path} ${hash}`).join("\n");
  return `"${createHash("sha256").update(text).digest("hex")}"`;
};
