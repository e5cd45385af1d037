import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { openAdapterDirectory } from "../../../src/store/directory/adapter-directory.ts";
import {
  file,
  generation,
  base,
  dir,
  store,
  moveTo,
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
    // A reader of a file now finds that it is not what the record says.
    for (const name of ["a", "b", "young"]) {
      const path = join(dir, `${name}.mosara`);
      await store.imports.set(path, { ...store.imports.get(path)!, generation: generation(2) }); // it was imported
    }
    events.length = 0;
    utimesSync(join(dir, "b.mosara"), 1, 1);
    await start();
    expect(told().toSorted()).toEqual(["unchanged b.mosara", "unchanged young.mosara"]);
    await directory?.close();
    events.length = 0;
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
    events.length = 0;
    await start();
    expect(told().toSorted()).toEqual(["kept b.mosara", "kept c.mosara", "removed a.mosara"]);
    expect([names.get("a"), names.get("b")?.generation, names.get("c")]).toEqual([undefined, generation(2), undefined]);
    expect(store.imports.page()).toEqual({ imported: [], next: null });
  });

  it("leaves alone what came from another directory", async () => {
    write("a.mosara", file(1));
    await start();
    moveTo("elsewhere");
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

  it("reports what it cannot use and continues", async () => {
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
    expect(events).toHaveLength(before); // reported once, not at every look
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
