/** Changes the aliases of one client's names: made anew, promoted, rolled back. */
import { VALUES } from "./operation.ts";
import type { Recorder } from "./recorder.ts";
import { ownKey, type Place, type World } from "./world.ts";

/** The generations of an alias, now and before its last change. null: not known. */
interface State {
  readonly current: string;
  readonly previous: string | null;
}

export class AliasWriter {
  readonly #parts: { readonly recorder: Recorder; readonly world: World };
  readonly #below: (n: number) => number;
  /** By register. Absent: there is none, or a change of it has an unknown end. */
  readonly #states = new Map<string, State>();

  constructor(parts: { readonly recorder: Recorder; readonly world: World }, below: (n: number) => number) {
    this.#parts = parts;
    this.#below = below;
  }

  /** One random change. */
  async change(place: Place): Promise<void> {
    if (!place.hasAliases) return;
    const state = this.#states.get(place.register(place.alias));
    const chance = this.#below(3);
    if (state !== undefined && state.previous !== null && chance === 0)
      return await this.#write(place, state.previous, "/rollback", {});
    const generations = this.#parts.world.contentsOf(place.register(place.adapter)).map(({ generation }) => generation);
    const last = generations.at(-1);
    if (last === undefined) return;
    if (state !== undefined && chance === 1)
      return await this.#write(place, last, "/promote", { target: `${place.adapter}@${last}` });
    const value = generations.slice(-1 - this.#below(2));
    const targets = Object.fromEntries(value.map((generation) => [`${place.adapter}@${generation}`, 1]));
    await this.#write(place, value.join(VALUES), "", { targets });
  }

  /** Makes the alias that always stands for the adapter. */
  async follow(place: Place): Promise<void> {
    if (!place.hasAliases) return;
    const { recorder, world } = this.#parts;
    const register = place.register(place.follower);
    const body = JSON.stringify({ targets: { [place.adapter]: 1 } });
    const made = { kind: "change-alias", register, value: place.adapter } as const;
    const sent = { method: "PUT", body, key: ownKey(place.tenant) } as const;
    if ((await recorder.run(made, `/v1/aliases/${place.follower}`, sent)) === "done") world.followers.add(register);
  }

  async #write(place: Place, value: string, action: "" | "/promote" | "/rollback", body: object): Promise<void> {
    const register = place.register(place.alias);
    const method = action === "" ? "PUT" : "POST";
    const sent = { method, body: JSON.stringify(body), key: ownKey(place.tenant) } as const;
    const planned = { kind: "change-alias", register, value } as const;
    const path = `/v1/aliases/${place.alias}${action}`;
    const outcome = await this.#parts.recorder.run(planned, path, sent);
    const before = this.#states.get(register);
    if (outcome === "unknown") this.#states.delete(register);
    else if (outcome === "done" && before?.current !== value)
      this.#states.set(register, { current: value, previous: before?.current ?? null });
  }
}
