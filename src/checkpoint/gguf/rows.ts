/** Reorders rows of a file's tensors into our order, and joins tensors. */
import { DTYPES } from "../../tensor/dtype.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../../tensor/host-tensor.ts";

/** Rows 2i and 2i + 1 of every head become its rows i and i + half. */
export function inHalves({ dtype, shape, data }: HostTensor, numHeads: number): HostTensor {
  const [rows = 0, columns = 1] = shape;
  const half = rows / numHeads / 2;
  const ordered = new DTYPES[dtype].array(data.length);
  for (let from = 0; from < rows; from++) {
    const pair = from >> 1;
    const to = Math.floor(pair / half) * 2 * half + (from & 1) * half + (pair % half);
    ordered.set(data.subarray(from * columns, (from + 1) * columns) as never, to * columns); // of the same kind
  }
  return { dtype, shape, data: ordered };
}

/** Tensors concatenated along the rows. */
export function joinedRows(
  parts: readonly HostTensor[],
  dtype: HostTensor["dtype"],
  shape: readonly number[],
): HostTensor {
  const [only] = parts;
  if (parts.length === 1 && only?.dtype === dtype) return only;
  const values = parts.map((part) => (part.dtype === dtype ? part.data : toFloat32(part)));
  const data = new DTYPES[dtype].array(values.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const one of values) {
    data.set(one as never, at); // of the same kind
    at += one.length;
  }
  return hostTensor(dtype, shape, data);
}
