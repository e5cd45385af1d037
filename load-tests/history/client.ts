/** One client. It alone writes its share of the names, one write at a time, and asks for all names. */
import { nextUint32, type RandomState, seedRandom } from "../../src/tensor/random.ts";
import { AliasWriter } from "./alias-writer.ts";
import type { Contents } from "./contents.ts";
import type { Recorder } from "./recorder.ts";
import { guestKey, ownKey, Place, type World } from "./world.ts";

export interface ClientParts {
  readonly recorder: Recorder;
  readonly world: World;
  readonly contents: Contents;
}

const SHORT_TEXTS = ["Hello", "Cancel order 4821.", "Where?", "Sing.", "Tell me"];
/** More than a chunk of tokens, which the prefix cache may keep from an earlier request. */
const LONG_TEXT = "Please tell me when the red kettle of my order 4821 will arrive at last. ".repeat(6);
/** One prompt in so many is the long one. */
const LONG_EVERY = 12;
/** A long answer costs time and proves no more than a short one. */
const MAX_TOKENS = 5;

export class Client {
  readonly #parts: ClientParts;
  readonly #random: RandomState;
  /** All names, and those that this client writes. */
  readonly #places: readonly Place[];
  readonly #own: readonly Place[];
  readonly #aliases: AliasWriter;

  constructor(parts: ClientParts, { seed, number, numClients }: { seed: number; number: number; numClients: number }) {
    const { tenants, names } = parts.world.size;
    this.#parts = parts;
    this.#random = seedRandom((seed + Math.imul(number + 1, 0x9e3779b1)) >>> 0);
    this.#places = Array.from({ length: tenants * names }, (_, i) => new Place(i % tenants, Math.floor(i / tenants)));
    this.#own = this.#places.filter((_, i) => i % numClients === number);
    this.#aliases = new AliasWriter(parts, (n) => this.#below(n));
  }

  /** One random operation. */
  async step(): Promise<void> {
    const chance = this.#below(100);
    const own = this.#one(this.#own);
    if (chance < 10) return await this.#put(own);
    if (chance < 15) return await this.#rollBack(own);
    if (chance < 18) return await this.#delete(own);
    if (chance < 23) return await this.#aliases.change(own);
    if (chance < 30) return await this.#read(this.#one(this.#places));
    if (chance < 35) return await this.#useGuestKey();
    return await this.#ask(this.#one(this.#places));
  }

  /** Puts a share of this client's names for the first time, in percent. */
  async fill(share: number): Promise<void> {
    for (const place of this.#own) if (this.#below(100) < share) await this.#put(place);
  }

  /** Aliases that always stand for their adapter. */
  async follow(): Promise<void> {
    for (const place of this.#own) await this.#aliases.follow(place);
  }

  async #put(place: Place): Promise<void> {
    const { world, contents, recorder } = this.#parts;
    const { tenant, adapter } = place;
    const { number, generation, bytes } = contents.make(world.newContent());
    const written = { kind: "put", register: place.register(adapter), value: generation, content: number } as const;
    await recorder.run(written, `/v1/adapters/${adapter}`, { method: "PUT", body: bytes, key: ownKey(tenant) });
  }

  /** Back to an earlier generation, which the server may have dropped. */
  async #rollBack(place: Place): Promise<void> {
    const { world, recorder } = this.#parts;
    const { tenant, adapter } = place;
    const register = place.register(adapter);
    const earlier = world.contentsOf(register).slice(0, -1);
    if (earlier.length === 0) return;
    const { number, generation } = this.#one(earlier);
    const written = { kind: "rollback", register, value: generation, content: number } as const;
    const sent = { method: "POST", body: JSON.stringify({ to: generation }), key: ownKey(tenant) } as const;
    await recorder.run(written, `/v1/adapters/${adapter}/rollback`, sent);
  }

  async #delete(place: Place): Promise<void> {
    const { tenant, adapter } = place;
    const written = { kind: "delete", register: place.register(adapter), value: null } as const;
    await this.#parts.recorder.run(written, `/v1/adapters/${adapter}`, { method: "DELETE", key: ownKey(tenant) });
  }

  async #read(place: Place): Promise<void> {
    const { tenant, adapter } = place;
    const read = { kind: "read", register: place.register(adapter), value: null } as const;
    await this.#parts.recorder.run(read, `/v1/adapters/${adapter}`, { key: ownKey(tenant) });
  }

  /** Asks an adapter by its name, or by one of its aliases. */
  async #ask(place: Place): Promise<void> {
    const { tenant, adapter, alias, follower } = place;
    const isFollowed = this.#parts.world.followers.has(place.register(follower));
    const asked = place.hasAliases ? this.#one([adapter, alias, ...(isFollowed ? [follower] : [])]) : adapter;
    const register = place.register(asked === follower ? adapter : asked);
    const prompt = this.#below(LONG_EVERY) === 0 ? LONG_TEXT : this.#one(SHORT_TEXTS);
    const settings = { temperature: 0.9, seed: this.#below(1000), max_tokens: 1 + this.#below(MAX_TOKENS) };
    const body = JSON.stringify({ model: asked, prompt, ...settings, logprobs: 0, mosara_receipt: true });
    const sent = { method: "POST", body, key: ownKey(tenant) } as const;
    await this.#parts.recorder.run({ kind: "ask", register, value: null }, "/v1/completions", sent);
  }

  async #useGuestKey(): Promise<void> {
    const tenant = this.#below(this.#parts.world.size.tenants);
    const used = { kind: "use-key", register: `key/t${tenant}`, value: null } as const;
    await this.#parts.recorder.run(used, "/v1/models?limit=1", { key: guestKey(tenant) });
  }

  #below(n: number): number {
    return nextUint32(this.#random) % Math.max(1, n);
  }

  #one<T>(list: readonly T[]): T {
    const found = list[this.#below(list.length)];
    if (found === undefined) throw new Error("internal: a choice of nothing");
    return found;
  }
}
