/** vLLM's routes that load and unload adapters, with its words and its fields. */
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { generationOf } from "../../../src/adapter/adapter-file.ts";
import { SHARED } from "../../../src/store/tenant.ts";
import { madeUpAdapter } from "../../helpers/models/adapters.ts";
import { writePeftDirectory } from "../../helpers/models/peft.ts";
import { fittingAdapter } from "../../helpers/http-app.ts";
import { test, dir, send, get, useAdapters } from "../../helpers/http/adapters.ts";

useAdapters();

const [one, two] = [fittingAdapter(1), fittingAdapter(2)];

const [first, second] = [generationOf(one), generationOf(two)];

describe("vLLM's routes", () => {
  const load = (body: object) => send("POST", "/v1/load_lora_adapter", { body: JSON.stringify(body) });
  beforeEach(() => {
    writeFileSync(join(dir, "adapters", "file.mosara"), one);
    writeFileSync(join(dir, "adapters", "new.mosara"), two);
    writeFileSync(join(dir, "outside.mosara"), one);
  });

  it("load and unload in vLLM's words", async () => {
    const loaded = await load({ lora_name: "acme", lora_path: "file.mosara" });
    expect([loaded.status, loaded.body]).toEqual([200, "Success: LoRA adapter 'acme' added successfully."]);
    expect(loaded.headers.get("content-type")).toMatch(/^text\/plain/);
    const again = await load({ lora_name: "acme", lora_path: "file.mosara" });
    expect([again.status, again.body]).toEqual([200, "Success: LoRA adapter 'acme' is loaded already."]);
    expect((await load({ lora_name: "acme", lora_path: "new.mosara" })).json.error.code).toBe("invalid_request");
    expect((await get("/v1/adapters/acme")).json.generation).toBe(first);
    expect(
      (await load({ lora_name: "acme", lora_path: join(dir, "adapters", "new"), load_inplace: true })).status,
    ).toBe(200);
    expect((await get("/v1/adapters/acme")).json.generation).toBe(second);
    const unload = await send("POST", "/v1/unload_lora_adapter", { body: '{"lora_name":"acme"}' });
    expect([unload.status, unload.body]).toEqual([200, "Success: LoRA adapter 'acme' removed successfully."]);
    expect((await send("POST", "/v1/unload_lora_adapter", { body: '{"lora_name":"acme"}' })).status).toBe(404);
  });

  it("accept other servers' fields that change nothing, and refuse the rest", async () => {
    const acme = { lora_name: "acme", lora_path: "file" };
    expect((await load({ ...acme, lora_int_id: 3, pinned: true, base_model_name: "base" })).status).toBe(200);
    const refused = async (fields: object) => (await load({ ...acme, ...fields })).json.error;
    expect(await refused({ is_3d_lora_weight: true })).toMatchObject({ param: "is_3d_lora_weight" });
    expect(await refused({ lora_scale: 0.5 })).toMatchObject({ code: "unsupported_parameter", param: "lora_scale" });
    const unload = await send("POST", "/v1/unload_lora_adapter", { body: '{"lora_name":"acme","lora_int_id":3}' });
    expect(unload.status).toBe(200);
  });

  it("load PEFT directories, and say what is wrong with one", async () => {
    await writePeftDirectory(join(dir, "adapters", "peft"), madeUpAdapter({ method: "lora" }));
    expect((await load({ lora_name: "mine", lora_path: "peft" })).status).toBe(200);
    expect((await get("/v1/adapters/mine")).json).toMatchObject({
      method: "lora",
      compatible: true,
      bytes: expect.any(Number),
    });
    writeFileSync(join(dir, "adapters", "peft", "adapter_config.json"), '{"peft_type":"LOHA"}');
    const answer = await load({ lora_name: "other", lora_path: "peft" });
    expect([answer.status, answer.json.error.code]).toEqual([400, "adapter_invalid"]);
    expect(answer.json.error.message).toContain("LOHA");
  });

  it("never read beyond the --adapters directory", async () => {
    symlinkSync(join(dir, "outside.mosara"), join(dir, "adapters", "link.mosara"));
    for (const path of [
      "../outside.mosara",
      join(dir, "outside.mosara"),
      "link.mosara",
      "a/../../outside.mosara",
      "/etc/passwd",
      ".",
      "x\0y",
    ]) {
      const answer = await load({ lora_name: "acme", lora_path: path });
      expect([path, answer.status, answer.json.error.code]).toEqual([path, 400, "invalid_request"]);
    }
    expect((await load({ lora_name: "acme", lora_path: "nothing" })).json.error.code).toBe("adapter_not_found");
    expect((await load({ lora_name: "base", lora_path: "file.mosara" })).status).toBe(400);
    expect(test.store.namesOf(SHARED).get("acme")).toBeUndefined();
  });
});
