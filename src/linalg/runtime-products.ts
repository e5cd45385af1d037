/**
 * The two large products of the SVD by ONNX Runtime, in float64, on the calling thread. It needs a fifth of the time of
 * plain JavaScript. The matrix is read in strips of columns, so that its copies in float64 stay small. The strips are
 * added in order, and one thread computes each, so that results are the same every time on one machine.
 */
import { type OnnxModel, type OnnxNode, encodeModel, onnxTypeOf } from "../formats/onnx-proto.ts";
import { type Session, hostTensorOf, openSession, runtimeTensor } from "../runtime/ort.ts";
import type { MatrixProducts } from "./products.ts";

/** Columns of a strip. */
const STRIP = 1024;
const OPSET = 21;
const [FLOAT32, FLOAT64] = [onnxTypeOf("float32"), onnxTypeOf("float64")];

interface Port {
  readonly name: string;
  readonly type: number;
}

function node(opType: string, input: readonly string[], output: string): OnnxNode {
  return { name: output, opType, domain: "", input, output: [output], attribute: [] };
}

function model(inputs: readonly Port[], nodes: readonly OnnxNode[]): Uint8Array {
  const info = ({ name, type }: Port, rows: string, columns: string) => {
    const dim = [{ dimParam: rows }, { dimParam: columns }];
    return { name, type: { tensorType: { elemType: type, shape: { dim } } } };
  };
  const onnx: OnnxModel = {
    irVersion: 10,
    graph: {
      name: "product",
      node: nodes,
      initializer: [],
      input: inputs.map((port) => info(port, `${port.name}.rows`, `${port.name}.columns`)),
      output: [info({ name: "product", type: FLOAT64 }, "rows", "columns")],
    },
    opsetImport: [{ domain: "", version: OPSET }],
  };
  return encodeModel(onnx);
}

const GRAM = model(
  [{ name: "a", type: FLOAT32 }],
  [
    { ...node("Cast", ["a"], "wide"), attribute: [{ name: "to", type: 2, i: FLOAT64 }] },
    node("Transpose", ["wide"], "turned"),
    node("MatMul", ["wide", "turned"], "product"),
  ],
);
const MULTIPLY = model(
  [
    { name: "left", type: FLOAT64 },
    { name: "a", type: FLOAT32 },
  ],
  [
    { ...node("Cast", ["a"], "wide"), attribute: [{ name: "to", type: 2, i: FLOAT64 }] },
    node("MatMul", ["left", "wide"], "product"),
  ],
);

/** The products by sessions that are opened here, and closed by the disposal. */
export async function runtimeProducts(): Promise<MatrixProducts & AsyncDisposable> {
  const options = { device: "cpu", numThreads: 1 } as const;
  const [gram, multiply] = [await openSession(GRAM, options), await openSession(MULTIPLY, options)];
  return {
    gram: async (a, rows, cols) => {
      const sum = new Float64Array(rows * rows);
      for (const strip of stripsOf(a, rows, cols)) {
        const product = await productOf(gram, { a: strip.values }, rows, strip.width);
        for (let i = 0; i < sum.length; i++) sum[i]! += product[i]!; // of one length
      }
      return sum;
    },
    multiply: async (left, a, count, rows, cols) => {
      const out = new Float64Array(count * cols);
      for (const { first, width, values } of stripsOf(a, rows, cols)) {
        const product = await productOf(multiply, { a: values, left: [left, count] }, rows, width);
        for (let row = 0; row < count; row++)
          out.set(product.subarray(row * width, (row + 1) * width), row * cols + first);
      }
      return out;
    },
    [Symbol.asyncDispose]: async () => {
      await gram[Symbol.asyncDispose]();
      await multiply[Symbol.asyncDispose]();
    },
  };
}

/** The columns of a [rows,cols] in strips. The last one may be narrower. */
function* stripsOf(a: Float32Array, rows: number, cols: number) {
  for (let first = 0; first < cols; first += STRIP) {
    const width = Math.min(STRIP, cols - first);
    const values = width === cols ? a : new Float32Array(rows * width);
    if (width < cols)
      for (let row = 0; row < rows; row++)
        values.set(a.subarray(row * cols + first, row * cols + first + width), row * width);
    yield { first, width, values };
  }
}

async function productOf(
  session: Session,
  { a, left }: { readonly a: Float32Array; readonly left?: readonly [Float64Array, number] },
  rows: number,
  width: number,
): Promise<Float64Array> {
  const feeds = {
    a: runtimeTensor("float32", a, [rows, width]),
    ...(left ? { left: runtimeTensor("float64", left[0], [left[1], rows]) } : {}),
  };
  const { product } = await session.run(feeds, ["product"]);
  if (!product) throw new Error("internal: the product was not fetched");
  return hostTensorOf(product).data as Float64Array;
}
