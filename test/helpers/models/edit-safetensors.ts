/**
 * Changes of a safetensors file as the cases of test/golden/cases spell them: names, element types and further tensors,
 * byte by byte.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** Names are regular expressions. */
export type TensorEdit =
  | { readonly rename: readonly [pattern: string, replacement: string] }
  /** Another type, with zeros for values; `shape` replaces the tensor's own. */
  | { readonly retype: string; readonly type: string; readonly shape?: readonly number[] }
  /** A tensor of one number for every name that fits, under a name made of it. */
  | { readonly beside: readonly [pattern: string, replacement: string]; readonly type: string };

const BYTES: Readonly<Record<string, number>> = { F8_E4M3: 1, U8: 1, I8: 1, U16: 2, BF16: 2, F32: 4, I32: 4, U32: 4 };

interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export function editSafetensors(path: string, edits: readonly TensorEdit[]): void {
  let tensors = readTensors(path);
  for (const edit of edits) tensors = new Map([...tensors].flatMap((entry) => edited(entry, edit)));
  writeTensors(path, tensors);
}

function edited([name, tensor]: [string, Tensor], edit: TensorEdit): [string, Tensor][] {
  if ("rename" in edit) return [[name.replace(new RegExp(edit.rename[0]), edit.rename[1]), tensor]];
  if ("retype" in edit)
    return [[name, new RegExp(edit.retype).test(name) ? zeros(edit.type, edit.shape ?? tensor.shape) : tensor]];
  const [pattern, replacement] = edit.beside;
  if (!new RegExp(pattern).test(name)) return [[name, tensor]];
  return [
    [name, tensor],
    [name.replace(new RegExp(pattern), replacement), zeros(edit.type, [1])],
  ];
}

function zeros(dtype: string, shape: readonly number[]): Tensor {
  const bytes = BYTES[dtype];
  if (bytes === undefined) throw new Error(`no size of ${dtype} is known to the cases`);
  return { dtype, shape, data: new Uint8Array(shape.reduce((product, size) => product * size, bytes)) };
}

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

function readTensors(path: string): Map<string, Tensor> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Header;
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [start, end],
        },
      ]) => [name, { dtype, shape, data: bytes.subarray(8 + length + start, 8 + length + end) }],
    ),
  );
}

function writeTensors(path: string, tensors: ReadonlyMap<string, Tensor>): void {
  let end = 0;
  const header: Header = {};
  for (const [name, { dtype, shape, data }] of tensors)
    header[name] = { dtype, shape: [...shape], data_offsets: [end, (end += data.byteLength)] };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([length, json, ...[...tensors.values()].map(({ data }) => data)]));
}
