/**
 * The clients, each a script that a process of its own runs against a server, and what their last recorded run showed
 * (results/). docs/reference/clients.md is made from the records. MOSARA_RECORD_CLIENTS=1 writes them anew.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import type { ClientRun, Outcomes } from "../../scripts/clients-page.ts";
import { installedNode, NODE_22 } from "../../scripts/installed-node.ts";
import { CLIENTS_PYTHON } from "../helpers/outside/clients-python.ts";
import { putAdapter, startServer, type TestServer } from "../helpers/server.ts";

const FOLDER = import.meta.dirname;
const RESULTS = join(FOLDER, "results");
const KEY = "secret";
const OTHER_KEY = "secret-of-another";

export interface Client {
  /** Of its record. */
  readonly id: string;
  /** Below node/ or python/. */
  readonly script: string;
  /** The first is the client's name. */
  readonly packages: readonly string[];
}

/** What a client's script runs on. */
export interface Place {
  /** As the page names it. */
  readonly runtime: string;
  readonly program: string;
  /** Where the scripts are and find their packages. */
  readonly folder: string;
  versionOf(name: string): string;
}

/** This Node and the repository's own packages. */
export const HERE: Place = placeOfNode("Node", process.execPath, join(FOLDER, "node"), packageRoot());

function placeOfNode(runtime: string, program: string, folder: string, packages: string): Place {
  const versionOf = (name: string): string => {
    const file = readFileSync(join(packages, "node_modules", name, "package.json"), "utf8");
    return (JSON.parse(file) as { version: string }).version;
  };
  return { runtime, program, folder, versionOf };
}

/**
 * Node 22 and the packages of node/package.json, installed once; null (with a notice on stderr) where they cannot be
 * had.
 */
export function placeOnNode22(): Place | null {
  const from = join(FOLDER, "node");
  const lock = createHash("sha256")
    .update(readFileSync(join(from, "package-lock.json")))
    .digest("hex")
    .slice(0, 12);
  const folder = join(packageRoot(), "node_modules", ".cache", "clients", lock);
  const program = installedNode(NODE_22);
  mkdirSync(folder, { recursive: true });
  cpSync(from, join(folder, "node"), { recursive: true });
  cpSync(join(FOLDER, "expected.json"), join(folder, "expected.json"));
  const installed = join(folder, "installed");
  if (program !== null && !existsSync(installed)) {
    const options = {
      cwd: join(folder, "node"),
      stdio: ["ignore", "ignore", "inherit"] as ["ignore", "ignore", "inherit"],
    };
    const { status } = spawnSync("npm", ["ci", "--silent", "--ignore-scripts", "--prefer-offline"], options);
    if (status === 0) writeFileSync(installed, "");
  }
  if (program !== null && existsSync(installed))
    return placeOfNode("Node 22", program, join(folder, "node"), join(folder, "node"));
  process.stderr.write("clients on Node 22: left out, npm cannot install them\n");
  return null;
}

/** The Python that MOSARA_CLIENTS_PYTHON names. */
export const PYTHON_PLACE: Place = {
  runtime: "Python",
  program: CLIENTS_PYTHON ?? "",
  folder: join(FOLDER, "python"),
  versionOf: (name) => {
    const program = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))";
    return execFileSync(CLIENTS_PYTHON ?? "", ["-c", program, name], { encoding: "utf8" }).trim();
  },
};

/** The demo with its adapters and one that calls tools, a template that shows tools, and the keys of two tenants. */
export async function startClientsServer(): Promise<TestServer> {
  const tools = join(FOLDER, "tools");
  const keys = ["--api-key", KEY, "--api-key", `other=${OTHER_KEY}`, "--training-nice", "0"];
  const server = await startServer(["--chat-template", join(tools, "template.jinja"), ...keys]);
  const bytes = readFileSync(join(tools, "tools.mosara"));
  const { status, text } = await putAdapter(server.url, "tools", bytes, { authorization: `Bearer ${KEY}` });
  if (status !== 201) throw new Error(`the adapter that calls tools is refused (make it anew, README.md): ${text}`);
  return server;
}

/** Runs a client's script to its end. */
export async function runClient({ script, packages }: Client, place: Place, server: TestServer): Promise<ClientRun> {
  const { stdout } = await promisify(execFile)(place.program, [join(place.folder, script), server.url, KEY, OTHER_KEY]);
  const versions = Object.fromEntries(packages.map((name) => [name, place.versionOf(name)]));
  return { versions, runtime: place.runtime, apis: JSON.parse(stdout) as Record<string, Outcomes> };
}

/** The last recorded run, which the page shows; where records are wanted, this one. */
export function recorded({ id }: Client, run: ClientRun): unknown {
  const path = join(RESULTS, `${id}.json`);
  if (process.env.MOSARA_RECORD_CLIENTS === "1") {
    mkdirSync(RESULTS, { recursive: true });
    writeFileSync(path, `${JSON.stringify(run, null, 2)}\n`);
  }
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Features that neither work nor are refused as their script expects. */
export function failures({ apis }: ClientRun): string[] {
  return Object.entries(apis).flatMap(([api, outcomes]) =>
    Object.entries(outcomes)
      .filter(([, outcome]) => outcome !== "ok" && !outcome.startsWith("refused: "))
      .map(([feature, outcome]) => `${api}, ${feature}: ${outcome}`),
  );
}
