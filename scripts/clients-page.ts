/** Makes docs/reference/clients.md from the recorded runs of the tests of clients (test/clients/results). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** By feature ("structured: parse"): "ok", or "refused: " and the server's reason. */
export type Outcomes = Readonly<Record<string, string>>;

/** What a client showed. */
export interface ClientRun {
  /** Of its packages; the first is its own. */
  readonly versions: Readonly<Record<string, string>>;
  readonly runtime: string;
  readonly apis: Readonly<Record<string, Outcomes>>;
}

/** Columns, by the beginning of a feature's name. All other features are in the last column under their own names. */
const COLUMNS: Readonly<Record<string, string>> = {
  text: "text",
  stream: "stream",
  structured: "structured output",
  tools: "tools",
  abort: "abort",
  errors: "errors",
};

const HEAD = `# Clients

In the tests, these clients talk to a real server that serves the demo with its adapters. The tests in \`test/clients\`
make this page. A mark is a feature that worked in the client's last run. An empty cell is a feature that the client
does not have, or that the tests do not try over that API.

- **Text** is a known answer, and **stream** is the same answer in pieces.
- **Structured output** is an answer that obeys a schema, in every way that the client offers. Ways that only ask the
  model in words are left out, such as instructor's \`MD_JSON\`, because their results depend on the model.
- **Tools** are calls that a model makes on its own, calls that are forced, and results that are sent back.
- **Abort** is a client that disconnects. The server counts the request as aborted.
- **Errors** are a wrong key (401), an unknown model (404) and a bad field (400), each as the client's own exception.

`;

/** @param root of the repository */
export function clientsPage(root: string): string {
  const folder = join(root, "test", "clients", "results");
  const runs = readdirSync(folder)
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as ClientRun);
  const columns = ["client", "runtime", "API", ...Object.values(COLUMNS), "more"];
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  const rows = runs.flatMap(rowsOf).map(line).join("");
  return `${HEAD}${line(columns)}${line(columns.map(() => "---"))}${rows}\n${waysText(runs)}${refusedText(runs)}`;
}

const partsOf = (feature: string): readonly string[] => feature.split(": ");

function rowsOf(run: ClientRun): string[][] {
  return Object.entries(run.apis).map(([api, outcomes]) => {
    const of = (column: string) => Object.entries(outcomes).filter(([feature]) => partsOf(feature)[0] === column);
    const more = Object.keys(outcomes).filter((feature) => COLUMNS[partsOf(feature)[0] ?? ""] === undefined);
    return [
      nameOf(run),
      run.runtime,
      api,
      ...Object.keys(COLUMNS).map((column) => markOf(of(column))),
      more.join(", "),
    ];
  });
}

function nameOf({ versions }: ClientRun): string {
  const [first = "", ...others] = Object.entries(versions).map(([name, version]) => `\`${name}\` ${version}`);
  return others.length === 0 ? first : `${first} (${others.join(", ")})`;
}

function markOf(outcomes: readonly (readonly [string, string])[]): string {
  if (outcomes.length === 0) return "";
  return outcomes.every(([, outcome]) => outcome === "ok") ? "✓" : "✓, some refused";
}

/** The ways to structured output and tools, by client and API. */
function waysText(runs: readonly ClientRun[]): string {
  const lines = runs.flatMap((run) =>
    Object.entries(run.apis).flatMap(([api, outcomes]) => {
      const ways = ["structured", "tools"].map((column) => {
        const names = Object.entries(outcomes).flatMap(([feature, outcome]) =>
          feature.startsWith(`${column}: `) && outcome === "ok" ? [partsOf(feature)[1] ?? ""] : [],
        );
        return names.join(", ");
      });
      return ways.every((way) => way === "") ? [] : [`| ${nameOf(run)} | ${api} | ${ways.join(" | ")} |\n`];
    }),
  );
  return `## Ways to structured output and tools\n\n| client | API | structured output | tools |\n| --- | --- | --- | --- |\n${lines.join("")}`;
}

function refusedText(runs: readonly ClientRun[]): string {
  const lines = runs.flatMap((run) =>
    Object.entries(run.apis).flatMap(([api, outcomes]) =>
      Object.entries(outcomes)
        .filter(([, outcome]) => outcome !== "ok")
        .map(
          ([feature, outcome]) => `| ${nameOf(run)} | ${api} | ${feature} | ${outcome.replace("refused: ", "")} |\n`,
        ),
    ),
  );
  if (lines.length === 0) return "";
  return `\n## Refused\n\n| client | API | feature | answer |\n| --- | --- | --- | --- |\n${lines.join("")}`;
}
