/** The flags of `npm run replicas`. */
import { parseArgs } from "node:util";
import { AppError } from "../../src/errors.ts";
import { ROUTER_NAMES, type RouterName } from "./router.ts";

/** A router of ours, or Ray Serve, which starts its replicas itself. */
const NAMES = [...ROUTER_NAMES, "ray"] as const;

export const HELP = `Usage: npm run replicas -- [flags]

Three servers behind a router, under streams, while servers are killed, restarted and cut off.

  --router <name>    ${NAMES.join(", ")} (default: haproxy).
  --seconds <n>      Length of the disturbed run (default: 300).
  --kill-every <n>   Seconds between two kills (default: 20).
  --streams <n>      Clients at a time (default: 64).
  --adapters <n>     Names of adapters, drawn by Zipf's law (default: 48).
  --tokens <n>       Length of an answer (default: 64).
  --rounds <n>       Rounds of the comparisons without disturbance (default: 5; 0: none).
  --seed <n>         Of the requests (default: 1).
`;

export interface ReplicasOptions {
  readonly router: RouterName | "ray";
  readonly seconds: number;
  readonly killEvery: number;
  readonly streams: number;
  readonly adapters: number;
  readonly tokens: number;
  readonly rounds: number;
  readonly seed: number;
}

const NUMBERS = { seconds: 300, "kill-every": 20, streams: 64, adapters: 48, tokens: 64, rounds: 5, seed: 1 };

/** @returns null: --help. @throws {AppError} usage */
export function replicasOptions(args: readonly string[]): ReplicasOptions | null {
  const string = { type: "string" } as const;
  const numbers = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, string]));
  const { values } = parseArgs({
    args: [...args],
    options: { ...numbers, router: string, help: { type: "boolean" } },
  });
  if (values.help === true) return null;
  const number = (name: keyof typeof NUMBERS): number => {
    const text = (values as Readonly<Record<string, string | undefined>>)[name];
    const value = Number(text ?? NUMBERS[name]);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new AppError("usage", `--${name} must be a whole number, found "${text}".`);
  };
  const router = NAMES.find((name) => name === (values.router ?? "haproxy"));
  if (router === undefined)
    throw new AppError("usage", `--router must be one of ${NAMES.join(", ")}, found "${values.router}".`);
  return {
    router,
    seconds: number("seconds"),
    killEvery: number("kill-every"),
    streams: number("streams"),
    adapters: number("adapters"),
    tokens: number("tokens"),
    rounds: number("rounds"),
    seed: number("seed"),
  };
}
