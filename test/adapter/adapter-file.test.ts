import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import type { Adapter, Card } from "../../src/adapter/adapter.ts";
import { decodeAdapter, encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/host-tensor.ts";
import { fixtureAdapters, idOf, madeUpAdapter } from "../helpers/models/adapters.ts";
import { pack, type PlainTarget, type PlainFile, plainFile, errorOf } from "../helpers/models/plain-adapter-file.ts";

const withDtype = (adapter: Adapter, dtype: "float16" | "bfloat16"): Adapter => ({
  ...adapter,
  targets: adapter.targets.map((target) => ({
    ...target,
    tensors: Object.fromEntries(
      Object.entries(target.tensors).map(([key, t]) => [
        key,
        { dtype, shape: t.shape, data: fromFloat32(toFloat32(t), dtype) },
      ]),
    ),
  })),
});

describe("the training fixtures", async () => {
  const adapters = await fixtureAdapters();

  it.each([...adapters])("%s survives the way into a file and back", (_, adapter) => {
    const bytes = encodeAdapter(adapter);
    expect(decodeAdapter(bytes)).toEqual(adapter);
    expect(encodeAdapter(decodeAdapter(bytes))).toEqual(bytes);
  });

  it.each([...adapters])("%s is read from a file written by other code, and written as that code writes it", (_, a) => {
    expect(decodeAdapter(pack(plainFile(a)))).toEqual(a);
    const written = new Packr({ useRecords: false, variableMapSize: true }).pack(
      plainFile(decodeAdapter(encodeAdapter(a))),
    );
    expect(generationOf(encodeAdapter(a))).toBe(generationOf(written));
  });

  it.each([...adapters])("%s survives in 16 bits", (_, adapter) => {
    for (const dtype of ["float16", "bfloat16"] as const) {
      const half = withDtype(adapter, dtype);
      expect(decodeAdapter(encodeAdapter(half))).toEqual(half);
    }
  });
});

describe("encodeAdapter", () => {
  it("orders keys and tensors as the format says, however the adapter was put together", () => {
    const adapter = madeUpAdapter({ heads: 3 });
    const reversed: Adapter = {
      ...adapter,
      targets: adapter.targets.map((t) => ({
        ...t,
        tensors: Object.fromEntries(Object.entries(t.tensors).toReversed()),
      })),
    };
    expect(encodeAdapter(reversed)).toEqual(encodeAdapter(adapter));
    const text = Buffer.from(encodeAdapter(adapter)).toString("latin1");
    const keys = ["magic", "version", "method", "baseId", "heads", "router", "targets", "name", "dIn", "dOut"];
    const places = [...keys, "basisId", "tensors", "lambda", "dtype", "shape", "data", "router_w1", "router_w2"];
    const found = places.map((key) => text.indexOf(key));
    expect(found).toEqual(found.toSorted((a, b) => a - b));
    expect(found[0]).toBe(2);
  });

  it("writes nothing that could not be read back", () => {
    const adapter = madeUpAdapter();
    const diverged = madeUpAdapter();
    diverged.targets[0]!.tensors.v!.data[1] = NaN; // in every made-up adapter
    for (const wrong of [
      diverged,
      { ...adapter, heads: 2 },
      { ...adapter, card: { when: new Date() } as unknown as Card },
    ])
      expect(errorOf(() => encodeAdapter(wrong)).code).toBe("adapter_invalid");
  });
});

describe("decodeAdapter", () => {
  it("does not share memory with the file, so the file may be reused", () => {
    const bytes = encodeAdapter(madeUpAdapter());
    const adapter = decodeAdapter(bytes);
    bytes.fill(0);
    expect(adapter).toEqual(madeUpAdapter());
  });

  it("accepts keys in another order and a rank above the widths where no basis limits it", () => {
    const file = plainFile(madeUpAdapter());
    expect(decodeAdapter(pack(Object.fromEntries(Object.entries(file).toReversed())))).toEqual(madeUpAdapter());
    for (const method of ["lora", "sara"] as const) {
      const wide = madeUpAdapter({ method, k: 9 });
      expect(decodeAdapter(encodeAdapter(wide))).toEqual(wide);
    }
  });

  it("refuses more bytes than allowed before looking at them", () => {
    const bytes = encodeAdapter(madeUpAdapter());
    expect(decodeAdapter(bytes, { maxBytes: bytes.length })).toBeDefined();
    expect(errorOf(() => decodeAdapter(bytes, { maxBytes: bytes.length - 1 })).code).toBe("adapter_too_large");
    expect(errorOf(() => decodeAdapter(new Uint8Array(64 * 2 ** 20 + 1))).code).toBe("adapter_too_large");
  });

  const q = "layers.0.self_attn.q_proj";
  const float32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
  type Spoil = (file: PlainFile, target: PlainTarget) => unknown;
  const moSara: [string, RegExp, Spoil][] = [
    ["another magic", /magic/, (f) => (f.magic = "mosarb")],
    ["a later version", /version 2/, (f) => (f.version = 2)],
    ["a version that is text", /version "1"/, (f) => (f.version = "1")],
    ["an unknown method", /method is "dora"/, (f) => (f.method = "dora")],
    ["a method of the prototype", /method is "constructor"/, (f) => (f.method = "constructor")],
    ["an unknown router", /router is "top2"/, (f) => (f.router = "top2")],
    ["no heads", /heads is 0/, (f) => (f.heads = 0)],
    ["half a head", /heads is 1.5/, (f) => (f.heads = 1.5)],
    ["several heads without a router", /router is "none" with 2 heads/, (f) => (f.heads = 2)],
    ["a router for one head", /router is "full" with 1 heads/, (f) => (f.router = "full")],
    ["an empty base id", /baseId is ""/, (f) => (f.baseId = "")],
    ["a base id that is a number", /baseId is 7/, (f) => (f.baseId = 7)],
    ["no targets", /no targets/, (f) => (f.targets = [])],
    ["targets that are a map", /targets is not a list/, (f) => Object.assign(f, { targets: {} })],
    ["a target that is a list", /target 0 is not a map/, (f) => Object.assign(f, { targets: [[]] })],
    ["a target twice", /q_proj occurs twice/, (f, t) => f.targets.push(t)],
    ["a missing card", /card is not a map/, (f) => delete f.card],
    ["a key it does not know", /unknown key "mode"/, (f) => (f.mode = 1)],
    ["a target's key it does not know", /target 0 has the unknown key "bias"/, (_, t) => (t.bias = 1)],
    ["a target named otherwise", /named "model.layers.0.q"/, (_, t) => (t.name = "model.layers.0.q")],
    ["a target with a path", /named/, (_, t) => (t.name = "layers.0.../../etc")],
    ["a layer written 00", /named/, (_, t) => (t.name = "layers.00.mlp.up_proj")],
    ["a target without a module", /named/, (_, t) => (t.name = "layers.0")],
    ["a negative width", new RegExp(`dIn of ${q} is -4`), (_, t) => (t.dIn = -4)],
    ["an unsafe width", /dOut of .* is 9007199254740992/, (_, t) => (t.dOut = 2 ** 53)],
    ["a width beyond every number", /dIn of .* is 18446744073709551615/, (_, t) => (t.dIn = 2n ** 64n - 1n)],
    ["a k above the rank", /k of .* is 4, more than a 3×4/, (_, t) => (t.k = 4)],
    ["a basis id that is no hash", /basisId of .* is "x"/, (_, t) => (t.basisId = "x")],
    ["a missing basis id", /basisId of .* is undefined/, (_, t) => delete t.basisId],
    ["a scale where none belongs", /has a scale/, (_, t) => (t.scale = 1)],
    ["a missing tensor", new RegExp(`tensor v of ${q} is missing`), (_, t) => delete t.tensors.v],
    // In every file.
    ["a surplus tensor", /"router_full"/, (_, t) => (t.tensors.router_full = { ...t.tensors.lambda! })],
    // In every file.
    ["a transposed shape", /lambda of .* has shape \[2,1\]/, (_, t) => (t.tensors.lambda!.shape = [2, 1])],
    ["a flattened shape", /lambda of .* has shape \[2\]/, (_, t) => (t.tensors.lambda!.shape = [2])], // in every file
    ["a shape of text", /shape \["x"\]/, (_, t) => (t.tensors.v!.shape = ["x"])], // in every file
    ["a shape that overflows", /shape|needs/, (_, t) => (t.tensors.v!.shape = [2 ** 32, 2 ** 32])], // in every file
    // In every file.
    ["too little data", /data of .* has 8 bytes, .* needs 12/, (_, t) => (t.tensors.v!.data = float32(1, 2))],
    ["data that is text", /not binary/, (_, t) => (t.tensors.v!.data = "abcdefghijkl")], // in every file
    ["integers", /dtype "int8"/, (_, t) => (t.tensors.v!.dtype = "int8")], // in every file
    ["a NaN", /holds NaN at position 1/, (_, t) => (t.tensors.v!.data = float32(1, NaN, 2))], // in every file
    // In every file.
    ["an infinity", /holds -Infinity at position 2/, (_, t) => (t.tensors.v!.data = float32(1, 0, -Infinity))],
    ["a card with an infinity", /card "loss" is Infinity/, (f) => (f.card = { loss: Infinity })],
    ["a card with binary", /card "x" is binary/, (f) => (f.card = { x: new Uint8Array(1) })],
    ["a card of the wrong kind", /card is not a map/, (f) => (f.card = ["a"])],
    ["a card too deep", /deeper/, (f) => (f.card = { a: [[[[[[[[1]]]]]]]] })],
    ["a card too long", /65536/, (f) => (f.card = { a: "x".repeat(70_000) })],
    ["a card with too many values", /10000 values/, (f) => (f.card = { a: Array.from({ length: 10_001 }, () => 1) })],
  ];
  it.each(moSara)("refuses %s", (_, message, spoil) => {
    const file = plainFile(madeUpAdapter());
    spoil(file, file.targets[0] as PlainTarget);
    const error = errorOf(() => decodeAdapter(pack(file)));
    expect(error.code).toBe("adapter_invalid");
    expect(error.message).toMatch(message);
  });

  it.each([
    ["heads", /heads is 2/, (f: PlainFile) => (f.heads = 2)],
    ["a router", /router is "rank1"/, (f: PlainFile) => (f.router = "rank1")],
    ["a basis id", /basisId/, (f: PlainFile) => ((f.targets[0] as PlainTarget).basisId = idOf("x"))],
    ["a scale that is not finite", /scale/, (f: PlainFile) => ((f.targets[0] as PlainTarget).scale = NaN)],
  ])("refuses %s outside mo-sara", (_, message, spoil) => {
    for (const method of ["sara", "lora"] as const) {
      const file = plainFile(madeUpAdapter({ method }));
      spoil(file);
      const error = errorOf(() => decodeAdapter(pack(file)));
      expect([error.code, error.message]).toEqual(["adapter_invalid", expect.stringMatching(message)]);
    }
    const unscaled = plainFile(madeUpAdapter({ method: "lora" }));
    delete (unscaled.targets[0] as PlainTarget).scale;
    expect(errorOf(() => decodeAdapter(pack(unscaled))).message).toMatch(/scale .* is undefined/);
  });

  it.each(["float16", "bfloat16"] as const)("refuses every %s infinity and NaN and no other bits", (dtype) => {
    const exponent = dtype === "float16" ? 0x7c00 : 0x7f80;
    for (let bits = 0; bits < 65_536; bits += 7) {
      const file = plainFile(withDtype(madeUpAdapter({ dOut: 3 }), dtype));
      // In every file.
      (file.targets[0] as PlainTarget).tensors.v!.data = new Uint8Array(Uint16Array.of(0, bits, 0).buffer);
      const isRefused = (bits & exponent) === exponent;
      if (isRefused) expect(errorOf(() => decodeAdapter(pack(file))).message).toMatch(/position 1/);
      else decodeAdapter(pack(file));
    }
  });
});
