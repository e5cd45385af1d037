/** Reads names and contents from a store, and checks them. Nothing that was read is kept here. */
import { generationOf } from "../../adapter/adapter-file.ts";
import { damaged, type ObjectStore } from "../../object-store/object-store.ts";
import { type OwnedName, qualifiedName } from "../tenant.ts";
import {
  decodePointer,
  MAX_HEADER_BYTES,
  MAX_INLINE_BYTES,
  pointerKey,
  type PointerRead,
  type PublishedContent,
} from "./pointer.ts";

export type PointerFound = (PointerRead & { readonly etag: string }) | "absent" | "unchanged";

export class PointerReader {
  readonly #objects: ObjectStore;
  readonly #maxBytes: number;

  /** @param maxBytes size of the largest content that is read */
  constructor(objects: ObjectStore, maxBytes: number) {
    this.#objects = objects;
    this.#maxBytes = maxBytes;
  }

  /**
   * @param etag of the pointer that the caller has. If it is still the store's, the result is "unchanged".
   * @throws {AppError} store_unavailable, store_damaged
   */
  async pointer(owned: OwnedName, etag?: string): Promise<PointerFound> {
    const maxBytes = MAX_HEADER_BYTES + MAX_INLINE_BYTES;
    const found = await this.#objects.get(pointerKey(owned), { etag, maxBytes });
    if (found === "absent" || found === "unchanged") return found;
    const read = decodePointer(owned, found.bytes);
    if (typeof read === "string")
      throw damaged(this.#objects.url, `the pointer of ${qualifiedName(owned)} is wrong: ${read}`);
    if (read.pointer && read.inline) this.#check(owned, read.pointer, read.inline);
    return { ...read, etag: found.etag };
  }

  /**
   * The content's bytes, or undefined if the object does not exist.
   * @throws {AppError} store_unavailable, store_damaged, adapter_too_large
   */
  async content(owned: OwnedName, content: PublishedContent): Promise<Uint8Array | undefined> {
    const found = await this.#objects.get(content.object, { maxBytes: this.#maxBytes });
    if (found === "absent" || found === "unchanged") return undefined;
    return this.#check(owned, content, found.bytes);
  }

  #check(owned: OwnedName, { generation }: PublishedContent, bytes: Uint8Array): Uint8Array {
    const found = generationOf(bytes);
    if (found === generation) return bytes;
    const name = qualifiedName(owned);
    throw damaged(
      this.#objects.url,
      `the content of ${name} has the hash ${found}, but its pointer names ${generation}`,
    );
  }
}
