import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { z } from "zod";
import { COMMANDS, type CommandName, environmentName, flagName } from "../../src/config/commands.ts";
import { parseCommand } from "../../src/config/parse.ts";
import { AppError } from "../../src/errors.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-parse-"));

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The path of a settings file with this text. */
function settingsFile(text: string): string {
  const path = join(scratch, "mosara.yaml");
  writeFileSync(path, text);
  return path;
}

const serve = (args: string[], env: Record<string, string> = {}) => parseCommand("serve", args, env);

const usageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe("usage");
    return (error as AppError).message;
  }
  throw new Error("nothing was refused");
};

describe("an unknown flag", () => {
  it.each([
    ["--max-num-seq", "--max-num-seqs"],
    ["--max_model_len", "--max-model-len"],
    ["--adapter", "--adapters"],
    ["--api-keys", "--api-key"],
    ["--Model", "--model"],
  ])("close to a known one is asked about: %s", (given, meant) => {
    expect(usageOf(() => serve([given, "1"]))).toMatch(
      new RegExp(`Unknown option '${given}'.* Did you mean ${meant}\\?`),
    );
  });

  it("close to none is refused alone", () => {
    expect(usageOf(() => serve(["--tensor-parallel-size", "2"]))).not.toContain("Did you mean");
  });
});

describe("values", () => {
  it("come from the flag, else the environment, else the default", () => {
    expect(serve([]).port).toBe(8080);
    expect(serve([], { MOSARA_PORT: "9" }).port).toBe(9);
    expect(serve(["--port", "0"], { MOSARA_PORT: "9" }).port).toBe(0);
    expect(serve([], { MOSARA_PORT: "" }).port).toBe(8080);
  });

  it("have the documented defaults", () => {
    expect(serve([])).toMatchObject({
      host: "127.0.0.1",
      data: "./data",
      maxNumSeqs: 16,
      maxMerged: 1,
      maxLiveRank: 64,
      shutdownTimeout: 30,
      device: "cpu",
      weights: "auto",
      apiKey: [],
      merge: [],
    });
  });

  it("of every flag can be set by its variable", () => {
    const samples: Record<string, string> = {
      device: "cuda",
      weights: "int4",
      blockSize: "64",
      threshold: "0.5",
      logLevel: "info",
      maxLiveRank: "8",
      dtype: "float16",
      method: "sara",
      objective: "dpo",
      router: "full",
      overlong: "skip",
      metric: "loss",
      placement: "merged",
      toolCallParser: "mistral",
      reasoningParser: "think",
      verifyUploads: "strict",
      receipts: "asked",
      corsOrigin: "https://app.example:8443",
      kvCacheDtype: "int8",
      scopes: "use,write",
      limitsRedis: "redis://:secret@localhost:6379/2",
      expires: "2027-01-31T00:00:00Z",
      queueShare: "0.5",
      store: "s3://bucket/prefix",
      adapterSource: "hf://owner",
      config: settingsFile("# none"),
    };
    for (const [command, { flags, positionals }] of Object.entries(COMMANDS)) {
      const isRequired = ([, flag]: [string, { schema: z.ZodType }]) => !flag.schema.safeParse(undefined).success;
      const required = Object.fromEntries(
        Object.entries<{ schema: z.ZodType }>(flags)
          .filter(isRequired)
          .map(([key]) => [environmentName(key), samples[key] ?? "x"]),
      );
      for (const [key, flag] of Object.entries(flags)) {
        if (key === "help") continue;
        const text = "value" in flag ? (samples[key] ?? "3") : "1";
        const fromEnv = parseCommand(command as CommandName, [...positionals], {
          ...required,
          [environmentName(key)]: text,
        });
        const args = "value" in flag ? [`--${flagName(key)}`, text] : [`--${flagName(key)}`];
        const fromFlag = parseCommand(command as CommandName, [...positionals, ...args], required);
        expect([key, (fromEnv as Record<string, unknown>)[key]]).toEqual([
          key,
          (fromFlag as Record<string, unknown>)[key],
        ]);
      }
    }
  });

  it("of every flag can be set in the file of --config, as YAML has them", () => {
    const settings = {
      "max-num-seqs": 32,
      "max-adapter-bytes": "64M",
      "served-model-name": "007",
      "strict-fields": true,
      "public-metrics": false,
      merge: ["a", "b"],
      "api-key": ["acme=k1", "k2"],
      "cors-origin": "*",
      threshold: 0.5,
      "shutdown-timeout": 2.5,
    };
    const path = settingsFile(JSON.stringify(settings)); // JSON is YAML
    const texts = ["--max-num-seqs", "32", "--max-adapter-bytes", "64M", "--served-model-name", "007"];
    const more = ["--strict-fields", "--merge", "a,b", "--api-key", "acme=k1", "--api-key", "k2", "--cors-origin", "*"];
    const flags = [...texts, ...more, "--threshold", "0.5", "--shutdown-timeout", "2.5"];
    expect(serve(["--config", path])).toEqual({ ...serve(flags), config: path });
    expect(serve([], { MOSARA_CONFIG: path })).toEqual(serve(["--config", path]));
    const plain = settingsFile("# all of it\nmax-num-seqs: 32 # rows\ncors-origin:\n  - https://a.example\n");
    expect(serve(["--config", plain])).toMatchObject({ maxNumSeqs: 32, corsOrigin: ["https://a.example"] });
  });

  it("of the file of --config give way to variables, and these to flags", () => {
    const file = ["--config", settingsFile("port: 1\nstrict-fields: true\n")];
    expect(serve(file)).toMatchObject({ port: 1, strictFields: true });
    expect(serve(file, { MOSARA_PORT: "2", MOSARA_STRICT_FIELDS: "0" })).toMatchObject({
      port: 2,
      strictFields: false,
    });
    expect(serve([...file, "--port", "3"], { MOSARA_PORT: "2" }).port).toBe(3);
  });

  it.each([
    ["max-num-seq: 3", /has max-num-seq, which is not a setting\. Did you mean max-num-seqs\?/],
    ["max_num_seqs: 3", /Did you mean max-num-seqs\?/],
    ["config: other.yaml", /has config, which is not a setting/],
    ["port: 70000", /port in \S*mosara\.yaml must be 0 to 65535, found "70000"/],
    ["strict-fields: 1", /must give strict-fields true or false, found 1/],
    ["port:", /must give port a text, a number, or a list of them, found null/],
    ["port: {a: 1}", /found \{"a":1\}/],
    ["api-key: {acme: secret}", /must give api-key a text, a number, or a list of them\.$/],
    ["port: 1\nport: 2", /not valid YAML in line 2/],
    ["a: [", /not valid YAML in line 1/],
    ["a: !thing 3", /not valid YAML in line 1/],
    ["- port", /must map names of flags to values/],
  ])("of a settings file that cannot be meant are refused: %s", (text, message) => {
    expect(usageOf(() => serve(["--config", settingsFile(text)]))).toMatch(message);
  });

  // init was refused with "config.json of --config has architectures, which is not a setting".
  it("of another command are not read from its --config, which is a model's configuration", () => {
    const config = settingsFile('{"architectures": ["LlamaForCausalLM"], "hidden_size": 64}');
    const args = ["--config", config, "--tokenizer", "texts", "--out", "new"];
    expect(parseCommand("init", args, {})).toMatchObject({ config, tokenizer: "texts", out: "new" });
  });

  it("of a settings file that is missing are not passed over", () => {
    expect(usageOf(() => serve(["--config", join(scratch, "none.yaml")]))).toMatch(
      /none\.yaml of --config cannot be read/,
    );
    expect(serve(["--config", join(scratch, "none.yaml"), "--help"]).help).toBe(true);
  });

  it("of sizes may be in K, M and G", () => {
    expect(serve(["--kv-cache-bytes", "2G"]).kvCacheBytes).toBe(2 ** 31);
    expect(serve(["--kv-cache-bytes=100"]).kvCacheBytes).toBe(100);
  });

  it("of keys carry a tenant or are the default one's, and may hold =", () => {
    expect(serve(["--api-key", "acme=k1", "--api-key", "k2"]).apiKey).toEqual([
      { tenant: "acme", key: "k1" },
      { tenant: "default", key: "k2" },
    ]);
    expect(serve([], { MOSARA_API_KEY: "acme=k1, k2" }).apiKey).toHaveLength(2);
    expect(serve(["--api-key", "a=b=c"]).apiKey).toEqual([{ tenant: "a", key: "b=c" }]);
    expect(usageOf(() => serve(["--api-key", "shared=k"]))).toContain('the tenant "shared"');
    expect(serve(["--api-key", "c2VjcmV0="]).apiKey).toEqual([{ tenant: "default", key: "c2VjcmV0=" }]);
  });

  it("of origins are origins, and of host names have no port", () => {
    const origins = ["--cors-origin", "https://App.example", "--cors-origin", "*"];
    expect(serve(origins).corsOrigin).toEqual(["https://app.example", "*"]);
    for (const wrong of ["app.example", "https://app.example/", "https://app.example/path", "null", "ftp://x", ""])
      expect(() => serve(["--cors-origin", wrong])).toThrow(/--cors-origin/);
    expect(serve(["--allowed-host", "LLM.example"]).allowedHost).toEqual(["llm.example"]);
    for (const wrong of ["llm.example:8080", "https://llm.example", "a b", ""])
      expect(() => serve(["--allowed-host", wrong])).toThrow(/--allowed-host/);
  });

  it("of training data may follow their flag as a shell lists them", () => {
    const args = ["--model", "m", "--out", "o", "--data", "a", "b", "--seed", "1", "--data", "c"];
    expect(parseCommand("train", args, {}).data).toEqual(["a", "c", "b"]);
    expect(usageOf(() => parseCommand("train", ["--model", "m", "--out", "o", "a"], {}))).toMatch(/needs --data/);
  });

  it.each(["-kf3_", "--Zq1", "-1"])("that begin with a hyphen belong to their flag: %s", (key) => {
    expect(parseCommand("replay", ["r.json", "--public-key", key], {})).toMatchObject({ publicKey: key });
  });

  it("are not the flag that follows", () => {
    expect(usageOf(() => serve(["--model", "--port", "80"]))).toContain("--model");
  });

  it("of rates may be written as people write them", () => {
    const rate = (lr: string) =>
      parseCommand("train", ["--model", "m", "--out", "o", "--data", "d", "--lr", lr], {}).lr;
    expect([rate("0.1"), rate(".5"), rate("3e-4"), rate("2.")]).toEqual([0.1, 0.5, 0.0003, 2]);
    for (const lr of ["0", "-1", "x", "1e999"]) expect(() => rate(lr)).toThrow(/--lr/);
  });

  it("are frozen", () => {
    expect(Object.isFrozen(serve([]))).toBe(true);
  });
});

describe("wrong usage", () => {
  it.each([
    [["--prot", "1"], /--prot/],
    [["--port"], /--port/],
    [["--port", "x"], /--port must be a whole number, found "x"/],
    [["--port", "70000"], /--port must be 0 to 65535/],
    [["--port", "-1"], /--port/],
    [["--max-num-seqs", "0"], /--max-num-seqs/],
    [["--device", "gpu"], /one of cpu, webgpu, cuda, found "gpu"/],
    [["--kv-cache-bytes", "2T"], /--kv-cache-bytes/],
    [["--threshold", "0"], /--threshold/],
    [["--threshold", "1.5"], /--threshold/],
    [["--block-size", "33"], /--block-size must be one of 32, 64, 128/],
    [["--weights", "int5"], /--weights must be auto, .*int4, or auto:<bits> such as auto:4.75, found "int5"/],
    [["--weights", "auto:-4"], /--weights must be .*found "auto:-4"/],
    [["--weights", "auto:4.5x"], /--weights must be .*found "auto:4.5x"/],
    [["--slim=yes"], /--slim/],
    [["--no-slim"], /--no-slim/],
    [["model"], /takes no arguments besides flags, found "model"/],
    [["--host", ""], /--host/],
  ])("%j is named", (args, message) => {
    expect(usageOf(() => serve(args))).toMatch(message);
  });

  it("of the environment names the variable", () => {
    expect(usageOf(() => serve([], { MOSARA_PORT: "x" }))).toMatch(/MOSARA_PORT/);
    expect(usageOf(() => serve([], { MOSARA_SLIM: "maybe" }))).toMatch(/MOSARA_SLIM/);
  });

  it("never prints a key", () => {
    expect(usageOf(() => serve(["--api-key", "my secret key"]))).not.toContain("my secret");
    for (const url of ["http://:my-secret@host", "redis://:my-secret@host/x", "redis:my-secret"])
      expect(usageOf(() => serve(["--limits-redis", url]))).toMatch(/must be redis:\/\/((?!my-secret).)*$/);
  });

  it("names arguments and flags that are missing", () => {
    expect(usageOf(() => parseCommand("build", [], {}))).toMatch(/--out/);
    expect(usageOf(() => parseCommand("build", ["--out", "x"], {}))).toMatch(/<checkpoint>/);
    expect(usageOf(() => parseCommand("merge", ["--out", "x"], {}))).toMatch(/--model/);
  });
});

describe("--help", () => {
  it("needs nothing else to be right", () => {
    expect(parseCommand("build", ["--help"], {}).help).toBe(true);
    expect(parseCommand("serve", ["--help", "--port", "x"], {}).help).toBe(true);
  });
});

describe("help", () => {
  it("is asked for by -h, too", () => {
    expect(parseCommand("serve", ["-h"], {}).help).toBe(true);
  });
});
