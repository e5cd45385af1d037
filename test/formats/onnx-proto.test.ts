import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import {
  ATTRIBUTE_TYPES,
  EXTERNAL_DATA_LOCATION,
  type OnnxModel,
  type OnnxTensor,
  decodeModel,
  dtypeOfOnnxType,
  encodeModel,
  onnxTypeOf,
} from "../../src/formats/onnx-proto.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { DTYPES, type DType } from "../../src/tensor/dtype.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";
import { damaged } from "./damaged.ts";

// Written by the onnx package 1.23.2 (make_model and SerializeToString) with every kind of field that we know.
const OFFICIAL = Buffer.from(
  [
    "CAoSBmdvbGRlbjqYAwqeAgoBeAoACgF3EgF5GgJuMCIDT2RkKhIKA2JpZxiAgICAgICAgECgAQIqCwoBZhXNzMw9oAEBKhUKBmZs",
    "b2F0cz0AAMA/PQAAgL6gAQYqLwoBZzInChUKAXgSAXoaAWkiCElkZW50aXR5OgASA3N1YmIJCgF6EgQKAggBoAEFKhEKAWkY/f//",
    "////////AaABAiodCgRpbnRzQP///////////wFAAECAgICAgCCgAQcqDgoBcyIGbmHDr3ZloAEDKhMKB3N0cmluZ3NKAWFKAsO8",
    "oAEIKiEKAXQqGQgCEAdCAWNKEAEAAAAAAAAA/v////////+gAQQqGAoCdHlyDwoNCAESCQoDEgFCCgIIAqABDToLY29tLmV4YW1w",
    "bGUSAWcqPAgCCAMQAUIBd2oRCghsb2NhdGlvbhIFdy5iaW5qDgoGb2Zmc2V0EgQ0MDk2agwKBmxlbmd0aBICMjRwAVoWCgF4EhEK",
    "DwgBEgsKAxIBQgoACgIIA2ILCgF5EgYKBAgKEgBqDwoBdhIKCggIBxIECgIIBEIECgAQFUIPCgtjb20uZXhhbXBsZRABcgYKAWsS",
    "AXY=",
  ].join(""),
  "base64",
);

function expectRefused(bytes: Uint8Array): void {
  let error: unknown;
  try {
    decodeModel(bytes);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(AppError);
  expect((error as AppError).code).toBe("base_invalid");
}

const float = (...dim: { dimValue?: number; dimParam?: string }[]) => ({
  tensorType: { elemType: onnxTypeOf("float32"), shape: { dim } },
});

/** y = x · w + b. */
function linear(w: OnnxTensor, b: OnnxTensor): OnnxModel {
  const node = (opType: string, input: string[], output: string) => ({
    name: output,
    opType,
    domain: "",
    attribute: [],
    input,
    output: [output],
  });
  return {
    irVersion: 10,
    opsetImport: [{ domain: "", version: 21 }],
    graph: {
      name: "linear",
      node: [node("MatMul", ["x", "w"], "xw"), node("Add", ["xw", "b"], "y")],
      initializer: [w, b],
      input: [{ name: "x", type: float({ dimParam: "B" }, { dimValue: 2 }) }],
      output: [{ name: "y", type: float({ dimParam: "B" }, { dimValue: 3 }) }],
    },
  };
}

async function runLinear(session: InferenceSession): Promise<number[]> {
  const x = new Tensor("float32", Float32Array.of(1, 10, 2, 20), [2, 2]);
  const { y } = await session.run({ x });
  await session.release();
  return Array.from(y?.data as Float32Array);
}

const W = Float32Array.of(1, 2, 3, 4, 5, 6);
const B = Float32Array.of(0.5, 0, -0.5);
const EXPECTED = [41.5, 52, 62.5, 82.5, 104, 125.5];

describe("against the official implementation", () => {
  it("reads every known field as the onnx package wrote it", () => {
    const model = decodeModel(OFFICIAL);
    expect(model).toMatchObject({ irVersion: 10, producerName: "golden", metadataProps: [{ key: "k", value: "v" }] });
    expect(model.opsetImport).toEqual([
      { domain: "", version: 21 },
      { domain: "com.example", version: 1 },
    ]);
    const [node] = model.graph.node;
    expect(node).toMatchObject({
      name: "n0",
      opType: "Odd",
      domain: "com.example",
      input: ["x", "", "w"],
      output: ["y"],
    });
    const values = Object.fromEntries(node?.attribute.map(({ name, type, ...value }) => [name, [type, value]]) ?? []);
    expect(values).toMatchObject({
      f: [ATTRIBUTE_TYPES.float, { f: Math.fround(0.1) }],
      i: [ATTRIBUTE_TYPES.int, { i: -3 }],
      big: [ATTRIBUTE_TYPES.int, { i: 2n ** 62n }],
      s: [ATTRIBUTE_TYPES.string, { s: "naïve" }],
      g: [ATTRIBUTE_TYPES.graph, { g: { name: "sub", node: [{ opType: "Identity" }] } }],
      floats: [ATTRIBUTE_TYPES.floats, { floats: [1.5, -0.25] }],
      ints: [ATTRIBUTE_TYPES.ints, { ints: [-1, 0, 2 ** 40] }],
      strings: [ATTRIBUTE_TYPES.strings, { strings: ["a", "ü"] }],
      t: [ATTRIBUTE_TYPES.tensor, { t: { dims: [2], dataType: onnxTypeOf("int64") } }],
      ty: [ATTRIBUTE_TYPES.type, { tp: float({ dimParam: "B" }, { dimValue: 2 }) }],
    });
    expect(model.graph.input[0]?.type).toEqual(float({ dimParam: "B" }, {}, { dimValue: 3 }));
    expect(model.graph.initializer[0]?.externalData).toContainEqual({ key: "offset", value: "4096" });
  });

  it("writes the same bytes as the onnx package", () => {
    expect(Buffer.compare(encodeModel(decodeModel(OFFICIAL)), OFFICIAL)).toBe(0);
  });

  it("writes models that ONNX Runtime runs, weights inside", async () => {
    const inside = (name: string, dims: number[], values: Float32Array) => ({
      name,
      dims,
      dataType: onnxTypeOf("float32"),
      rawData: new Uint8Array(values.buffer),
    });
    const bytes = encodeModel(linear(inside("w", [2, 3], W), inside("b", [3], B)));
    expect(await runLinear(await InferenceSession.create(bytes))).toEqual(EXPECTED);
  });

  it("writes models that ONNX Runtime runs, weights in a safetensors file beside them", async () => {
    const folder = await mkdtemp(join(tmpdir(), "onnx-"));
    const tensors = { w: hostTensor("float32", [2, 3], W), b: hostTensor("float32", [3], B) };
    const specs = Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    const load = async (name: string) => tensors[name as keyof typeof tensors];
    const places = await writeSafetensors(join(folder, "weights.safetensors"), specs, load);
    const outside = (name: string): OnnxTensor => {
      const place = places.get(name);
      const { byteOffset = -1, byteLength = -1, shape = [] } = place ?? {};
      const externalData = Object.entries({ location: "weights.safetensors", offset: byteOffset, length: byteLength });
      return {
        name,
        dims: shape,
        dataType: onnxTypeOf("float32"),
        dataLocation: EXTERNAL_DATA_LOCATION,
        externalData: externalData.map(([key, value]) => ({ key, value: String(value) })),
      };
    };
    const bytes = encodeModel(linear(outside("w"), outside("b")));
    const extra = { session: { model_external_initializers_file_folder_path: folder } };
    expect(await runLinear(await InferenceSession.create(bytes, { extra }))).toEqual(EXPECTED);
    await rm(folder, { recursive: true });
  });
});

describe("encodeModel and decodeModel", () => {
  it("decode what was encoded, with 64-bit integers and floats exactly", () => {
    const int64 = fc.oneof(
      fc.maxSafeInteger(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
      fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    );
    const float32 = fc.float({ noDefaultInfinity: false });
    const attribute = fc.oneof(
      fc.record({ name: fc.string(), type: fc.constant(ATTRIBUTE_TYPES.int), i: int64 }),
      fc.record({ name: fc.string(), type: fc.constant(ATTRIBUTE_TYPES.float), f: float32 }),
      fc.record({
        name: fc.string(),
        type: fc.constant(ATTRIBUTE_TYPES.ints),
        ints: fc.array(int64, { minLength: 1 }),
      }),
      fc.record({ name: fc.string(), type: fc.constant(ATTRIBUTE_TYPES.string), s: fc.string({ unit: "grapheme" }) }),
      fc.record({
        name: fc.string(),
        type: fc.constant(ATTRIBUTE_TYPES.floats),
        floats: fc.array(float32, { minLength: 1 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(attribute), fc.uint8Array({ maxLength: 2000 }), (attributes, rawData) => {
        const tensor = { name: "w", dims: [rawData.length], dataType: onnxTypeOf("uint8"), rawData };
        const plain = linear(tensor, tensor);
        const node = plain.graph.node.map((one) => ({ ...one, attribute: attributes }));
        const model = { ...plain, graph: { ...plain.graph, node } };
        expect(decodeModel(encodeModel(model))).toEqual(model);
      }),
      { numRuns: 100 },
    );
  });

  it("reads packed and unpacked repeated numbers alike", () => {
    // graph { initializer { dims 2, 3 packed, dims 4 unpacked } }: fields 7, 5 and 1.
    const bytes = Uint8Array.of(0x3a, 0x08, 0x2a, 0x06, 0x0a, 0x02, 0x02, 0x03, 0x08, 0x04);
    expect(decodeModel(bytes).graph.initializer[0]?.dims).toEqual([2, 3, 4]);
  });

  it("skips fields it does not know, and refuses groups and field number 0", () => {
    const graph = [0x3a, 0x00];
    const unknown = [
      0xa2, 0x06, 0x01, 0xff, 0xa0, 0x06, 0x05, 0xa5, 0x06, 1, 2, 3, 4, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    expect(decodeModel(Uint8Array.from([...unknown, ...graph])).graph.name).toBe("");
    expectRefused(Uint8Array.from([...graph, 0xa3, 0x06]));
    expectRefused(Uint8Array.from([...graph, 0x00, 0x00]));
  });

  it("maps every element type to its code and back, and refuses other codes", () => {
    for (const dtype of Object.keys(DTYPES) as DType[]) expect(dtypeOfOnnxType(onnxTypeOf(dtype))).toBe(dtype);
    expect(() => dtypeOfOnnxType(8)).toThrow(AppError);
  });

  it("refuses a property that ONNX does not have", () => {
    const wrong = { ...linear({} as OnnxTensor, {} as OnnxTensor), inputs: [] };
    expect(() => encodeModel(wrong)).toThrow('internal: Model has no field "inputs"');
  });

  it("refuses to write a fraction where an integer belongs", () => {
    expect(() => encodeModel({ ...decodeModel(OFFICIAL), irVersion: 0.5 })).toThrow(RangeError);
  });
});

describe("hostile files", () => {
  it.each([
    ["nothing at all", []],
    ["a model without a graph", [0x08, 0x0a]],
    ["a length beyond the end", [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["a length of 64 bits", [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ["an integer of more than 64 bits", [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x3a, 0x00]],
    ["an integer without end", [0x08, ...Array.from({ length: 100 }, () => 0xff)]],
    ["a version that is no safe integer", [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x3a, 0x00]],
    ["a field of the wrong wire type", [0x38, 0x00]],
    ["a name that is not UTF-8", [0x3a, 0x03, 0x12, 0x01, 0xff]],
    ["two graphs", [0x3a, 0x00, 0x3a, 0x00]],
  ])("%s is refused", (_, bytes) => expectRefused(Uint8Array.from(bytes)));

  it("refuses graphs nested in graphs without end", () => {
    let graph = new Uint8Array();
    const wrap = (field: number, inner: Uint8Array) => {
      const header = [(field << 3) | 2];
      let rest = inner.length;
      for (; rest > 0x7f; rest >>= 7) header.push((rest & 0x7f) | 0x80);
      return Uint8Array.from([...header, rest, ...inner]);
    };
    for (let depth = 0; depth < 200; depth++) graph = wrap(1, wrap(5, wrap(6, graph)));
    expectRefused(wrap(7, graph));
  });

  it("refuses millions of empty nodes in few bytes", () => {
    const nodes = Buffer.alloc(2 * 2_500_000);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a;
    const length = Buffer.from([0xc0, 0x96, 0xb1, 0x02]); // 5 000 000
    expectRefused(Buffer.concat([Buffer.from([0x3a]), length, nodes]));
  });

  it("fails with the documented error or reads something, whatever the damage", () => {
    fc.assert(
      fc.property(damaged(OFFICIAL), (bytes) => {
        try {
          decodeModel(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "base_invalid" });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
