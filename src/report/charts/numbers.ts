/** Formats numbers for readers: few digits, grouped thousands, a real minus sign. Pure. */

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A count: `12,345`. */
export function count(value: number): string {
  return minus(value.toLocaleString("en-US", { maximumFractionDigits: 0 }));
}

/** A number with this many decimal places: `0.1230`. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return minus(String(value));
  return minus(value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
}

/** A number with this many significant digits: `0.0123`, `12,300`, `1.23×10⁻⁷`. */
export function significant(value: number, digits = 3): string {
  if (value === 0 || !Number.isFinite(value)) return minus(String(value));
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent < -4 || exponent > 6) return powerOfTen(value, digits);
  return minus(value.toLocaleString("en-US", { maximumSignificantDigits: digits }));
}

function powerOfTen(value: number, digits: number): string {
  const [mantissa = "", exponent = ""] = value.toExponential(digits - 1).split("e");
  const shown = mantissa.replace(/\.?0+$/, "");
  const power = exponent
    .replace("+", "")
    .replaceAll(/[-\d]/g, (c) => (c === "-" ? "⁻" : (SUPERSCRIPTS[Number(c)] ?? c)));
  return shown === "1" ? `10${power}` : `${minus(shown)}×10${power}`;
}

/** A share of one: `12.3 %`. */
export function percent(share: number, digits = 1): string {
  return `${fixed(100 * share, digits)} %`;
}

/** A size: `873 bytes`, `12.3 kB`, in powers of a thousand. */
export function byteSize(bytes: number): string {
  const units = ["kB", "MB", "GB", "TB"];
  if (bytes < 1000) return `${bytes} bytes`;
  const power = Math.min(units.length, Math.floor(Math.log10(bytes) / 3));
  return `${significant(bytes / 1000 ** power)} ${units[power - 1] ?? ""}`;
}

/** A time: `42 s`, `3 min 20 s`, `2 h 5 min`. */
export function timeSpan(seconds: number): string {
  if (seconds < 10) return `${significant(seconds, 2)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${rest} s` : `${rest} s`;
}

function minus(text: string): string {
  return text.replaceAll("-", "−");
}
