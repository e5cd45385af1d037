/** What a server does when its device is lost: the driver's own answer, in the real processes. Needs dist/ and a C compiler. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { builtBase } from "../helpers/bases.ts";
import { makeFailingDevice } from "../helpers/failing-device.ts";
import { modelCases } from "../helpers/fixtures.ts";
import { complete, metric, send, startServer, stream, until } from "../helpers/server.ts";
import { describeOnWebgpu } from "../helpers/webgpu.ts";

const NAME = "model";
const question = (numTokens: number) => ({ model: NAME, prompt: [5, 17, 33, 2, 60], max_tokens: numTokens });

/** In CI it fails without one. */
const isSkipped = spawnSync("cc", ["--version"]).status !== 0 && !process.env.CI;
if (isSkipped) console.warn("No C compiler (cc): the test of a lost device is skipped.");

describeOnWebgpu("a server whose device is lost", () => {
  it.skipIf(isSkipped)(
    "ends its streams with an error and answers the same from another engine",
    { timeout: 900_000 },
    async () => {
      const found = modelCases().find(({ dir }) => existsSync(join(dir, "tokenizer.json")));
      if (!found) throw new Error("no model fixture has a tokenizer");
      const device = makeFailingDevice();
      const base = await builtBase(found.dir, { targets: "none" });
      const flags = ["--model", base, "--served-model-name", NAME, "--device", "webgpu", "--max-num-seqs", "2"];
      await using server = await startServer(flags, { env: device.env });
      const expected = (await complete(server.url, question(8))).json.choices[0]?.token_ids;
      expect(expected).toHaveLength(8);

      const running = stream(server.url, question(100));
      await until("tokens", () => running.answer.ids.length > 2);
      device.lose();
      expect(await running.ended).toMatchObject({ isDone: false, errorCode: "engine_unavailable" });
      expect((await send(`${server.url}/healthz`, "GET")).status).toBe(200);
      const ready = () => send(`${server.url}/readyz`, "GET");
      expect((await ready()).text).toMatch(/The device \(webgpu\) is lost/);
      await until("another engine", async () => (await ready()).status === 200);
      expect((await complete(server.url, question(8))).json.choices[0]?.token_ids).toEqual(expected);
      expect(await metric(server.url, "mosara_engine_restarts_total")).toBe(1);
    },
  );
});
