/** Whether an optional field of a body has a value: null is the same as absent. */
export function isPresent<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}
