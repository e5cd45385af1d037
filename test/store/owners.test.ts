import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open as openLmdb } from "lmdb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { type AdapterStore, openAdapterStore } from "../../src/store/adapter-store.ts";
import { isTenantName, SHARED } from "../../src/store/tenant.ts";
import { findVisible, listVisible } from "../../src/store/visible-names.ts";
import { madeUpAdapter } from "../helpers/models/adapters.ts";

const file = (seed: number): Uint8Array => encodeAdapter(madeUpAdapter({ seed }));

let dir: string;
let store: AdapterStore;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "mosara-owners-"));
  store = await openAdapterStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

describe("names of owners", () => {
  it("are apart: one may exist for each owner, with other content, and none changes another", async () => {
    // One owner's name begins with the other's, and one name with the other: keys must not run together.
    const owners = ["acme", "acme2", "acm", SHARED];
    await Promise.all(owners.map((owner, i) => store.namesOf(owner).put("pirate", file(i))));
    await store.namesOf("acme").put("pirate2", file(9));
    const found = owners.map((owner) => store.namesOf(owner).get("pirate"));
    expect(found.map((record) => record?.generation)).toEqual(owners.map((_, i) => generationOf(file(i))));
    expect(found.map((record) => record?.tenant)).toEqual(owners);
    await store.namesOf("acme").delete("pirate");
    await expect(store.namesOf("acme").delete("pirate")).rejects.toMatchObject({ code: "adapter_not_found" });
    expect(
      store
        .namesOf("acme")
        .list({ limit: 9 })
        .records.map(({ name }) => name),
    ).toEqual(["pirate2"]);
    expect(store.namesOf("acm").get("pirate")?.generation).toBe(generationOf(file(2)));
    expect(store.namesOf("globex").list({ limit: 9 })).toEqual({ records: [], hasMore: false });
  });

  it("share equal content, which lives until the last of them is gone", async () => {
    await Promise.all(["acme", "globex"].map((owner) => store.namesOf(owner).put("a", file(1))));
    expect([store.count(), store.totalBytes()]).toEqual([2, file(1).length]);
    await store.namesOf("acme").delete("a");
    expect(store.content(generationOf(file(1)))).toBeDefined();
    await store.namesOf("globex").delete("a");
    expect(store.content(generationOf(file(1)))).toBeUndefined();
  });

  it("are counted for each owner, with the bytes that it has put, after a restart too", async () => {
    await store.namesOf("acme").put("a", file(1));
    await store.namesOf("acme").put("b", file(1));
    await store.namesOf("acme").put("b", encodeAdapter(madeUpAdapter({ seed: 2, dOut: 99 })));
    await store.namesOf("globex").put("a", file(1));
    await store.close();
    store = await openAdapterStore(dir);
    const bytes = file(1).length + encodeAdapter(madeUpAdapter({ seed: 2, dOut: 99 })).length;
    expect(store.namesOf("acme").totals()).toEqual({ names: 2, bytes });
    expect(store.namesOf("globex").totals()).toEqual({ names: 1, bytes: file(1).length });
    await store.namesOf("globex").delete("a");
    expect(store.namesOf("globex").totals()).toEqual({ names: 0, bytes: 0 });
  });
});

describe("a tenant", () => {
  it("sees its own names before shared ones, in one order, whatever the page", async () => {
    const own = ["b", "d", "e"];
    const shared = ["a", "b", "c", "e", "f"];
    await Promise.all(own.map((name) => store.namesOf("acme").put(name, file(1))));
    await Promise.all(shared.map((name) => store.namesOf(SHARED).put(name, file(2))));
    await store.namesOf("globex").put("secret", file(3));
    // An own alias hides the shared adapter of its name, also where a page has nothing else.
    await store.aliasesOf("acme").put("c", { targets: [{ name: "b", generation: null, weight: 1 }] });
    for (const limit of [1, 2, 3, 6, 100]) {
      const found: string[] = [];
      let after: string | undefined;
      do {
        const page = listVisible(store, "acme", { limit, after });
        found.push(...page.records.map(({ tenant, name }) => `${tenant} ${name}`));
        after = page.next;
      } while (after !== undefined);
      expect(found).toEqual(["shared a", "acme b", "acme d", "acme e", "shared f"]);
    }
    expect(findVisible(store, "acme", "b")?.tenant).toBe("acme");
    expect(findVisible(store, "acme", "a")?.tenant).toBe(SHARED);
    expect(findVisible(store, "acme", "secret")).toBeUndefined();
    expect(findVisible(store, "globex", "b")?.tenant).toBe(SHARED);
  });

  it("has a name that is not the one of all", () => {
    expect(["acme", "default", "a.b-c_1"].filter(isTenantName)).toHaveLength(3);
    expect(["shared", "", "a/b", ".a", "x".repeat(65)].some(isTenantName)).toBe(false);
  });
});

/** Writes the names and imports of this store as layout 2 did: every key begins with "default". */
async function writeAsLayout2(path: string): Promise<void> {
  const root = openLmdb({ path, noSubdir: false, maxDbs: 16 });
  for (const name of ["names", "imports"]) {
    const table = root.openDB<object, [string, string]>({ name, encoding: "json" });
    for (const { key, value } of Array.from(table.getRange())) {
      await table.put(["default", key[1]], value);
      await table.remove(key);
    }
  }
  await root.openDB({ name: "tenants", encoding: "json" }).clearAsync();
  await root.openDB({ name: "meta", encoding: "json" }).put("formatVersion", 2);
  await root.close();
}

describe("a store of the layout without owners", () => {
  it("keeps every name, import and count, as shared ones", async () => {
    const names = store.namesOf(SHARED);
    await names.put("a", file(1), {}, { path: "/somewhere/a.mosara", state: "settled" });
    await names.put("b", file(2));
    const [records, totals] = [names.list({ limit: 9 }), names.totals()];
    const imported = store.imports.page();
    await store.close();
    await writeAsLayout2(dir);
    await expect(openAdapterStore(dir, { readOnly: true })).rejects.toThrow(/earlier layout 2.*Start the server/);
    store = await openAdapterStore(dir);
    expect(store.namesOf(SHARED).list({ limit: 9 })).toEqual(records);
    expect(store.namesOf(SHARED).totals()).toEqual(totals);
    expect(store.namesOf("default").list({ limit: 9 }).records).toEqual([]);
    expect(store.imports.page()).toEqual(imported);
    expect(store.imports.get("/somewhere/a.mosara")).toMatchObject({ name: "a", state: "settled" });
  });
});
