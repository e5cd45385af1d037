/** Closes opened resources in reverse order, each once, even where one fails (Node 20 has no AsyncDisposableStack). */

export class Cleanup implements AsyncDisposable {
  readonly #steps: (() => unknown)[] = [];

  /** Registers `resource` to be closed. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Registers `step` to be run. */
  defer(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** @throws the first failure, after every step has run. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
