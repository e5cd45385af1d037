/** The flags of `npm run history`. */
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { AppError } from "../../src/errors.ts";
import { PLANTED, type Planted } from "./planted.ts";

export const HELP = `Usage: npm run history -- [flags]

  --requests <n>   Operations in all, those of earlier runs in --work included (default: 20000).
  --tenants <n>    Tenants (default: 50).
  --adapters <n>   Names of all tenants together (default: 2000).
  --clients <n>    Clients (default: 32).
  --round <n>      Operations between two disturbances (default: 750).
  --minutes <n>    Ends the run after so many minutes, checks it and replays its answers (default: 0, no end).
  --seed <n>       Of the clients' choices (default: 1).
  --disk <MiB>     Size of a file system for the store, which is filled and made read-only (default: 1024; 0: none).
  --plant <fault>  A fault between client and server, alone: ${PLANTED.join(", ")}.
  --work <dir>     Where the history and the store are kept. A run that was stopped continues,
                   and one that has reached its end begins anew.
`;

export interface HistoryOptions {
  readonly requests: number;
  readonly tenants: number;
  readonly adapters: number;
  readonly clients: number;
  readonly round: number;
  readonly minutes: number;
  readonly seed: number;
  readonly disk: number;
  readonly plant: Planted | null;
  readonly work: string;
}

const NUMBERS = {
  requests: 20_000,
  tenants: 50,
  adapters: 2000,
  clients: 32,
  round: 750,
  minutes: 0,
  seed: 1,
  disk: 1024,
};

/** @returns null: --help. @throws {AppError} usage */
export function historyOptions(args: readonly string[]): HistoryOptions | null {
  const string = { type: "string" } as const;
  const counts = { requests: string, tenants: string, adapters: string, clients: string, round: string };
  const numbers = { ...counts, minutes: string, seed: string, disk: string };
  const options = { ...numbers, plant: string, work: string, help: { type: "boolean" } } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) return null;
  const number = (name: keyof typeof NUMBERS): number => {
    const value = Number(values[name] ?? NUMBERS[name]);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new AppError("usage", `--${name} must be a whole number, found "${values[name]}".`);
  };
  const plant = PLANTED.find((fault) => fault === values.plant) ?? null;
  if (values.plant !== undefined && plant === null)
    throw new AppError("usage", `--plant must be one of ${PLANTED.join(", ")}, found "${values.plant}".`);
  return {
    requests: number("requests"),
    tenants: number("tenants"),
    adapters: number("adapters"),
    clients: Math.max(1, Math.min(number("clients"), number("adapters"))),
    round: Math.max(1, number("round")),
    minutes: number("minutes"),
    seed: number("seed"),
    disk: number("disk"),
    plant,
    work: values.work ?? join(homedir(), ".cache", "mosara-history"),
  };
}
