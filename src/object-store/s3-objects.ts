/**
 * Objects in a bucket of any S3. If the clock here or there is wrong, the store's time is used. Source: Amazon S3 API
 * reference, GetObject, PutObject, DeleteObject, ListObjectsV2, "Conditional requests".
 */
import { randomUUID } from "node:crypto";
import { type Answer, sendRequest } from "./http-request.ts";
import {
  damaged,
  type ListedObject,
  type ObjectStore,
  type ReadOptions,
  type StoredObject,
  StoreRefusal,
  type WriteCondition,
  type Written,
} from "./object-store.ts";
import { PassingFault, type RequestPolicy } from "./request-policy.ts";
import { type CredentialSource, credentialSource, type S3Credentials } from "./s3-credentials.ts";
import type { S3Settings } from "./s3-settings.ts";
import { signedHeaders } from "./s3-signature.ts";

/** An answer that is no object: an error, or a page of a list. */
const MAX_XML_BYTES = 4 * 2 ** 20;
/** S3's largest page. */
const MAX_PAGE = 1000;

interface S3Request {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly maxBytes?: number;
}

export class S3Objects implements ObjectStore {
  readonly url: string;
  readonly isWritable = true;
  readonly hasQuickLists = true;
  readonly #settings: S3Settings;
  readonly #credentials: CredentialSource;
  readonly #policy: RequestPolicy;
  /** The difference to add to the time of this machine to get the store's time. */
  #clockSkewMs = 0;
  #hasConditions: Promise<boolean> | null = null;

  constructor(settings: S3Settings, policy: RequestPolicy) {
    this.url = settings.url;
    this.#settings = settings;
    this.#policy = policy;
    this.#credentials = credentialSource(settings.url, settings.credentials);
  }

  async get(key: string, { etag, maxBytes }: ReadOptions): Promise<StoredObject | "absent" | "unchanged"> {
    const headers: Record<string, string> = etag === undefined ? {} : { "if-none-match": etag };
    const answer = await this.#send("get", { method: "GET", url: this.#urlOf(key), headers, maxBytes }, [304, 404]);
    if (answer.status === 304) return "unchanged";
    if (answer.status === 404) return this.#absent(answer);
    return { bytes: answer.bytes, etag: this.#etagOf(answer, key) };
  }

  async put(key: string, body: Uint8Array, condition: WriteCondition): Promise<Written> {
    const headers: Record<string, string> = { "content-type": "application/octet-stream" };
    if (condition && "ifMatch" in condition) headers["if-match"] = condition.ifMatch;
    if (condition && "ifNoneMatch" in condition) headers["if-none-match"] = "*";
    // 404: the object that If-Match names is gone. 409: another conditional write ran at the same time.
    const answer = await this.#send("put", { method: "PUT", url: this.#urlOf(key), headers, body }, [404, 409, 412]);
    if (answer.status === 404) this.#absent(answer);
    return answer.status < 300 ? { etag: this.#etagOf(answer, key) } : "conflict";
  }

  async remove(key: string): Promise<void> {
    await this.#send("delete", { method: "DELETE", url: this.#urlOf(key) }, [404]);
  }

  async list(prefix: string, { after, limit }: { readonly after?: string | undefined; readonly limit: number }) {
    const query = new URLSearchParams({
      "list-type": "2",
      "encoding-type": "url",
      prefix: `${this.#settings.prefix}${prefix}`,
      "max-keys": String(Math.min(limit, MAX_PAGE)),
      ...(after === undefined ? {} : { "start-after": `${this.#settings.prefix}${after}` }),
    });
    const url = `${this.#settings.address}?${query.toString()}`;
    const text = Buffer.from((await this.#send("list", { method: "GET", url })).bytes).toString();
    if (!text.includes("<ListBucketResult"))
      throw damaged(this.url, "it answered a request for a list of objects with something else");
    const objects = Array.from(text.matchAll(/<Contents>(.*?)<\/Contents>/gs), ([, entry = ""]) =>
      listedObject(entry, this.#settings.prefix.length),
    );
    return { objects, hasMore: /<IsTruncated>true</.test(text) };
  }

  async hasConditionalWrites(): Promise<boolean> {
    this.#hasConditions ??= this.#tryConditions().catch((error: unknown) => {
      this.#hasConditions = null; // it did not answer, which says nothing
      throw error;
    });
    return await this.#hasConditions;
  }

  /**
   * Some stores ignore conditions that they do not know. Therefore an object is written again under conditions that
   * forbid it.
   */
  async #tryConditions(): Promise<boolean> {
    const key = `probes/${randomUUID()}`;
    try {
      const first = await this.put(key, new Uint8Array(), { ifNoneMatch: "*" });
      const second = await this.put(key, new Uint8Array(1), { ifNoneMatch: "*" });
      const third = await this.put(key, new Uint8Array(1), { ifMatch: '"0123456789abcdef0123456789abcdef"' });
      return first !== "conflict" && second === "conflict" && third === "conflict";
    } finally {
      await this.remove(key).catch(() => {}); // if this fails, an object of at most one byte stays
    }
  }

  async #send(operation: string, request: S3Request, expected: readonly number[] = []): Promise<Answer> {
    return await this.#policy.run(operation, async (signal) => {
      const credentials = await this.#credentials.get(signal);
      const answer = await this.#sendOnce(request, credentials, signal);
      if (answer.status < 300 || expected.includes(answer.status)) return answer;
      if (codeOf(answer.bytes) === "ExpiredToken" && this.#credentials.reject(credentials))
        throw new PassingFault("its credentials have expired");
      throw this.#refusal(answer);
    });
  }

  async #sendOnce(request: S3Request, credentials: S3Credentials, signal: AbortSignal): Promise<Answer> {
    const { method, url, headers = {}, body, maxBytes = MAX_XML_BYTES } = request;
    const { region } = this.#settings;
    const time = Date.now() + this.#clockSkewMs;
    const signed = signedHeaders({ method, url, headers, body }, { region, credentials, time });
    return await sendRequest({ method, url, headers: signed, body, signal, maxBytes });
  }

  #refusal({ status, header, bytes }: Answer): Error {
    const code = codeOf(bytes);
    const theirs = Date.parse(header("date") ?? "");
    if (code === "RequestTimeTooSkewed" && Number.isFinite(theirs)) {
      this.#clockSkewMs = theirs - Date.now();
      return new PassingFault("its clock and this machine's differ");
    }
    return new StoreRefusal(this.url, `status ${status}${code === null ? "" : ` (${code})`}`);
  }

  /** A missing object is an answer. A missing bucket is a wrong setting. */
  #absent(answer: Answer): "absent" {
    if (codeOf(answer.bytes) === "NoSuchBucket") throw this.#refusal(answer);
    return "absent";
  }

  #etagOf({ header }: Answer, key: string): string {
    const etag = header("etag");
    if (etag === null) throw damaged(this.url, `${key} has no ETag`);
    return etag;
  }

  #urlOf(key: string): string {
    const path = `${this.#settings.prefix}${key}`.split("/").map(encodeURIComponent).join("/");
    return `${this.#settings.address}/${path}`;
  }
}

function listedObject(entry: string, prefixLength: number): ListedObject {
  const key = decodeURIComponent((/<Key>(.*?)<\/Key>/s.exec(entry)?.[1] ?? "").replaceAll("+", "%20"));
  return { key: key.slice(prefixLength), bytes: Number(/<Size>(\d+)</.exec(entry)?.[1] ?? NaN) };
}

const codeOf = (bytes: Uint8Array): string | null =>
  /<Code>(\w{1,80})<\/Code>/.exec(Buffer.from(bytes).toString())?.[1] ?? null;
