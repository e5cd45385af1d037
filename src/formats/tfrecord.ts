/**
 * TFRecord: a file of records, each framed by its length and two checksums. Knows nothing of the content of records.
 * Source: TensorFlow's record format. A record is its length (uint64), the masked CRC32C of these eight bytes, the
 * data, and the masked CRC32C of the data. All numbers are little-endian.
 */

/** Castagnoli's polynomial, reflected. Source: RFC 3720, appendix B.4. */
const POLYNOMIAL = 0x82f63b78;
/** Added to a rotated checksum, so that checksums of data that holds checksums stay meaningful. */
const MASK_DELTA = 0xa282ead8;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC32C, unsigned. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number); // the index is below 256
  return (crc ^ 0xffffffff) >>> 0;
}

function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

/** One record of a file. */
export function frameRecord(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + data.byteLength + 4);
  record.writeBigUInt64LE(BigInt(data.byteLength), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.byteLength);
  return record;
}
