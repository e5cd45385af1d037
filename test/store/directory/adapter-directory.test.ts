import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { decodeAdapter, encodeAdapter, generationOf } from "../../../src/adapter/adapter-file.ts";
import { AppError } from "../../../src/errors.ts";
import { type AdapterDirectory, openAdapterDirectory } from "../../../src/store/directory/adapter-directory.ts";
import type { AdapterNames } from "../../../src/store/adapter-names.ts";
import { type AdapterStore, openAdapterStore } from "../../../src/store/adapter-store.ts";
import type { AdapterDirectoryOptions, DirectoryEvent } from "../../../src/store/directory/directory-options.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { madeUpAdapter } from "../../helpers/models/adapters.ts";
import { converterFor, writePeftDirectory } from "../../helpers/models/peft.ts";

const file = (seed: number): Uint8Array => encodeAdapter(madeUpAdapter({ seed }));
const generation = (seed: number): string => generationOf(file(seed));

let base: string;
let dir: string;
let store: AdapterStore;
let names: AdapterNames;
let directory: AdapterDirectory | undefined;
let events: DirectoryEvent[];

beforeEach(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "mosara-directory-")));
  dir = join(base, "adapters");
  mkdirSync(dir);
  store = await openAdapterStore(join(base, "data"));
  names = store.namesOf(SHARED);
  events = [];
});
afterEach(async () => {
  await directory?.close();
  directory = undefined;
  await store.close();
  rmSync(base, { recursive: true, force: true });
});

async function start(options: Partial<AdapterDirectoryOptions> = {}): Promise<void> {
  await directory?.close();
  const onEvent = (event: DirectoryEvent) => events.push(event);
  directory = await openAdapterDirectory(dir, store, { onEvent, debounceMs: 30, ...options });
}

const write = (fileName: string, bytes: Uint8Array): void => writeFileSync(join(dir, fileName), bytes);
const told = (): string[] => events.map(({ path, outcome }) => `${outcome} ${path.slice(dir.length + 1)}`);
/** A shared machine may take its time. */
const eventually = <T>(value: () => T) => expect.poll(value, { timeout: 20_000 });
const serves = (name: string, seed: number) => eventually(() => names.get(name)?.generation).toBe(generation(seed));

describe("at start", () => {
  it("imports every .mosara file and nothing else", async () => {
    for (let i = 0; i < 300; i++) write(`n${i}.mosara`, file(i % 7));
    write("notes.txt", file(1));
    write(".hidden.mosara", file(1));
    mkdirSync(join(dir, "folder.mosara"));
    await start();
    expect(store.count()).toBe(300);
    expect(events).toHaveLength(300);
    expect(names.get("n8")?.generation).toBe(generation(1));
  });

  it("imports nothing twice", async () => {
    write("a.mosara", file(1));
    await start();
    await start();
    expect(told()).toEqual(["created a.mosara"]);
  });

  it("reads no file again that has not changed since a process before this one imported it", async () => {
    for (const name of ["a", "b", "young"]) write(`${name}.mosara`, file(1));
    await sleep(2100); // what was written a moment ago may be written again without a trace
    write("young.mosara", file(1));
    await start();
    await directory?.close();
    // Whoever reads a file now finds that it is not what the record says.
    for (const name of ["a", "b", "young"]) {
      const path = join(dir, `${name}.mosara`);
      await store.imports.set(path, { ...store.imports.get(path)!, generation: generation(2) }); // it was imported
    }
    events = [];
    utimesSync(join(dir, "b.mosara"), 1, 1);
    await start();
    expect(told().toSorted()).toEqual(["unchanged b.mosara", "unchanged young.mosara"]);
    await directory?.close();
    events = [];
    await start({ reservedNames: new Set(["a"]) });
    expect(told()).toEqual(["failed a.mosara"]);
  });

  it("removes names whose files went while nobody watched, unless they point to something newer", async () => {
    for (const name of ["a", "b", "c"]) write(`${name}.mosara`, file(1));
    await start();
    await directory?.close();
    await names.put("b", file(2));
    await names.delete("c");
    for (const name of ["a", "b", "c"]) rmSync(join(dir, `${name}.mosara`));
    events = [];
    await start();
    expect(told().toSorted()).toEqual(["kept b.mosara", "kept c.mosara", "removed a.mosara"]);
    expect([names.get("a"), names.get("b")?.generation, names.get("c")]).toEqual([undefined, generation(2), undefined]);
    expect(store.imports.page()).toEqual({ imported: [], next: null });
  });

  it("leaves alone what came from another directory", async () => {
    write("a.mosara", file(1));
    await start();
    dir = join(base, "elsewhere");
    mkdirSync(dir);
    await start();
    expect(names.get("a")).toBeDefined();
  });

  it("lets a PUT and a DELETE hold until the file changes", async () => {
    write("a.mosara", file(1));
    write("b.mosara", file(1));
    await start();
    await names.put("a", file(2));
    await names.delete("b");
    await start();
    await directory?.scan();
    expect([names.get("a")?.generation, names.get("b")]).toEqual([generation(2), undefined]);
    write("a.mosara", file(3));
    write("b.mosara", file(3));
    await serves("a", 3);
    await serves("b", 3);
  });

  it("reports what it cannot use and goes on", async () => {
    write("broken.mosara", file(1).subarray(9));
    write("empty.mosara", new Uint8Array());
    write("bad name.mosara", file(1));
    write("demo.mosara", file(1));
    write("large.mosara", new Uint8Array(10_000));
    write("outside.txt", file(1));
    write("z.mosara", file(1));
    writeFileSync(join(base, "secret.mosara"), file(1));
    symlinkSync(join(base, "secret.mosara"), join(dir, "link.mosara"));
    symlinkSync(join(dir, "nowhere"), join(dir, "dangling.mosara"));
    mkdirSync(join(dir, "peft"));
    writeFileSync(join(dir, "peft", "adapter_config.json"), "{}");
    const makePipe = "mkfifo"; // not a literal in the call, which knip takes for a dependency's command
    execFileSync(makePipe, [join(dir, "pipe.mosara")]);
    await start({ reservedNames: new Set(["demo"]), maxBytes: 9999 });
    const codes = events.map(({ path, error }) => [path.slice(dir.length + 1), (error as AppError | undefined)?.code]);
    expect(Object.fromEntries(codes)).toEqual({
      "broken.mosara": "adapter_invalid",
      "empty.mosara": "adapter_invalid",
      "bad name.mosara": "invalid_request",
      "demo.mosara": "invalid_request",
      "large.mosara": "adapter_too_large",
      "link.mosara": "invalid_request",
      peft: "invalid_request",
      "pipe.mosara": "invalid_request",
      "z.mosara": undefined,
    });
    expect(events.find(({ path }) => path.endsWith("peft"))?.error?.message).toMatch(
      /only .mosara files are read here/,
    );
    const before = events.length;
    await directory?.scan();
    expect(events).toHaveLength(before); // told once, not at every look
  });

  it("follows links that stay inside, and sees when they point elsewhere", async () => {
    // How Kubernetes mounts a ConfigMap: files are links through a directory link that is swapped.
    for (const seed of [1, 2]) {
      mkdirSync(join(dir, `..v${seed}`));
      write(`..v${seed}/a.mosara`, file(seed));
    }
    symlinkSync("..v1", join(dir, "..data"));
    symlinkSync(join("..data", "a.mosara"), join(dir, "a.mosara"));
    await start();
    expect(names.get("a")?.generation).toBe(generation(1));
    symlinkSync("..v2", join(dir, "..new"));
    renameSync(join(dir, "..new"), join(dir, "..data"));
    await serves("a", 2);
  });

  it("refuses a directory that is none", async () => {
    const missing = openAdapterDirectory(join(base, "none"), store, { onEvent: () => {} });
    await expect(missing).rejects.toMatchObject({ code: "usage" });
  });
});

describe("while watching", () => {
  it("imports new files, replaces changed ones and removes names of removed ones", async () => {
    await start();
    write("a.mosara", file(1));
    await serves("a", 1);
    write("a.mosara", file(2));
    await serves("a", 2);
    rmSync(join(dir, "a.mosara"));
    await eventually(() => names.get("a")).toBeUndefined();
    write("a.mosara", file(2));
    await serves("a", 2);
    // Others see a change when it is committed; it is reported when it is on disk.
    await eventually(told).toEqual(["created a.mosara", "replaced a.mosara", "removed a.mosara", "created a.mosara"]);
  });

  it("keeps a name whose file went when it points to something newer", async () => {
    write("a.mosara", file(1));
    await start();
    await names.put("a", file(2));
    rmSync(join(dir, "a.mosara"));
    await eventually(told).toContain("kept a.mosara");
    expect(names.get("a")?.generation).toBe(generation(2));
  });

  it("never lets a half-written file replace a good one", async () => {
    write("a.mosara", file(1));
    await start();
    const whole = file(2);
    for (let length = 0; length < whole.length; length += Math.ceil(whole.length / 5)) {
      write("a.mosara", whole.subarray(0, length));
      await sleep(60);
      expect(names.get("a")?.generation).toBe(generation(1));
    }
    expect(events.some(({ outcome, error }) => outcome === "failed" && error instanceof AppError)).toBe(true);
    write("a.mosara", whole);
    await serves("a", 2);
  });

  it("does not drop a name while its file is being replaced by removing and renaming", async () => {
    write("a.mosara", file(1));
    await start();
    write("a.tmp", file(2));
    rmSync(join(dir, "a.mosara"));
    const scanning = directory?.scan();
    await sleep(5);
    renameSync(join(dir, "a.tmp"), join(dir, "a.mosara"));
    await scanning;
    await serves("a", 2);
    expect(told()).toEqual(["created a.mosara", "replaced a.mosara"]);
  });

  it("sees a change of the same length in the same moment", async () => {
    await start();
    for (let i = 1; i <= 20; i++) {
      write("a.mosara", file(i));
      await sleep(i % 3);
    }
    await serves("a", 20);
  });

  it("keeps every name when the directory itself goes away, and finds it again", async () => {
    write("a.mosara", file(1));
    await start({ rescanMs: 40 });
    renameSync(dir, `${dir}.moved`);
    await eventually(() => events.some(({ outcome }) => outcome === "failed")).toBe(true);
    expect(names.get("a")?.generation).toBe(generation(1));
    renameSync(`${dir}.moved`, dir);
    write("b.mosara", file(2));
    await serves("b", 2);
  });
});

describe("importFile", () => {
  it("imports under the file's own name or another, whatever was imported before", async () => {
    write("a.mosara", file(1));
    await start();
    await names.delete("a");
    expect((await directory?.importFile("a.mosara"))?.outcome).toBe("created");
    expect((await directory?.importFile(join(dir, "a.mosara"), { name: "b" }))?.record.name).toBe("b");
    const precondition = { ifNoneMatch: "*" } as const;
    const again = directory?.importFile("a.mosara", { name: "b", precondition });
    await expect(again).rejects.toMatchObject({ code: "precondition_failed" });
    mkdirSync(join(dir, "sub"));
    write("sub/c.mosara", file(3));
    expect((await directory?.importFile("sub/c.mosara"))?.record.generation).toBe(generation(3));
    rmSync(join(dir, "a.mosara"));
    await eventually(() => names.get("a")).toBeUndefined();
    expect([names.get("b")?.generation, names.get("c")?.generation]).toEqual([generation(1), generation(3)]);
  });

  it("never leaves the directory", async () => {
    writeFileSync(join(base, "secret.mosara"), file(1));
    mkdirSync(`${dir}-sibling`);
    writeFileSync(join(`${dir}-sibling`, "x.mosara"), file(1));
    symlinkSync(base, join(dir, "up"));
    symlinkSync(join(base, "secret.mosara"), join(dir, "link.mosara"));
    await start();
    const outside = [
      "../secret.mosara",
      "sub/../../secret.mosara",
      join(base, "secret.mosara"),
      "/etc/passwd",
      "..",
      ".",
      "",
    ];
    const links = ["up/secret.mosara", "link.mosara", "../adapters-sibling/x.mosara", "up/../../secret.mosara"];
    for (const path of [...outside, ...links, "a\0.mosara", "../not-there"])
      await expect(directory?.importFile(path, { name: "x" }), path).rejects.toMatchObject({ code: "invalid_request" });
    await expect(directory?.importFile("none.mosara")).rejects.toMatchObject({ code: "adapter_not_found" });
    mkdirSync(join(dir, "folder"));
    for (const [path, name] of [
      ["folder", "x"],
      ["folder", "../x"],
    ] as const)
      await expect(directory?.importFile(path, { name })).rejects.toMatchObject({ code: "invalid_request" });
    expect(store.count()).toBe(0);
  });
});

describe("PEFT directories", () => {
  const lora = (seed: number) => madeUpAdapter({ method: "lora", seed });
  const convertPeft = converterFor(lora(1));
  const numbersOf = (name: string) => {
    const bytes = store.content(names.get(name)?.generation ?? "");
    return bytes && decodeAdapter(bytes).targets[0]?.tensors;
  };

  it("are imported under their own names, once, beside files", async () => {
    await writePeftDirectory(join(dir, "mine"), lora(1));
    write("other.mosara", file(1));
    mkdirSync(join(dir, "empty"));
    await start({ convertPeft });
    expect(told().sort()).toEqual(["created mine", "created other.mosara"]);
    expect(numbersOf("mine")).toEqual(lora(1).targets[0]?.tensors);
    await start({ convertPeft });
    expect(events).toHaveLength(2);
  });

  it("are followed when a file in them changes, and when they go", async () => {
    await writePeftDirectory(join(dir, "mine"), lora(1));
    await start({ convertPeft, rescanMs: 50 });
    await writePeftDirectory(join(dir, "mine"), lora(2));
    await eventually(() => numbersOf("mine")).toEqual(lora(2).targets[0]?.tensors);
    rmSync(join(dir, "mine"), { recursive: true });
    await eventually(() => names.get("mine")).toBeUndefined();
  });

  it("that are not whole are told of and change nothing", async () => {
    await writePeftDirectory(join(dir, "mine"), lora(1));
    await start({ convertPeft, rescanMs: 50 });
    rmSync(join(dir, "mine", "adapter_model.safetensors"));
    await eventually(() => events.at(-1)?.error?.message).toMatch(/has no adapter_model.safetensors/);
    writeFileSync(join(dir, "mine", "adapter_model.bin"), "x");
    await eventually(() => events.at(-1)?.error?.message).toMatch(/pickle/);
    expect(numbersOf("mine")).toEqual(lora(1).targets[0]?.tensors);
  });

  it("are imported by path, never from outside, never beyond the size", async () => {
    await start({ convertPeft, maxBytes: 4000 });
    mkdirSync(join(dir, "sub"));
    await writePeftDirectory(join(dir, "sub", "deep"), lora(1));
    await directory?.importFile("sub/deep", { name: "x" });
    expect(numbersOf("x")).toEqual(lora(1).targets[0]?.tensors);
    await writePeftDirectory(join(base, "secret"), lora(2));
    mkdirSync(join(dir, "links"));
    for (const name of ["adapter_config.json", "adapter_model.safetensors"])
      symlinkSync(join(base, "secret", name), join(dir, "links", name));
    symlinkSync(join(base, "secret"), join(dir, "link"));
    for (const path of ["links", "link", "../secret", "sub"])
      await expect(directory?.importFile(path, { name: "y" }), path).rejects.toMatchObject({ code: "invalid_request" });
    writeFileSync(join(dir, "sub", "deep", "adapter_model.safetensors"), new Uint8Array(4001));
    await expect(directory?.importFile("sub/deep", { name: "y" })).rejects.toMatchObject({ code: "adapter_too_large" });
  });
});

describe("an entry that is no adapter", () => {
  const gguf = Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(60)]);
  const safetensors = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("{}"), Buffer.alloc(4)]);
  const reasons = (): string[] => events.map(({ error }) => error?.message ?? "");

  it.each([
    ["model.gguf", gguf, /model\.gguf is not imported: it is a GGUF file/],
    ["adapter_model.safetensors", safetensors, /it is a safetensors file.*mosara import/],
    [
      "adapter.pt",
      Buffer.concat([Buffer.from("PK\x03\x04"), Buffer.from("archive/data.pkl\0")]),
      /a pickle of PyTorch/,
    ],
    ["pirate.msgpack", file(1), /a \.mosara file under another name\. Name it <adapter>\.mosara/],
  ])("is named once for what it is: %s", async (name, bytes, wanted) => {
    write(name, bytes);
    await start();
    expect(told()).toEqual([`failed ${name}`]);
    expect(reasons()[0]).toMatch(wanted);
    await directory?.scan();
    expect(events).toHaveLength(1);
  });

  it("is named where adapters lie in a directory of their own", async () => {
    mkdirSync(join(dir, "acme"));
    write("acme/one.mosara", file(1));
    mkdirSync(join(dir, "peft"));
    write("peft/adapter_model.safetensors", safetensors);
    mkdirSync(join(dir, "run", "checkpoint-10"), { recursive: true });
    write("run/checkpoint-10/adapter_config.json", Buffer.from("{}"));
    await start();
    expect(reasons().sort()).toEqual([
      expect.stringMatching(/^acme is not imported: .*files in it \(one\.mosara\) are not read/),
      expect.stringMatching(/^peft is not imported: .*no adapter_config\.json/),
      expect.stringMatching(/^run is not imported: .*the PEFT adapter in it \(checkpoint-10\) is not read/),
    ]);
  });

  it("is passed over where nobody can have meant it as one", async () => {
    write("README.md", Buffer.from("# Adapters"));
    write("scores.json", Buffer.from('{"pirate": 1}'));
    write("LICENSE", Buffer.from("text"));
    write("pirate.mosara.part", file(1));
    write("empty.bin", Buffer.alloc(0));
    mkdirSync(join(dir, "notes"));
    execFileSync("mkfifo", [join(dir, "pipe")]);
    await start();
    expect(events).toEqual([]);
  });
});
