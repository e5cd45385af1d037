/** One client. It alone writes its share of the names, one write at a time, and asks for all names. */
import { setTimeout as sleep } from "node:timers/promises";
import { nextUint32, type RandomState, seedRandom } from "../../src/tensor/random.ts";
import type { Contents } from "./contents.ts";
import type { History } from "./history.ts";
import type { Operation } from "./operation.ts";
import { guestKey, ownKey, type World } from "./world.ts";

/** Sends a request. A planted fault stands between client and server here. */
export type Send = (path: string, init: RequestInit) => Promise<Response>;

export interface ClientParts {
  readonly send: Send;
  /** Resolves when the server is up. */
  readonly whenReady: () => Promise<void>;
  readonly world: World;
  readonly history: History;
  readonly contents: Contents;
  /** Answers that were an error, by code. */
  readonly errors: Map<string, number>;
}

interface Receipt {
  readonly statement: { readonly adapter: { readonly generation: string } | null };
}

/** Pause after a failure, in milliseconds. */
const PAUSE_MS = 50;
const TEXTS = [
  "Hello, where is my red kettle?",
  "Cancel order 4821.",
  "Where is the library?",
  "Sing.",
  "Tell me more",
];

export class Client {
  readonly #parts: ClientParts;
  readonly #random: RandomState;
  readonly #number: number;
  readonly #numClients: number;

  constructor(parts: ClientParts, { seed, number, numClients }: { seed: number; number: number; numClients: number }) {
    this.#parts = parts;
    this.#random = seedRandom((seed + Math.imul(number + 1, 0x9e3779b1)) >>> 0);
    this.#number = number;
    this.#numClients = numClients;
  }

  /** One random operation. */
  async step(): Promise<void> {
    const chance = this.#below(100);
    if (chance < 15) return await this.#put();
    if (chance < 19) return await this.#delete();
    if (chance < 29) return await this.#read();
    if (chance < 35) return await this.#useGuestKey();
    return await this.#ask();
  }

  /** Puts all names of this client for the first time. */
  async fill(share: number): Promise<void> {
    for (const [tenant, name] of this.#ownNames()) if (this.#below(100) < share) await this.#putTo(tenant, name);
  }

  async #put(): Promise<void> {
    const own = this.#ownNames();
    const [tenant, name] = own[this.#below(own.length)] ?? [0, 0];
    await this.#putTo(tenant, name);
  }

  /** A new content, or once in five times an earlier one: a roll-back. */
  async #putTo(tenant: number, name: number): Promise<void> {
    const { world, contents } = this.#parts;
    const register = world.register(tenant, name);
    const earlier = this.#below(5) === 0 ? world.earlierContent(register) : undefined;
    const content = earlier ?? world.newContent();
    const body = Buffer.from(contents.bytesOf(content));
    const written = { kind: "put", register, value: contents.generationOf(content), content } as const;
    await this.#run(written, `/v1/adapters/a${name}`, ownKey(tenant), { method: "PUT", body });
  }

  async #delete(): Promise<void> {
    const own = this.#ownNames();
    const [tenant, name] = own[this.#below(own.length)] ?? [0, 0];
    const register = this.#parts.world.register(tenant, name);
    const written = { kind: "delete", register, value: null } as const;
    await this.#run(written, `/v1/adapters/a${name}`, ownKey(tenant), { method: "DELETE" });
  }

  async #read(): Promise<void> {
    const [tenant, name, register] = this.#anyName();
    await this.#run({ kind: "read", register, value: null }, `/v1/adapters/a${name}`, ownKey(tenant), {});
  }

  async #ask(): Promise<void> {
    const [tenant, name, register] = this.#anyName();
    const body = this.#question(`a${name}`);
    const asked = { kind: "ask", register, value: null } as const;
    await this.#run(asked, "/v1/completions", ownKey(tenant), { method: "POST", body });
  }

  async #useGuestKey(): Promise<void> {
    const tenant = this.#below(this.#parts.world.size.tenants);
    const used = { kind: "use-key", register: `key/t${tenant}`, value: null } as const;
    await this.#run(used, "/v1/models?limit=1", guestKey(tenant), {});
  }

  #question(model: string): string {
    const prompt = TEXTS[this.#below(TEXTS.length)];
    const settings = { temperature: 0.9, seed: this.#below(1000), max_tokens: 2 + this.#below(10), logprobs: 0 };
    return JSON.stringify({ model, prompt, ...settings, mosara_receipt: true });
  }

  /** Sends one operation and adds it to the history, with what was found or with its outcome. */
  async #run(
    operation: Pick<Operation, "kind" | "register" | "value" | "content">,
    path: string,
    key: string,
    init: RequestInit,
  ): Promise<void> {
    const { send, whenReady, history, errors, world } = this.#parts;
    const start = history.tick();
    const end = (outcome: Operation["outcome"], value = operation.value, receipt?: object) => {
      const ended = { ...operation, value, start, end: history.tick(), outcome };
      history.add(ended, receipt);
      world.note(ended);
    };
    let answer: Response;
    let json: Record<string, unknown>;
    try {
      answer = await send(path, { ...init, headers: { authorization: `Bearer ${key}` } });
      json = (await answer.json()) as Record<string, unknown>;
    } catch {
      count(errors, "no answer");
      end("unknown");
      await sleep(PAUSE_MS);
      return await whenReady();
    }
    const code = (json.error as { code?: string } | undefined)?.code;
    if (code !== undefined) count(errors, `${answer.status} ${code}`);
    if (answer.status >= 500) {
      end("unknown");
      await sleep(PAUSE_MS); // an engine is being started again
    } else if (operation.kind === "use-key") end("done", answer.status === 401 ? "revoked" : "active");
    else if (answer.status === 404 && operation.kind !== "put") end("done", null);
    else if (!answer.ok) end("refused");
    else if (operation.kind === "read") end("done", String(json.generation));
    else if (operation.kind === "ask") {
      const receipt = json.mosara_receipt as Receipt;
      end("done", receipt.statement.adapter?.generation ?? "the base", receipt);
    } else end("done");
  }

  #anyName(): [tenant: number, name: number, register: string] {
    const { world } = this.#parts;
    const [tenant, name] = [this.#below(world.size.tenants), this.#below(world.size.names)];
    return [tenant, name, world.register(tenant, name)];
  }

  #ownNames(): (readonly [tenant: number, name: number])[] {
    const { tenants, names } = this.#parts.world.size;
    const all = Array.from({ length: tenants * names }, (_, i) => [i % tenants, Math.floor(i / tenants)] as const);
    return all.filter((_, i) => i % this.#numClients === this.#number);
  }

  #below(n: number): number {
    return nextUint32(this.#random) % Math.max(1, n);
  }
}

function count(errors: Map<string, number>, code: string): void {
  errors.set(code, (errors.get(code) ?? 0) + 1);
}
