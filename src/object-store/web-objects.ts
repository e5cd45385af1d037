/** A copy of a store that any web server offers as files. It is read only, and has no lists. */
import { createHash } from "node:crypto";
import { sendRequest } from "./http-request.ts";
import { type ObjectStore, type ReadOptions, readOnly, type StoredObject, StoreRefusal } from "./object-store.ts";
import type { RequestPolicy } from "./request-policy.ts";

export class WebObjects implements ObjectStore {
  readonly url: string;
  readonly isWritable = false;
  readonly hasQuickLists = false;
  readonly #policy: RequestPolicy;

  constructor(url: string, policy: RequestPolicy) {
    this.url = url.replace(/\/+$/, "");
    this.#policy = policy;
  }

  async get(key: string, { etag, maxBytes }: ReadOptions): Promise<StoredObject | "absent" | "unchanged"> {
    const url = `${this.url}/${key.split("/").map(encodeURIComponent).join("/")}`;
    const headers: Record<string, string> = etag === undefined ? {} : { "if-none-match": etag };
    return await this.#policy.run("get", async (signal) => {
      const { status, header, bytes } = await sendRequest({ method: "GET", url, headers, signal, maxBytes });
      if (status === 304) return "unchanged";
      if (status === 404 || status === 410) return "absent";
      if (status !== 200) throw new StoreRefusal(this.url, `status ${status}`);
      // Without a tag of its own, an object is read whole each time.
      return { bytes, etag: header("etag") ?? `"${createHash("sha256").update(bytes).digest("hex")}"` };
    });
  }

  put(): Promise<never> {
    return Promise.reject(readOnly(this.url));
  }

  remove(): Promise<never> {
    return Promise.reject(readOnly(this.url));
  }

  /** A web server has no common form of lists, so only the names that were asked for are listed. */
  list() {
    return Promise.resolve({ objects: [], hasMore: false });
  }

  hasConditionalWrites(): Promise<boolean> {
    return Promise.resolve(false);
  }
}
