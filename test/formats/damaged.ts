/** Damaged copies of a good file, for fuzzing its reader. */
import fc from "fast-check";

/** `good` cut short, lengthened, with some bytes replaced or one bit flipped; or just any bytes. */
export function damaged(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const position = fc.nat(good.length - 1);
  const replaced = fc.array(fc.tuple(position, fc.nat(255)), { minLength: 1, maxLength: 8 });
  return fc.oneof(
    position.map((length) => good.slice(0, length)),
    fc.uint8Array({ minLength: 1, maxLength: 20 }).map((tail) => Uint8Array.from([...good, ...tail])),
    fc.tuple(position, fc.nat(7)).map(([at, bit]) => good.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte))),
    replaced.map((changes) => {
      const copy = Uint8Array.from(good);
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    }),
    fc.uint8Array({ maxLength: 200 }),
  );
}
