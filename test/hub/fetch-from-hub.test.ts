/**
 * Fetching from a server that speaks the Hub's routes, with its redirects, ranges and faults, into the cache that
 * transformers uses too.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fetchFromHub } from "../../src/hub/fetch-from-hub.ts";
import { parseHubName } from "../../src/hub/hub-name.ts";
import { hubSettings } from "../../src/hub/hub-settings.ts";
import { type FakeHub, gitHash, startHub } from "../helpers/outside/hub-server.ts";
import { hasPython } from "../helpers/outside/python.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const REPO = "owner/name";
const WEIGHTS = Buffer.from(Float32Array.from({ length: 50_000 }, (_, i) => Math.sin(i)).buffer);
const FILES = new Map([
  ["config.json", Buffer.from('{"model_type":"llama"}')],
  ["tokenizer.json", Buffer.from("{}")],
  ["model.safetensors", WEIGHTS],
  ["README.md", Buffer.from("# no")],
  ["pytorch_model.bin", Buffer.from("a pickle")],
]);
const WANTED = ["config.json", "model.safetensors", "tokenizer.json"];
const weightsHash = createHash("sha256").update(WEIGHTS).digest("hex");
const scratch = mkdtempSync(join(tmpdir(), "mosara-hub-"));

let hub: FakeHub;
let cacheDir: string;
let notes: string[];
beforeAll(async () => {
  hub = await startHub();
});
afterAll(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(() => {
  cacheDir = mkdtempSync(join(scratch, "cache-"));
  notes = [];
  hub.repositories.set(REPO, { files: FILES, large: new Set(["model.safetensors"]), commit: COMMIT, licence: "mit" });
  hub.requests.length = 0;
});
afterEach(() => Object.assign(hub.faults, { breaksAfter: null, ignoresRanges: false, corrupts: false, busyTimes: 0 }));

async function fetchName(
  text: string,
  env: NodeJS.ProcessEnv = {},
  kind: "model" | "adapter" = "model",
): Promise<string> {
  const name = parseHubName(text);
  if (!name) throw new Error(text);
  const settings = hubSettings({ HF_ENDPOINT: hub.url, HF_HUB_CACHE: cacheDir, HF_HOME: scratch, ...env });
  return await fetchFromHub(name, kind, settings, { note: (line) => void notes.push(line), progress: () => {} });
}

const repoDir = (): string => join(cacheDir, "models--owner--name");
const downloads = (): string[] => hub.requests.flatMap(({ origin, path }) => (origin === "storage" ? [path] : []));
const partials = (): string[] => readdirSync(join(repoDir(), "blobs")).filter((name) => name.endsWith(".incomplete"));

describe("a repository", () => {
  it("comes as the files that are needed, in the layout of the Hub's cache", async () => {
    const dir = await fetchName(REPO, { HF_TOKEN: "hf_good" });
    expect(dir).toBe(join(repoDir(), "snapshots", COMMIT));
    expect(readdirSync(dir).sort()).toEqual(WANTED);
    for (const path of WANTED) expect(readFileSync(join(dir, path)).equals(FILES.get(path) as Buffer)).toBe(true);
    expect(readlinkSync(join(dir, "model.safetensors"))).toBe(join("..", "..", "blobs", weightsHash));
    expect(lstatSync(join(repoDir(), "blobs", gitHash(FILES.get("config.json") as Buffer))).isFile()).toBe(true);
    expect(readFileSync(join(repoDir(), "refs", "main"), "utf8")).toBe(COMMIT);
    expect(notes).toEqual(["downloading owner/name (01234567): 3 files, 201 kB, licence: mit"]);
  });

  it("gets the token at the hub's own origin only", async () => {
    await fetchName(REPO, { HF_TOKEN: "hf_good" });
    const byOrigin = (wanted: string) => hub.requests.filter(({ origin }) => origin === wanted);
    expect(byOrigin("hub").every(({ authorization }) => authorization === "Bearer hf_good")).toBe(true);
    expect(byOrigin("storage")).toHaveLength(1);
    expect(byOrigin("storage")[0]?.authorization).toBeUndefined();
  });

  it("is not fetched again, and one file of a new commit is fetched alone", async () => {
    await fetchName(REPO);
    hub.requests.length = 0;
    await fetchName(REPO);
    expect(hub.requests.map(({ path }) => path)).toEqual([`/api/models/owner/name/revision/main?blobs=true`]);
    const files = new Map([...FILES, ["config.json", Buffer.from('{"model_type":"qwen2"}')]]);
    hub.repositories.set(REPO, { files, large: new Set(["model.safetensors"]), commit: COMMIT.replace("0", "f") });
    hub.requests.length = 0;
    const dir = await fetchName(REPO);
    expect(readFileSync(join(dir, "config.json"), "utf8")).toContain("qwen2");
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(downloads()).toEqual([]);
  });
});

describe("a download that breaks off", () => {
  it("continues where it stopped, as often as it advances", async () => {
    hub.faults.breaksAfter = 40_000; // five times in 200,000 bytes
    const dir = await fetchName(REPO);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    const ranges = hub.requests.filter(({ origin }) => origin === "storage").map(({ range }) => range);
    expect(ranges.length).toBeGreaterThan(4);
    expect(ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range ?? ""))).toBe(true);
    expect(partials()).toEqual([]);
  });

  it("of a process that has ended is continued, whole or damaged", async () => {
    mkdirSync(join(repoDir(), "blobs"), { recursive: true });
    const left = join(repoDir(), "blobs", `${weightsHash}.${hostname()}-999999999.incomplete`);
    writeFileSync(left, WEIGHTS.subarray(0, 150_000));
    await fetchName(REPO);
    expect(hub.requests.find(({ origin }) => origin === "storage")?.range).toBe("bytes=150000-");
    rmSync(repoDir(), { recursive: true });
    mkdirSync(join(repoDir(), "blobs"), { recursive: true });
    writeFileSync(left, Buffer.alloc(150_000));
    const dir = await fetchName(REPO);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(existsSync(left)).toBe(false);
  });

  it("begins again where the storage ignores ranges", async () => {
    mkdirSync(join(repoDir(), "blobs"), { recursive: true });
    writeFileSync(
      join(repoDir(), "blobs", `${weightsHash}.${hostname()}-999999999.incomplete`),
      WEIGHTS.subarray(0, 1000),
    );
    hub.faults.ignoresRanges = true;
    const dir = await fetchName(REPO);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
  });

  it("survives a hub that is busy", async () => {
    hub.faults.busyTimes = 3;
    expect(existsSync(await fetchName(REPO))).toBe(true);
  });
});

describe("a refusal", () => {
  it("of damaged content keeps nothing", async () => {
    hub.faults.corrupts = true;
    await expect(fetchName(REPO)).rejects.toThrow(/model\.safetensors of owner\/name is damaged/);
    expect(readdirSync(join(repoDir(), "blobs"))).not.toContain(weightsHash);
    expect(partials()).toEqual([]);
  });

  it("names a repository that is missing, private or gated, and a revision that is missing", async () => {
    await expect(fetchName("owner/other")).rejects.toThrow(/does not exist, or it is private\. Set HF_TOKEN/);
    await expect(fetchName(`${REPO}@nowhere`)).rejects.toThrow(/owner\/name has no revision "nowhere"/);
    hub.repositories.set(REPO, { files: FILES, large: new Set(["model.safetensors"]), commit: COMMIT, isGated: true });
    await expect(fetchName(REPO)).rejects.toThrow(/owner\/name is gated.*set HF_TOKEN to a token of that account\./);
    expect(existsSync(await fetchName(REPO, { HF_TOKEN: "hf_good" }))).toBe(true);
  });

  it("never writes outside of the cache", async () => {
    const files = new Map([...FILES, ["additional_chat_templates/../../../../x.jinja", Buffer.from("x")]]);
    hub.repositories.set(REPO, { files, large: new Set(), commit: COMMIT });
    await fetchName(REPO);
    expect(existsSync(join(scratch, "x.jinja"))).toBe(false);
    expect(existsSync(join(cacheDir, "x.jinja"))).toBe(false);
  });
});

describe("without a network", () => {
  it("the cache answers, and says so where nobody asked for it", async () => {
    const dir = await fetchName(REPO);
    hub.requests.length = 0;
    expect(await fetchName(REPO, { HF_HUB_OFFLINE: "1" })).toBe(dir);
    expect(await fetchName(`${REPO}@${COMMIT}`, { HF_HUB_OFFLINE: "TRUE" })).toBe(dir);
    expect(hub.requests).toEqual([]);
    notes = [];
    expect(await fetchName(REPO, { HF_ENDPOINT: "http://127.0.0.1:2" })).toBe(dir);
    expect(notes).toEqual([
      expect.stringMatching(/^warning: http:\/\/127\.0\.0\.1:2 does not answer, so owner\/name is read from the cache/),
    ]);
  });

  it("a model that is not there is refused with the way out", async () => {
    await expect(fetchName(REPO, { HF_HUB_OFFLINE: "1" })).rejects.toThrow(
      /is not in the cache .* HF_HUB_OFFLINE forbids/,
    );
    await expect(fetchName(REPO, { HF_ENDPOINT: "http://127.0.0.1:2" })).rejects.toThrow(
      /is not a local path, and cannot be downloaded/,
    );
  });

  it("a cache with the configuration alone is not a model", async () => {
    const dir = await fetchName(REPO);
    rmSync(join(dir, "model.safetensors"));
    await expect(fetchName(REPO, { HF_HUB_OFFLINE: "1" })).rejects.toThrow(/is not in the cache/);
  });
});

describe.skipIf(!hasPython(["huggingface_hub"], "the Hub's own tools"))("huggingface_hub", () => {
  const python = async (program: string): Promise<string> => {
    const env = { ...process.env, HF_ENDPOINT: hub.url, HF_HUB_CACHE: cacheDir, HF_HOME: scratch };
    const child = spawn(process.env.MOSARA_PYTHON ?? "python3", ["-c", program], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let printed = "";
    child.stdout.on("data", (data: Buffer) => (printed += data.toString()));
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(0);
    return printed.trim();
  };

  it("finds what mosara has fetched", async () => {
    const dir = await fetchName(REPO);
    const found = await python(
      `from huggingface_hub import hf_hub_download\nprint(hf_hub_download("${REPO}", "model.safetensors", local_files_only=True))`,
    );
    expect(found).toBe(join(dir, "model.safetensors"));
  });

  it("fetches what mosara then finds", async () => {
    const path = await python(
      `from huggingface_hub import hf_hub_download\nfor path in ${JSON.stringify(WANTED)}: print(hf_hub_download("${REPO}", path))`,
    );
    const dir = dirname(path.split("\n")[0] ?? "");
    hub.requests.length = 0;
    expect(await fetchName(REPO)).toBe(dir);
    expect(downloads()).toEqual([]);
    expect(hub.requests).toHaveLength(1);
  });
});
