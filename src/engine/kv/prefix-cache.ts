/**
 * Keys and values of prompt prefixes, kept for prompts of the same tenant and adapter generation that begin with the
 * same ids. They form a tree of whole chunks. Branches are named by the ids themselves, because a hash could collide.
 * Only chunks that prefill wrote on the grid are kept, so a hit is bit-identical to a miss.
 *
 * The cache is bounded by bytes. The least recently used chunks are evicted first, and all of them before the rows lack
 * memory. Knows no tensors; rows copy their chunks out and in.
 */
import { AppError } from "../../errors.ts";
import { DeviceFullError } from "../../runtime/device-errors.ts";
import type { KvChunk } from "./kv-cache.ts";
import type { PrefixReuse, Prompt } from "../contracts.ts";
import { CHUNK_TOKENS } from "../chunks.ts";

/** The part of the batch rows' interface that prefixes need. */
export interface ChunkRows {
  /** Maximum number of bytes of keys and values, prefixes and rows together. */
  readonly maxBytes: number;
  readonly bytesPerPosition: number;
  /** Bytes of `maxBytes` that are not allocated for rows now. */
  spareBytes(): number;
  /** Registers `borrower` as the holder of spare bytes. It gives them back when a row needs them. */
  lendTo(borrower: { shrinkTo(bytes: number): void }): void;
  /** Makes room for the first `length` positions of a sequence's row. This may take memory back from the borrower. */
  reach(id: number, length: number): void;
  /** A copy of positions of a sequence's row. */
  copyOut(id: number, from: number, count: number): KvChunk | Promise<KvChunk>;
  /** Writes a chunk into a sequence's row, within the positions made room for. */
  copyIn(id: number, from: number, chunk: KvChunk): void | Promise<void>;
}

/**
 * Prefixes hold at most this share of --kv-cache-bytes, even while no row needs the rest. Freed memory returns to the
 * system only at the next collection. Lending all of it could for a moment double the memory allowed.
 */
const MAX_SHARE = 0.5;
/** Bytes of a chunk beside its keys and values: its ids, a node, entries of a map and a set. */
const NODE_BYTES = 1024;

interface Node {
  readonly generation: string;
  /** null: the first chunk of a prompt. */
  readonly parent: Node | null;
  readonly siblings: Map<string, Node>;
  /** The chunk's name among its siblings. */
  readonly name: string;
  readonly children: Map<string, Node>;
  readonly chunk: KvChunk;
}

export class PrefixCache implements PrefixReuse {
  readonly #rows: ChunkRows;
  readonly #first = new Map<string, Node>();
  /**
   * Chunks in order of use, least recently used first. A chunk is always used after the chunks that follow it, so the
   * first one is never needed by another.
   */
  readonly #byUse = new Set<Node>();
  readonly #chunkBytes: number;
  /** Bytes that were held when a device's memory was exhausted. The cache does not grow above that again. */
  #mostBytes = Infinity;
  #queries = 0;
  #hits = 0;

  constructor(rows: ChunkRows) {
    this.#rows = rows;
    this.#chunkBytes = CHUNK_TOKENS * rows.bytesPerPosition + NODE_BYTES;
    rows.lendTo(this);
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#byUse.size * this.#chunkBytes;
  }

  numKnown(prompt: Prompt): number {
    return this.#path(prompt, maxReused(prompt)).length * CHUNK_TOKENS;
  }

  async restore(prompt: Prompt, past: number): Promise<number> {
    if (past === 0 && isReusable(prompt)) this.#queries += prompt.promptIds.length;
    const found = this.#path(prompt, maxReused(prompt));
    const last = found.at(-1);
    if (last) this.#touch(last);
    let length = past;
    // A chunk that is half computed is overwritten with the same bits.
    for (let depth = Math.floor(past / CHUNK_TOKENS); depth < found.length; depth++) {
      const node = found[depth]!; // below the length
      const from = depth * CHUNK_TOKENS;
      this.#rows.reach(prompt.id, from + CHUNK_TOKENS);
      if (!this.#byUse.has(node)) break; // the row needed its memory
      await this.#rows.copyIn(prompt.id, from, node.chunk);
      length = from + CHUNK_TOKENS;
    }
    this.#hits += length - past;
    return length;
  }

  async keep(prompt: Prompt, past: number): Promise<void> {
    const depth = past / CHUNK_TOKENS;
    const path = this.#path(prompt, depth + 1);
    const parent = path.at(-1) ?? null;
    if (parent) this.#touch(parent);
    // The chunk is already known, or a chunk before it has been evicted.
    if (path.length !== depth || !this.#hasRoomBehind(parent)) return;
    const chunk = await this.#copyOut(prompt.id, past);
    if (chunk === null) return;
    const siblings = parent?.children ?? this.#first;
    const name = nameOf(prompt, depth);
    const generation = generationOf(prompt);
    const node: Node = { generation, parent, siblings, name, children: new Map(), chunk };
    siblings.set(name, node);
    this.#touch(node);
  }

  drop(generation: string): boolean {
    let hasDropped = false;
    for (const node of this.#byUse) {
      if (node.generation !== generation) continue;
      this.#remove(node);
      hasDropped = true;
    }
    return hasDropped;
  }

  shrinkTo(bytes: number): void {
    for (const node of this.#byUse) {
      if (this.bytes <= bytes) return;
      this.#remove(node);
    }
  }

  takeStats(): { queries: number; hits: number } {
    const stats = { queries: this.#queries, hits: this.#hits };
    this.#queries = this.#hits = 0;
    return stats;
  }

  /** Makes room for one more chunk. Its own prefix is not evicted. */
  #hasRoomBehind(parent: Node | null): boolean {
    const limit =
      Math.min(this.#rows.maxBytes * MAX_SHARE, this.#rows.spareBytes(), this.#mostBytes) - this.#chunkBytes;
    for (const node of this.#byUse) {
      if (this.bytes <= limit || node === parent) break;
      this.#remove(node);
    }
    return this.bytes <= limit;
  }

  /** null: there is no memory for it. */
  async #copyOut(id: number, past: number): Promise<KvChunk | null> {
    try {
      return await this.#rows.copyOut(id, past, CHUNK_TOKENS);
    } catch (error) {
      const isLasting = error instanceof DeviceFullError && error.isLasting;
      if (!(error instanceof AppError) || error.code !== "insufficient_memory" || isLasting) throw error;
      this.#mostBytes = this.bytes;
      return null;
    }
  }

  /** The known chunks of a prompt, from its first on, at most `maxChunks`. */
  #path(prompt: Prompt, maxChunks: number): readonly Node[] {
    const path: Node[] = [];
    let siblings = this.#first;
    while (path.length < maxChunks) {
      const node = siblings.get(nameOf(prompt, path.length));
      if (!node) break;
      path.push(node);
      siblings = node.children;
    }
    return path;
  }

  /** Notes the use of a chunk, and after it of the chunks before it. */
  #touch(last: Node): void {
    for (let node: Node | null = last; node !== null; node = node.parent) {
      this.#byUse.delete(node);
      this.#byUse.add(node);
    }
  }

  #remove(node: Node): void {
    this.#byUse.delete(node);
    node.siblings.delete(node.name);
    node.chunk.free();
  }
}

/** Positions that are scored or pooled must be computed, because kept chunks have neither logits nor hidden states. */
function isReusable({ numPromptLogprobs, pooling }: Prompt): boolean {
  return numPromptLogprobs === null && pooling !== "mean";
}

/**
 * Number of chunks that a prompt can reuse. Its last token is always computed, since its logits choose the first token
 * of the answer.
 */
function maxReused(prompt: Prompt): number {
  return isReusable(prompt) ? Math.floor((prompt.promptIds.length - 1) / CHUNK_TOKENS) : 0;
}

function generationOf({ adapter }: Prompt): string {
  return adapter?.generation ?? "";
}

/**
 * The name of a chunk: its ids, byte for byte. A first chunk's name begins with tenant, salt and adapter. Equal names
 * are equal chunks.
 */
function nameOf(prompt: Prompt, depth: number): string {
  const from = depth * CHUNK_TOKENS;
  const { buffer, byteOffset, byteLength } = prompt.promptIds.subarray(from, from + CHUNK_TOKENS);
  const ids = Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
  return depth > 0 ? ids : `${JSON.stringify([prompt.tenant, generationOf(prompt), prompt.cacheSalt ?? null])}${ids}`;
}
