/** `mosara train --report` through the built program: a real run, a real report. Needs dist/ (npm test builds it). */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { METHODS } from "../../../src/adapter/methods.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";
import { xmlBreaches } from "../../helpers/markup-check.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const BASE = join(packageRoot(), "models", "demo");
const dir = mkdtempSync(join(tmpdir(), "mosara-report-test-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const MARK = "</pre><b>bold & \u{1F600}</b>";
const lines = Array.from({ length: 12 }, (_, i) =>
  JSON.stringify({ prompt: `Number ${i} ${MARK}`, completion: `${" and one".repeat(1 + (i % 4))} is ${i + 1}.` }),
);
writeFileSync(join(dir, "data.jsonl"), `${lines.join("\n")}\n`);
writeFileSync(join(dir, "held.jsonl"), `${lines.slice(0, 4).join("\n")}\n`);

function train(name: string, ...flags: string[]) {
  const common = ["--data", "data.jsonl", "--steps", "4", "--batch-size", "4", "--threads", "1", "--out", name];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [MAIN, "train", "--model", BASE, ...common, ...flags],
    {
      cwd: dir,
      encoding: "utf8",
      env: { ...process.env, TMPDIR: join(dir, "tmp") },
    },
  );
  return { status, stdout, stderr };
}
mkdirSync(join(dir, "tmp"));

describe("mosara train --report", () => {
  it.each(
    [...Object.keys(METHODS), "full"].map((method) => [method, method === "mo-sara" ? ["--heads", "2"] : []] as const),
  )("shows a run of %s", (method, flags) => {
    const out = `${method}.out`;
    const { status, stdout, stderr } = train(
      out,
      "--method",
      method,
      ...flags,
      "--eval",
      "held.jsonl",
      "--report",
      `${method}.html`,
      "--json",
    );
    expect(status, stderr).toBe(0);
    const { evalLoss, evalLossBase } = JSON.parse(stdout) as { evalLoss: number; evalLossBase: number };
    const html = readFileSync(join(dir, `${method}.html`), "utf8");
    expect(html).toContain(`${evalLossBase.toFixed(3)} → ${evalLoss.toFixed(3)}`);
    expect(html).toContain(`--out ${out}`);
    const ids = [...html.matchAll(/<section id="([^"]*)"/g)].map(([, id]) => id);
    const wanted = ["curves", "samples", ...(method === "full" ? [] : ["spectrum"]), "movement"];
    expect(ids).toEqual([...wanted, ...(flags.length > 0 ? ["router"] : []), "settings"]);
    expect(html.match(/<article class="sample"/g)).toHaveLength(4);
    expect(html).toContain("Number 0 &lt;/pre&gt;&lt;b&gt;bold &amp; \u{1F600}");
    for (const svg of html.match(/<svg[\s\S]*?<\/svg>/g) ?? []) expect(xmlBreaches(svg)).toEqual([]);
    expect(readdirSync(join(dir, "tmp"))).toEqual([]);
  });

  it("shows the base's answers where nothing is held out, and the report again on --resume", () => {
    expect(train("again.mosara", "--report", "first.html").status).toBe(0);
    expect(train("again.mosara", "--report", "second.html", "--resume").status).toBe(0);
    const [first, second] = ["first.html", "second.html"].map((name) => readFileSync(join(dir, name), "utf8"));
    expect(first).toContain("nothing was held out");
    const named = first?.replace("first.html</span>", "second.html</span> <span>--resume</span>");
    const withoutCommand = (html = ""): string => html.replace(/<pre class="command"[\s\S]*?<\/pre>/, "");
    expect(withoutCommand(second)).toBe(withoutCommand(named));
  });

  it.each([
    ["a directory that is not there", join("no", "r.html"), /--report no\/r\.html: there is no directory/],
    ["a directory in its place", "tmp", /--report tmp: this is a directory/],
  ])("refuses before the first step: %s", (_, path, message) => {
    const { status, stderr } = train("refused.mosara", "--report", path);
    expect([status, stderr.trim().split("\n").at(-1)]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(join(dir, "refused.mosara.log.jsonl"))).toBe(false);
  });
});
