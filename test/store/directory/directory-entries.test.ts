/** Entries of the directory one by one: files imported by path, PEFT directories, and what is no adapter. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { madeUpAdapter } from "../../helpers/models/adapters.ts";
import { converterFor, writePeftDirectory } from "../../helpers/models/peft.ts";
import {
  file,
  generation,
  base,
  dir,
  store,
  names,
  directory,
  events,
  start,
  write,
  told,
  eventually,
  useAdapterDirectory,
} from "../../helpers/store/adapter-directory.ts";

useAdapterDirectory();

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

  it("that are not whole are reported and change nothing", async () => {
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
