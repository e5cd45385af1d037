/** How names of the Hub are written, and which files of a repository a name stands for. */
import { describe, expect, it } from "vitest";
import { parseHubName } from "../../src/hub/hub-name.ts";
import { hubSettings } from "../../src/hub/hub-settings.ts";
import { wantedAdapter, wantedModel } from "../../src/hub/wanted-files.ts";
import type { HubFile } from "../../src/hub/repository.ts";

const plain = { revision: "main", file: null, quantisation: null };

describe("a name of the Hub", () => {
  it.each([
    ["Qwen/Qwen3-0.6B", { repo: "Qwen/Qwen3-0.6B" }],
    ["Qwen/Qwen3-0.6B@v1.0", { repo: "Qwen/Qwen3-0.6B", revision: "v1.0" }],
    ["owner/name@refs/pr/3", { repo: "owner/name", revision: "refs/pr/3" }],
    ["hf.co/owner/name", { repo: "owner/name" }],
    ["hf://owner/name@dev", { repo: "owner/name", revision: "dev" }],
    ["https://huggingface.co/owner/name/", { repo: "owner/name" }],
    ["https://huggingface.co/owner/name/tree/dev", { repo: "owner/name", revision: "dev" }],
    ["owner/name/sub/m-Q4_0.gguf", { repo: "owner/name", file: "sub/m-Q4_0.gguf" }],
    ["owner/name/m.gguf@dev", { repo: "owner/name", file: "m.gguf", revision: "dev" }],
    ["https://huggingface.co/o/n/resolve/main/m.gguf", { repo: "o/n", file: "m.gguf" }],
    ["https://huggingface.co/o/n/blob/dev/d/m.gguf", { repo: "o/n", file: "d/m.gguf", revision: "dev" }],
    ["hf.co/o/n-GGUF:Q4_K_M", { repo: "o/n-GGUF", quantisation: "Q4_K_M" }],
  ])("is read: %s", (text, wanted) => {
    expect(parseHubName(text)).toEqual({ ...plain, ...wanted });
  });

  it.each([
    "model",
    "./owner/name",
    "/owner/name",
    "../a/b",
    "a/../b",
    "owner/name/config.json",
    "a/b/c",
    "a//b",
    "o/n@../x",
    "",
  ])("is not %j", (text) => expect(parseHubName(text)).toBeNull());
});

describe("the settings of the Hub", () => {
  it("are those of huggingface_hub", () => {
    expect(hubSettings({ HF_HOME: "/h", HF_TOKEN: "t" })).toEqual({
      endpoint: "https://huggingface.co",
      cacheDir: "/h/hub",
      token: "t",
      isOffline: false,
    });
    const env = { HF_ENDPOINT: "http://mirror:1/", HF_HUB_CACHE: "/c", HF_HUB_OFFLINE: "1", XDG_CACHE_HOME: "/x" };
    expect(hubSettings(env)).toMatchObject({
      endpoint: "http://mirror:1",
      cacheDir: "/c",
      isOffline: true,
      token: null,
    });
    expect(hubSettings({ XDG_CACHE_HOME: "/x" }).cacheDir).toBe("/x/huggingface/hub");
  });

  it("refuse an endpoint that is no address", () => {
    expect(() => hubSettings({ HF_ENDPOINT: "mirror" })).toThrow(/HF_ENDPOINT must be an http or https address/);
  });
});

const filesOf = (...paths: string[]): HubFile[] => paths.map((path) => ({ path, size: 1, hash: "" }));
const nameOf = (text: string) => {
  const name = parseHubName(text);
  if (!name) throw new Error(text);
  return name;
};
const pathsOf = (text: string, ...paths: string[]): string[] =>
  wantedModel(nameOf(text), filesOf(...paths)).files.map(({ path }) => path);

describe("the files of a model", () => {
  it("are a checkpoint's texts and safetensors, and nothing else", () => {
    const texts = [
      "config.json",
      "generation_config.json",
      "tokenizer.json",
      "tokenizer_config.json",
      "chat_template.jinja",
    ];
    const weights = [
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ];
    const others = [
      "README.md",
      "pytorch_model.bin",
      "onnx/model.onnx",
      "original/consolidated.pth",
      "consolidated.safetensors",
      "x.gguf",
    ];
    expect(pathsOf("o/n", ...texts, ...weights, ...others).sort()).toEqual([...texts, ...weights].sort());
  });

  it("are the whole weights where a repository has the parts too", () => {
    expect(
      pathsOf(
        "o/n",
        "config.json",
        "model.safetensors",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
      ),
    ).toEqual(["config.json", "model.safetensors"]);
  });

  it("are all parts of a GGUF file", () => {
    const parts = ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"];
    expect(pathsOf("o/n:q4_0", ...parts, "m-Q8_0.gguf")).toEqual(parts);
    expect(pathsOf(`o/n/${parts[0]}`, ...parts)).toEqual(parts);
    expect(() => pathsOf(`o/n/${parts[0]}`, parts[0] ?? "")).toThrow(/lacks m-Q4_0-00002-of-00002\.gguf/);
  });

  it("are the one GGUF file there is, beside a vision part", () => {
    expect(pathsOf("o/n", "m.gguf", "mmproj-m.gguf", "config.json")).toEqual(["m.gguf"]);
  });

  it.each([
    ["o/n", ["a-Q4_0.gguf", "a-Q8_0.gguf"], /2 GGUF files\. Name one of them, such as o\/n\/a-Q4_0\.gguf/],
    ["o/n:Q4_K", ["a-Q4_K_M.gguf"], /does not exist\. o\/n has a-Q4_K_M\.gguf/],
    ["o/n/b.gguf", ["a.gguf"], /o\/n\/b\.gguf does not exist/],
    ["o/n", ["config.json", "pytorch_model.bin"], /only as pickles \(pytorch_model\.bin\)/],
    ["o/n", ["adapter_config.json", "adapter_model.safetensors"], /a PEFT adapter, not a model.*mosara import o\/n/],
    ["o/n", ["README.md"], /no model that can be read: README\.md/],
  ])("are refused with the way out: %s of %j", (text, paths, message) => {
    expect(() => pathsOf(text, ...paths)).toThrow(message);
  });

  it("of an adapter are two with the text files beside them, and never a pickle", () => {
    const own = filesOf("adapter_config.json", "adapter_model.safetensors");
    const texts = filesOf("tokenizer.json", "chat_template.jinja", "additional_chat_templates/rag.jinja");
    const others = filesOf("README.md", "training_args.bin", "checkpoint-5/tokenizer.json");
    expect(wantedAdapter(nameOf("o/n"), [...own, ...others, ...texts]).files).toEqual([...own, ...texts]);
    expect(() => wantedAdapter(nameOf("o/n"), filesOf("adapter_config.json", "adapter_model.bin"))).toThrow(/pickle/);
    expect(() => wantedAdapter(nameOf("o/n"), filesOf("config.json"))).toThrow(
      /not a PEFT adapter: it lacks adapter_config/,
    );
  });
});
