/**
 * Counts use in Redis or Valkey, over one connection that is never opened again: after a failure its owner closes it.
 * A run keeps its slots for a lease, which `renew` extends. The slots of a killed server are free when it ends.
 */
import {
  type Counters,
  type Demand,
  type Full,
  type Slot,
  type Taken,
  WINDOW_SECONDS,
  type WindowKind,
} from "./counters.ts";
import { BEGIN, RENEW, SETTLE, TAKE } from "./redis-scripts.ts";

/** Maximum number of runs in one command. */
const RENEWED_AT_ONCE = 1000;

type Client = Awaited<ReturnType<typeof createClient>>;

export class RedisCounters implements Counters {
  readonly #client: Client;
  readonly #leaseMs: number;
  readonly #onFailed: (error: unknown) => void;
  readonly #keysOfRun = new Map<string, readonly string[]>();

  private constructor(client: Client, leaseMs: number, onFailed: (error: unknown) => void) {
    this.#client = client;
    this.#leaseMs = leaseMs;
    this.#onFailed = onFailed;
  }

  /**
   * Connects. @param onFailed the connection, or a command that nobody waits for, has failed
   * @throws the client's error: an ErrorReply when Redis answers and refuses
   */
  static async connect(
    url: string,
    { connectMs, leaseMs }: { readonly connectMs: number; readonly leaseMs: number },
    onFailed: (error: unknown) => void,
  ): Promise<RedisCounters> {
    const client = await createClient(url, connectMs);
    client.on("error", onFailed);
    await client.connect();
    return new RedisCounters(client, leaseMs, onFailed);
  }

  async take(kind: WindowKind, demands: readonly Demand[]): Promise<Taken> {
    const keys = demands.map(({ id }) => windowKey(kind, id));
    const limits = demands.flatMap(({ points, limit }) => [points, limit]);
    const [refused, ...numbers] = await this.#eval(TAKE, keys, [WINDOW_SECONDS * 1000, ...limits]);
    const uses = demands.slice(0, numbers.length / 2).map(({ limit }, i) => ({
      limit,
      remaining: Math.max(0, limit - (numbers[2 * i] ?? 0)),
      msLeft: numbers[2 * i + 1] ?? 0,
    }));
    const takenAt = performance.now();
    const settle = (used: number) => {
      const now = performance.now();
      // A window that is over has been replaced by one that was not charged.
      const due = demands
        .map(({ points }, i) => ({ key: keys[i] as string, points: used - points, msLeft: uses[i]?.msLeft ?? 0 }))
        .filter(({ points, msLeft }) => points !== 0 && now < takenAt + msLeft);
      const dueKeys = due.map(({ key }) => key);
      const corrections = due.map(({ points }) => points);
      if (due.length > 0) this.#send(this.#eval(SETTLE, dueKeys, corrections));
    };
    return { uses, isRefused: refused === 1, settle: refused === 1 ? () => undefined : settle };
  }

  async begin(run: string, slots: readonly Slot[]): Promise<Full | null> {
    const keys = slots.map(({ id }) => runsKey(id));
    // The run is noted before the answer, because its slots must also be given back when the answer comes too late.
    this.#keysOfRun.set(run, keys);
    const limits = slots.map(({ limit }) => limit);
    const [place = 0, running = 0] = await this.#eval(BEGIN, keys, [this.#leaseMs, run, ...limits]);
    const full = slots[place - 1];
    if (full === undefined) return null;
    this.#keysOfRun.delete(run);
    return { ...full, running };
  }

  end(run: string): void {
    for (const key of this.#keysOfRun.get(run) ?? []) this.#send(this.#client.zRem(key, run));
    this.#keysOfRun.delete(run);
  }

  /** Extends the leases of all runs of this server, and takes slots for those that have none here. */
  async renew(runs: ReadonlyMap<string, readonly Slot[]>): Promise<void> {
    const runsOfMeter = new Map<string, string[]>();
    for (const [run, slots] of runs) {
      this.#keysOfRun.set(
        run,
        slots.map(({ id }) => runsKey(id)),
      );
      for (const { id } of slots) {
        const others = runsOfMeter.get(id);
        if (others) others.push(run);
        else runsOfMeter.set(id, [run]);
      }
    }
    const commands: Promise<unknown>[] = [this.#client.ping()];
    for (const [id, ofMeter] of runsOfMeter) {
      for (let i = 0; i < ofMeter.length; i += RENEWED_AT_ONCE)
        commands.push(this.#eval(RENEW, [runsKey(id)], [this.#leaseMs, ...ofMeter.slice(i, i + RENEWED_AT_ONCE)]));
    }
    await Promise.all(commands);
  }

  close(): void {
    this.#client.destroy();
  }

  /** Runs a script. @returns its numbers */
  async #eval(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<number[]> {
    const answer: unknown = await this.#client.eval(script, { keys: [...keys], arguments: values.map(String) });
    return Array.isArray(answer) ? answer.map(Number) : [];
  }

  #send(command: Promise<unknown>): void {
    command.catch(this.#onFailed);
  }
}

/**
 * A client that never connects again by itself, and keeps no command for later. The package is loaded only when it is
 * needed.
 */
async function createClient(url: string, timeoutMs: number) {
  const redis = await import("@redis/client");
  return redis.createClient({
    url,
    name: "mosara",
    disableOfflineQueue: true,
    socket: { reconnectStrategy: false, connectTimeout: timeoutMs },
  });
}

const windowKey = (kind: WindowKind, id: string) => `mosara:${kind}:${id}`;
const runsKey = (id: string) => `mosara:runs:${id}`;
