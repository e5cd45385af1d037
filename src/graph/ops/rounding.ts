/**
 * Rounding of rows to int8, with a scale for each row: a code c stands for the number c · scale. Source: ONNX
 * QuantizeLinear-21, DequantizeLinear-21.
 */
import { onnxTypeOf } from "../../formats/onnx-proto.ts";
import { type Var, expectDtype, expectShape, graphOf } from "../graph.ts";

/** float32 [N,g], scales float32 [N] → int8 [N,g]. Halves are rounded to even, and codes beyond int8 to its ends. */
export function quantizeRows(x: Var, scales: Var): Var {
  expectDtype("quantizeRows", "x", x, "float32");
  expectDtype("quantizeRows", "the scales", scales, "float32");
  expectShape("quantizeRows", "the scales", scales, x.shape.slice(0, 1));
  const attributes = { axis: 0, output_dtype: onnxTypeOf("int8") };
  return graphOf(x, scales).node("QuantizeLinear", [x, scales], [{ dtype: "int8", shape: x.shape }], attributes)[0]!;
}

/** int8 [N,g], scales float32 [N] → float32 [N,g]. */
export function dequantizeRows(codes: Var, scales: Var): Var {
  expectDtype("dequantizeRows", "the codes", codes, "int8");
  expectDtype("dequantizeRows", "the scales", scales, "float32");
  expectShape("dequantizeRows", "the scales", scales, codes.shape.slice(0, 1));
  const results = [{ dtype: "float32" as const, shape: codes.shape }];
  return graphOf(codes, scales).node("DequantizeLinear", [codes, scales], results, { axis: 0 })[0]!;
}
